"""The place of a scan in space: what its header says, how certain that is, and the same in a new NIfTI header."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from scipy import io

from recalib_keras.core.errors import VolumeError, warn_of_scan
from recalib_keras.volumes.grid import Grid, in_millimetres
from recalib_keras.volumes.headers import check_voxel_size, is_nifti, is_plain_analyze, is_unplaced, millimetres

# The codes of qform and sform: the place comes from the scanner, or from a program.
SCANNER, ALIGNED = 1, 2
# The codes of a sform in a standard space (Talairach, MNI); the qform beside it then is the scanner's, and may differ.
STANDARD = (3, 4)
# nibabel refuses quaternions whose length (squared) exceeds 1 by float32 rounding; programs write worse ones than that.
QUATERNION_EXCESS = 1e-3
# qform and sform agree if no voxel differs by more than a part of its edge, or of the scan's extent: near half a turn,
# rounding of the quaternion to float32 turns a scan by a thousandth.
AGREEMENT, TURN = 0.25, 1.5e-3
# Voxels smaller or larger than this (mm), or a scan longer than this (mm), come of a wrong unit or a damaged header.
SPACINGS, LONGEST = (0.01, 30.0), 5000.0
# A scan farther than this (mm) from the origin comes of a damaged header, too.
FARTHEST = 1e6
DIRECTIONS = ("left-right", "back-front", "foot-head")


def grid_of(image: nib.spatialimages.SpatialImage, header: Any, name: str) -> Grid:
    """Returns the grid of the first three axes of a nibabel image.

    Args:
        image: The image.
        header: Its header as stored in the file, see `recalib_keras.volumes.opening.open_image`.
        name: The file, for messages.

    Raises:
        VolumeError: The affine is missing, not finite or singular; or its voxels or extent are not those of a scan.

    Warns:
        ScanWarning: Left and right are uncertain: a NIfTI header that sets neither qform nor sform, or whose qform and
            sform disagree; an Analyze header without a .mat file that gives them, an MGH header without valid geometry.
    """
    if image.affine is None:
        raise VolumeError(
            file=name, expected="an image with an affine", received="none", remedy="pass one to nibabel's constructor"
        )
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= millimetres(image.header)
    try:
        grid = Grid(cast("tuple[int, int, int]", image.shape[:3]), affine)
        check_extent(grid)
    except VolumeError as error:
        raise error.at(name) from None
    doubt = _doubt(image, header)
    if doubt:
        warn_of_scan(f"{doubt} ({grid.orientation})", name)
    elif is_nifti(header):
        _warn_of_disagreement(image, name)
    return grid


def check_extent(grid: Grid) -> None:
    """Checks that voxel size and extent are those of a scan, before anything of that size is allocated.

    Args:
        grid: The grid of a scan.

    Raises:
        VolumeError: A voxel is smaller than 0.01 mm or larger than 30 mm, an axis is longer than 5 m, or the scan lies
            more than 1 km from the origin.
    """
    smallest, largest = SPACINGS
    extent = [size * spacing for size, spacing in zip(grid.shape, grid.spacing, strict=True)]
    if min(grid.spacing) < smallest or max(grid.spacing) > largest:
        expected, received = f"voxels of {smallest:g} to {largest:g} mm", in_millimetres(grid.spacing)
    elif max(extent) > LONGEST:
        expected, received = f"a scan of at most {LONGEST / 1000:g} m", f"one of {in_millimetres(extent)}"
    elif np.abs(grid.affine[:3, 3]).max() > FARTHEST:
        raise VolumeError(
            expected=f"a scan within {FARTHEST / 1e6:g} km of the origin",
            received=f"an offset of {in_millimetres(grid.affine[:3, 3])}",
            remedy="correct the offset in the header",
        )
    else:
        return
    raise VolumeError(
        expected=expected, received=received, remedy="correct the voxel size in the header, or its unit (mm, m, micron)"
    )


def repair(header: nib.Nifti1Header, stored: nib.Nifti1Header, name: str) -> np.ndarray:
    """Returns the affine of a NIfTI header; where only one of qform and sform is whole, sets the header to that one.

    Args:
        header: The header as nibabel reads it. Changed in place.
        stored: The header as stored in the file.
        name: The file, for messages.

    Returns:
        From voxel indices to the header's unit of length.

    Raises:
        VolumeError: No place can be read: voxel sizes that are not positive numbers, a damaged quaternion, a singular
            sform.

    Warns:
        ScanWarning: Qform, sform or voxel sizes are damaged, and another field is used.
    """
    _normalise_quaternion(header)
    has_sizes = _has_voxel_sizes(stored)
    has_sform = header["sform_code"] != 0 and _is_whole(header.get_sform())
    has_qform = header["qform_code"] != 0 and has_sizes and _is_whole(_qform(header))
    if has_sform:
        if not has_sizes:
            header["pixdim"][1:4] = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
            sizes = ", ".join(f"{size:g}" for size in stored["pixdim"][1:4])
            warn_of_scan(f"the voxel sizes in the header are not positive numbers ({sizes}); the sform is used", name)
        elif header["qform_code"] != 0 and not has_qform:
            warn_of_scan("the qform is damaged; the sform is used", name)
        header["qform_code"] = header["qform_code"] if has_qform else 0
    elif has_qform and header["sform_code"] != 0:
        warn_of_scan("the sform is damaged (singular or not finite); the qform is used", name)
        header["sform_code"] = 0
    elif header["sform_code"] == 0:
        check_voxel_size(stored, name)
        _check_quaternion(header, name)
    affine = header.get_best_affine()
    try:
        Grid((1, 1, 1), affine)
    except VolumeError as error:
        raise error.at(name) from None
    return affine


def _has_voxel_sizes(header):
    sizes = header["pixdim"][1:4]
    return bool(np.isfinite(sizes).all() and (sizes > 0).all())


def _is_whole(affine):
    try:
        return affine is not None and Grid((1, 1, 1), affine) is not None
    except VolumeError:
        return False


def _qform(header):
    try:
        return header.get_qform()
    except (ValueError, nib.spatialimages.HeaderDataError):  # a quaternion that is too long
        return None


def _normalise_quaternion(header):
    """Scales a quaternion to length 1 that is longer than nibabel's tolerance, but no more than by rounding."""
    fields = ("quatern_b", "quatern_c", "quatern_d")
    quaternion = np.array([header[field] for field in fields], dtype=np.float64)
    squared = float(quaternion @ quaternion)
    if _qform(header) is None and 1 < squared <= 1 + QUATERNION_EXCESS:
        for field, value in zip(fields, quaternion / np.sqrt(squared), strict=True):
            header[field] = value


def _check_quaternion(header, name):
    if header["qform_code"] != 0 and not _is_whole(_qform(header)):
        numbers = ", ".join(f"{float(header[field]):g}" for field in ("quatern_b", "quatern_c", "quatern_d"))
        raise VolumeError(
            file=name,
            expected="a rotation in the qform (a quaternion of length 1) and a finite offset",
            received=f"a damaged one (b, c, d = {numbers})",
            remedy="export it again, or set the sform",
        )


def _warn_of_disagreement(image, name):
    """Warns where qform and sform place a scan differently. Readers differ in which of them they use."""
    header = image.header
    qform, sform = _coded_qform(header), header.get_sform(coded=True)[0]
    if qform is None or not _is_whole(sform):
        return
    scale = np.diag([*[millimetres(header)] * 3, 1])
    qform, sform = (Grid(image.shape[:3], scale @ affine) for affine in (qform, sform))
    distance, tolerance = qform.displacement(sform), AGREEMENT * min(sform.spacing)
    extent = max(size * spacing for size, spacing in zip(sform.shape, sform.spacing, strict=True))
    is_standard = int(header["sform_code"]) in STANDARD and int(header["qform_code"]) not in STANDARD
    if distance <= max(tolerance, TURN * extent) or (is_standard and qform.orientation == sform.orientation):
        return
    axis = DIRECTIONS[int(np.argmax(qform.displacements(sform)))]
    warn_of_scan(
        f"qform and sform disagree by up to {distance:.3g} mm, most of it {axis}: the axes are {qform.orientation} in "
        f"the qform and {sform.orientation} in the sform; the sform is used, other programs may use the qform",
        name,
    )


def _coded_qform(header):
    affine = _qform(header) if header["qform_code"] != 0 else None
    return affine if _is_whole(affine) else None


def _doubt(image, header):
    """Returns why left and right are uncertain and what is assumed; None if they are known."""
    if is_unplaced(header):
        return (
            "the header marks its orientation and voxel size as not valid (goodRASFlag 0), so left and right and all "
            "lengths are uncertain; voxels of 1 mm and nibabel's default orientation are assumed"
        )
    if is_nifti(header) and image.header["qform_code"] == 0 and image.header["sform_code"] == 0:
        return (
            "neither qform nor sform is set, so left and right are uncertain; the orientation is taken from the "
            "header's base affine"
        )
    if is_plain_analyze(header) and sides_are_guessed(image):
        return (
            "the Analyze format does not distinguish left from right, so left and right are uncertain; the "
            "orientation that SPM gives such files is assumed"
        )
    return None


def sides_are_guessed(image: nib.spatialimages.SpatialImage) -> bool:
    """Returns whether no .mat file places an Analyze image; the matrix `M` of SPM99 leaves left and right open.

    Args:
        image: An Analyze image.
    """
    matrices = _matrices(image.file_map["mat"].filename) if "mat" in image.file_map else set()
    return "mat" not in matrices and ("M" in matrices or np.array_equal(image.affine, image.header.get_best_affine()))


def _matrices(path):
    """Returns the names of the matrices in a .mat file; nibabel ignores an empty file."""
    is_there = path is not None and Path(path).is_file() and Path(path).stat().st_size > 0
    return {name for name, *_ in io.whosmat(path)} if is_there else set()


def placement_codes(header: Any) -> tuple[int, int]:
    """Returns codes of qform and sform that claim no more than the header that the place was read from.

    A NIfTI header keeps its own codes. Both are "scanner" if a scanner or FreeSurfer wrote the place. The place of an
    Analyze image, or of MGH without valid geometry, is assumed. NIfTI has no code for that, and with both codes 0
    readers ignore the affine and guess left and right. So the sform is "aligned", nibabel's code for an affine of
    unknown origin, and the qform, whose code "scanner" some readers prefer, is not set.

    Args:
        header: A header as `read` keeps it, or None.
    """
    if is_nifti(header):
        return int(header["qform_code"]), int(header["sform_code"])
    if is_plain_analyze(header) or is_unplaced(header):
        return 0, ALIGNED
    return SCANNER, SCANNER


def place(header: nib.Nifti1Header, affine: np.ndarray, qform_code: int = SCANNER, sform_code: int = SCANNER) -> None:
    """Writes an affine into the qform and sform of a header.

    A qform holds only rotations and voxel sizes. If the affine is sheared (a tilted gantry), the qform would be wrong
    and is not set. One of the two is always set: the sform as "aligned" if both codes are 0.

    Args:
        header: Changed in place.
        affine: From voxel indices to mm.
        qform_code: 1 = scanner, 2 = aligned, 0 = not set.
        sform_code: The same for the sform.
    """
    header.set_xyzt_units("mm")
    header.set_qform(affine, code=qform_code)
    if not np.allclose(header.get_qform(), affine, atol=1e-2):
        header.set_qform(None, code=0)
        sform_code = sform_code or qform_code
    header.set_sform(affine, code=sform_code if qform_code or sform_code else ALIGNED)

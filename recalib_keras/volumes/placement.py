"""The place of a scan in space: what its header says, how certain that is, and the same in a new NIfTI header."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import io

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.headers import is_nifti, is_plain_analyze, is_unplaced, millimetres

# The codes of qform and sform: the place comes from the scanner, or from a program.
SCANNER, ALIGNED = 1, 2
# FreeSurfer's default orientation (`setDirectionCosine(mri, MRI_CORONAL)`): LIA. nibabel takes its transpose, LSP.
CORONAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))


def grid_of(image: nib.spatialimages.SpatialImage, header: Any, name: str) -> Grid:
    """Returns the grid of the first three axes of a nibabel image.

    An MGH header that marks its own orientation and voxel size as not valid gives the grid that FreeSurfer assumes:
    voxels of 1 mm along LIA, the centre of the image at the origin.

    Args:
        image: The image.
        header: Its header as stored in the file, see `stored_header`.
        name: The file, for messages.

    Raises:
        VolumeError: The affine is missing, not finite or singular.

    Warns:
        UserWarning: Left and right are uncertain: a NIfTI header that sets neither qform nor sform, an Analyze header
            without a .mat file that gives them, an MGH header without valid geometry.
    """
    if image.affine is None:
        raise VolumeError(
            file=name, expected="an image with an affine", received="none", remedy="pass one to nibabel's constructor"
        )
    affine = _coronal(image.shape) if is_unplaced(header) else np.array(image.affine, dtype=np.float64)
    affine[:3] *= millimetres(image.header)
    try:
        grid = Grid(image.shape[:3], affine)
    except VolumeError as error:
        raise error.at(name) from None
    doubt = _doubt(image, header)
    if doubt:
        warnings.warn(f"{name}: {doubt} ({grid.orientation})", stacklevel=4)
    return grid


def _coronal(shape):
    affine = np.eye(4)
    affine[:3, :3] = CORONAL
    affine[:3, 3] = affine[:3, :3] @ np.array(shape[:3]) / -2
    return affine


def _doubt(image, header):
    """Returns why left and right are uncertain and what is assumed; None if they are known."""
    if is_unplaced(header):
        return (
            "the header marks its orientation and voxel size as not valid (goodRASFlag 0), so left and right and all "
            "lengths are uncertain; as FreeSurfer does, voxels of 1 mm and coronal slices are assumed"
        )
    if is_nifti(header) and image.header["qform_code"] == 0 and image.header["sform_code"] == 0:
        return (
            "neither qform nor sform is set, so left and right are uncertain; the orientation is taken from the "
            "header's base affine"
        )
    if is_plain_analyze(header) and _sides_are_guessed(image):
        return (
            "the Analyze format does not distinguish left from right, so left and right are uncertain; the "
            "orientation that SPM gives such files is assumed"
        )
    return None


def _sides_are_guessed(image):
    """Returns whether no .mat file places an Analyze image; the matrix `M` of SPM99 leaves left and right open."""
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

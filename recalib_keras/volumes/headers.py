"""Judge the header of a scan: does it say, credibly, where the voxels stand?"""

import contextlib
import logging
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.freesurfer import mghformat
from nibabel.imageglobals import logger as nibabel_logger
from scipy import io

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.grid import Grid

# Millimetres per unit of length, by the names nibabel gives the NIfTI codes.
MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1e3, "micron": 1e-3}
# What FreeSurfer takes for want of any (`setDirectionCosine(mri, MRI_CORONAL)`), LIA; nibabel takes its transpose, LSP.
CORONAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))


def grid_of(image: nib.spatialimages.SpatialImage, header, name: str) -> Grid:
    """Return the grid of the first three axes of a nibabel image.

    An MGH header that says that its own orientation and voxel size are not valid gives the grid that FreeSurfer
    assumes: voxels of 1 mm along LIA, the centre of the image at the origin.

    Args:
        image: The image.
        header: Its header as it stands in the file, see `stored_header`.
        name: The image's, for messages.

    Raises:
        VolumeError: The affine is missing, not finite or singular.

    Warns:
        UserWarning: The header leaves left and right open: a NIfTI header that sets neither qform nor sform, an
            Analyze header without a .mat file that tells them, an MGH header without valid geometry.
    """
    if image.affine is None:
        raise VolumeError(f"{name}: expected an image with an affine, got none; pass one when the image is made")
    affine = _coronal(image.shape) if is_unplaced(header) else np.array(image.affine, dtype=np.float64)
    affine[:3] *= millimetres(image.header)
    try:
        grid = Grid(image.shape[:3], affine)
    except VolumeError as error:
        raise VolumeError(f"{name}: {error}") from None
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
    """Return why left and right are uncertain, and what is assumed; or None."""
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
            "the Analyze format does not tell left from right, so left and right are uncertain; the orientation that "
            "SPM gives such files is assumed"
        )
    return None


def _sides_are_guessed(image):
    """Tell whether no .mat file says where an Analyze image stands; the matrix `M` of SPM99 leaves the sides open."""
    matrices = _matrices(image.file_map["mat"].filename) if "mat" in image.file_map else set()
    return "mat" not in matrices and ("M" in matrices or np.array_equal(image.affine, image.header.get_best_affine()))


def _matrices(path):
    """Return the names of what a .mat file holds; nibabel passes over an empty one."""
    is_there = path is not None and Path(path).is_file() and Path(path).stat().st_size > 0
    return {name for name, *_ in io.whosmat(path)} if is_there else set()


def check_voxel_size(header, name: str) -> None:
    """Refuse voxel sizes that are not positive numbers, which nibabel itself would mend in silence."""
    fields = header.keys() if hasattr(header, "keys") else ()
    if "pixdim" in fields:
        sizes = np.array(header["pixdim"][1:4], dtype=np.float64)
    elif "delta" in fields and not is_unplaced(header):  # MGH
        sizes = np.array(header["delta"], dtype=np.float64)
    else:
        return
    if not np.isfinite(sizes).all() or sizes.min() <= 0:
        raise VolumeError(
            f"{name}: expected three positive voxel sizes (mm) in the header, got {tuple(sizes.tolist())}; "
            "set them to the scan's true voxel size"
        )


def stored_header(image):
    """Return the header as it stands in the file of a loaded image.

    The `header` of a NIfTI, Analyze or MGH image is already mended by nibabel: a voxel size of 0 has become 1, and
    where the `goodRASFlag` of MGH is 0, so have orientation and voxel size.
    """
    if isinstance(image.header, nib.analyze.AnalyzeHeader):
        part = image.file_map.get("header", image.file_map["image"])
        with part.get_prepare_fileobj("rb") as file:
            return type(image.header).from_fileobj(file, check=False)
    if isinstance(image.header, mghformat.MGHHeader):
        return _stored_mgh(image)
    return image.header


def _stored_mgh(image):
    dtype = mghformat.header_dtype
    with image.file_map["image"].get_prepare_fileobj("rb") as file:
        stored = np.frombuffer(file.read(dtype.itemsize), dtype)[0]
    header = image.header.copy()
    for field in dtype.names:
        header[field] = stored[field]
    return header


def is_unplaced(header) -> bool:
    """Tell whether a stored header is one of MGH that says that its orientation and voxel size are not valid."""
    return isinstance(header, mghformat.MGHHeader) and header["goodRASFlag"] <= 0


def is_plain_analyze(header) -> bool:
    """Tell whether `header` is of Analyze, which the NIfTI headers of nibabel derive from."""
    return isinstance(header, nib.analyze.AnalyzeHeader) and not is_nifti(header)


def is_nifti(header) -> bool:
    """Tell whether `header` is of NIfTI-1 or NIfTI-2 (nibabel derives the one from the other)."""
    return isinstance(header, nib.Nifti1Header)


def millimetres(header) -> float:
    """Return the length in mm of the header's unit; a header without a unit, or with an unknown one, means mm."""
    if not is_nifti(header):
        return 1.0
    try:
        return MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:  # a code that NIfTI does not define
        return 1.0


@contextlib.contextmanager
def quiet_nibabel():
    """Keep nibabel's remarks on bad headers off stderr: what matters in them is raised as one error."""
    refuse_all = logging.Filter()
    refuse_all.filter = lambda record: False
    nibabel_logger.addFilter(refuse_all)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        nibabel_logger.removeFilter(refuse_all)

"""Judge the header of a scan: does it say, credibly, where the voxels stand?"""

import contextlib
import logging
import warnings

import nibabel as nib
import numpy as np
from nibabel.imageglobals import logger as nibabel_logger

from recalib_keras.volumes.errors import VolumeError
from recalib_keras.volumes.grid import Grid

# Millimetres per unit of length, by the names nibabel gives the NIfTI codes.
MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1e3, "micron": 1e-3}


def grid_of(image: nib.spatialimages.SpatialImage, name: str) -> Grid:
    """Return the grid of the first three axes of a nibabel image.

    Raises:
        VolumeError: The affine is missing, not finite or singular.

    Warns:
        UserWarning: A NIfTI header sets neither qform nor sform.
    """
    header = image.header
    if image.affine is None:
        raise VolumeError(f"{name}: expected an image with an affine, got none; pass one when the image is made")
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= millimetres(header)
    try:
        grid = Grid(image.shape[:3], affine)
    except VolumeError as error:
        raise VolumeError(f"{name}: {error}") from None
    if is_nifti(header) and header["qform_code"] == 0 and header["sform_code"] == 0:
        warnings.warn(
            f"{name}: neither qform nor sform is set, so left and right are uncertain; the orientation is taken from "
            f"the header's base affine ({grid.orientation})",
            stacklevel=4,
        )
    return grid


def check_voxel_size(header, name: str) -> None:
    """Refuse voxel sizes that are not positive numbers, which nibabel itself would mend in silence."""
    fields = header.keys() if hasattr(header, "keys") else ()
    if "pixdim" in fields:
        sizes = np.array(header["pixdim"][1:4], dtype=np.float64)
    elif "delta" in fields:  # MGH
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

    The `header` of a NIfTI or Analyze image is already mended by nibabel: a voxel size of 0 has become 1.
    """
    if not isinstance(image.header, nib.analyze.AnalyzeHeader):
        return image.header
    part = image.file_map.get("header", image.file_map["image"])
    with part.get_prepare_fileobj("rb") as file:
        return type(image.header).from_fileobj(file, check=False)


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


def place(header: nib.Nifti1Header, affine: np.ndarray, qform_code: int = 1, sform_code: int = 1) -> None:
    """Set qform and sform of `header` to `affine` (mm), with their codes (1 = scanner, 0 = not set).

    A qform holds rotations and voxel sizes alone. Where the affine is sheared (a tilted gantry) it would tell a wrong
    place, so it is left unset; one of the two is always set.
    """
    header.set_xyzt_units("mm")
    header.set_qform(affine, code=qform_code)
    if not np.allclose(header.get_qform(), affine, atol=1e-2):
        header.set_qform(None, code=0)
        sform_code = sform_code or qform_code
    header.set_sform(affine, code=sform_code if qform_code or sform_code else 1)


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

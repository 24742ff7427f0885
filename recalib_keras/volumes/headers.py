"""The headers of scans: their kinds, their units, and their fields as stored in the file."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.freesurfer import mghformat
from nibabel.imageglobals import logger as nibabel_logger

from recalib_keras.core.errors import VolumeError

# Millimetres in a unit of length, by nibabel's names of the NIfTI codes.
MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1e3, "micron": 1e-3}


def check_voxel_size(header: Any, name: str) -> None:
    """Checks that the voxel sizes are positive numbers; nibabel silently replaces others.

    Args:
        header: A header as stored in the file, see `stored_header`.
        name: The file, for messages.

    Raises:
        VolumeError: A voxel size is zero, negative or no number.
    """
    fields = header.keys() if hasattr(header, "keys") else ()
    if "pixdim" in fields:
        sizes = np.array(header["pixdim"][1:4], dtype=np.float64)
    elif "delta" in fields and not is_unplaced(header):  # MGH
        sizes = np.array(header["delta"], dtype=np.float64)
    else:
        return
    if not np.isfinite(sizes).all() or sizes.min() <= 0:
        raise VolumeError(
            file=name,
            expected="three positive voxel sizes (mm) in the header",
            received=str(tuple(sizes.tolist())),
            remedy="set them to the scan's true voxel size",
        )


def stored_header(image: nib.spatialimages.SpatialImage) -> Any:
    """Returns the header of a loaded Analyze image as stored in its file; that of other images as it is.

    nibabel changes the `header` that it reads: a voxel size of 0 becomes 1.

    Args:
        image: An image that was loaded from a file.
    """
    if not isinstance(image.header, nib.analyze.AnalyzeHeader):
        return image.header
    part = image.file_map.get("header", image.file_map["image"])
    with part.get_prepare_fileobj("rb") as file:
        return type(image.header).from_fileobj(file, check=False)


def stored_mgh(block: bytes) -> mghformat.MGHHeader:
    """Returns an MGH header as stored; nibabel replaces orientation and voxel size where `goodRASFlag` is 0.

    Args:
        block: The first bytes of the file, unpacked.
    """
    dtype = mghformat.header_dtype
    stored, header = np.frombuffer(block[: dtype.itemsize], dtype)[0], mghformat.MGHHeader()
    for field in dtype.names:
        header[field] = stored[field]
    return header


def is_unplaced(header: Any) -> bool:
    """Returns whether a stored header is of MGH and marks its orientation and voxel size as not valid.

    Args:
        header: A header as stored in the file, see `stored_header`.
    """
    return isinstance(header, mghformat.MGHHeader) and header["goodRASFlag"] == 0


def is_plain_analyze(header: Any) -> bool:
    """Returns whether a header is of Analyze and not of NIfTI, which nibabel derives from Analyze.

    Args:
        header: Any header, or None.
    """
    return isinstance(header, nib.analyze.AnalyzeHeader) and not is_nifti(header)


def is_nifti(header: Any) -> bool:
    """Returns whether a header is of NIfTI-1 or NIfTI-2.

    Args:
        header: Any header, or None.
    """
    return isinstance(header, nib.Nifti1Header)


def millimetres(header: Any) -> float:
    """Returns the length in mm of a header's unit; a header without a known unit means mm.

    Args:
        header: Any header, or None.
    """
    if not is_nifti(header):
        return 1.0
    try:
        return MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    except KeyError:  # NIfTI does not define the code
        return 1.0


@contextlib.contextmanager
def quiet_nibabel() -> Iterator[None]:
    """Keeps nibabel's remarks on bad headers off stderr: errors and warnings of this package say what matters."""
    refuse_all: Any = logging.Filter()
    refuse_all.filter = lambda record: False
    nibabel_logger.addFilter(refuse_all)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        nibabel_logger.removeFilter(refuse_all)

"""Opening of a scan's file: checks of the path and of the kind of image, with one clear error for each fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.headers import stored_header
from recalib_keras.volumes.names import SCAN_SUFFIXES

GZIP_MAGIC = b"\x1f\x8b"
COMPRESSED = (".gz", ".mgz")
# How a volume of a 4-D image is chosen, wherever the message is read.
HOW_TO_CHOOSE = "--volume I, in Python volume=I, in a recipe volume = I under [data]"


def open_image(path: Path) -> tuple[nib.spatialimages.SpatialImage, Any]:
    """Returns the nibabel image of a file, and its header as stored in the file.

    Args:
        path: A file of any ending in `SCAN_SUFFIXES`.

    Raises:
        VolumeError: There is no such file, it has another ending or content, or it is damaged.
    """
    _check_file(path)
    try:
        image = nib.load(path)
        return image, stored_header(image)
    except FileNotFoundError as error:
        raise VolumeError(
            file=path,
            expected="a .hdr and an .img file side by side",
            received="only one of them",
            remedy="put the other beside it",
        ) from error
    except Exception as error:  # nibabel raises over a dozen kinds of error for broken headers
        raise VolumeError(
            file=path,
            expected="a NIfTI, MGH or Analyze image",
            received=f"a file that is none or is damaged ({error})",
            remedy="export or download it again",
        ) from error


def _check_file(path):
    if not path.exists():
        raise VolumeError(file=path, expected="a scan", received="no such file", remedy="check the path")
    if not path.name.lower().endswith(SCAN_SUFFIXES):
        raise VolumeError(
            file=path,
            expected=f"a file that ends in {extensions()} or a folder of DICOM slices",
            received=f"an unsupported ending {path.suffix!r}",
            remedy="convert the scan, or for a DICOM slice give its folder",
        )
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise VolumeError(
            file=path, expected="a readable file", received=repr(error.strerror), remedy="check its permissions"
        ) from error
    if not start:
        raise VolumeError(
            file=path, expected="a scan", received="an empty file (0 bytes)", remedy="export or download it again"
        )
    _check_compression(path, start)


def _check_compression(path, start):
    is_gzip, named_gzip = start == GZIP_MAGIC, path.name.lower().endswith(COMPRESSED)
    if is_gzip != named_gzip:
        raise VolumeError(
            file=path,
            expected=f"{'gzip-compressed' if named_gzip else 'plain'} data by the file's name",
            received="gzip-compressed data" if is_gzip else "data that is not; it is no image or has the wrong ending",
            remedy=f"rename it to end {'with' if is_gzip else 'without'} '.gz' ('.mgz' for '.mgh')",
        )


def check_dtype(dtype: Any, name: str) -> None:
    """Checks that an image holds one real number for each voxel.

    Args:
        dtype: The type of its values.
        name: The file, for messages.

    Raises:
        VolumeError: It holds colours or complex numbers.
    """
    dtype = np.dtype(dtype)
    if dtype.fields is not None or dtype.kind not in "biuf":
        raise VolumeError(
            file=name,
            expected="one real number for each voxel",
            received="colours (RGB)" if dtype.fields is not None else f"{dtype} (complex numbers)",
            remedy="convert the scan to a single grey-value channel",
        )


def select_volume(shape: Sequence[int], volume: int | None, name: str) -> tuple[slice | int, ...]:
    """Returns the index that makes an array three-dimensional.

    Args:
        shape: Shape of the array.
        volume: Which volume of a 4-D image, counted from 0; None if it has only one.
        name: The file, for messages.

    Raises:
        VolumeError: The array is flat, empty or has two further axes, or there is no such volume.
    """
    if len(shape) < 3:
        raise VolumeError(
            file=name,
            expected="a 3-D image",
            received=f"a {len(shape)}-D one of shape {shape}",
            remedy="give the whole volume, or store the slice with a third axis of length 1",
        )
    if 0 in shape:
        raise VolumeError(
            file=name,
            expected="at least one voxel along each axis",
            received=f"shape {shape}",
            remedy="export it again",
        )
    further = [axis for axis in range(3, len(shape)) if shape[axis] > 1]
    if len(further) > 1:
        raise VolumeError(
            file=name,
            expected="a 3-D or 4-D image",
            received=f"shape {shape}",
            remedy="split it into 3-D images",
        )
    count = shape[further[0]] if further else 1
    if count > 1 and volume is None:
        raise VolumeError(
            file=name,
            expected="one 3-D volume",
            received=f"a 4-D image of {count} volumes",
            remedy=f"choose one from 0 to {count - 1}: {HOW_TO_CHOOSE}",
        )
    check_volume_index(volume, count, name)
    return (slice(None),) * 3 + tuple((volume or 0) if axis in further else 0 for axis in range(3, len(shape)))


def check_volume_index(volume: int | None, count: int, name: str) -> None:
    """Checks that an image has the volume that the user chose.

    Args:
        volume: The chosen one, counted from 0; or None.
        count: How many there are.
        name: The file, for messages.

    Raises:
        VolumeError: There is no such volume.
    """
    if volume is not None and not 0 <= volume < count:
        raise VolumeError(
            file=name,
            expected=f"a volume from 0 to {count - 1} (the image has {count})",
            received=f"volume {volume}",
        )


def extensions() -> str:
    """Returns the endings of scans in words."""
    return ", ".join(SCAN_SUFFIXES)

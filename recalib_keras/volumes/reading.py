"""Reading of a scan or a label map: NIfTI, MGH/MGZ, Analyze or a folder of DICOM slices."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from pathlib import Path
from typing import TypeAlias

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy, get_obj_dtype
from nibabel.openers import ImageOpener

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes import dicom
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.headers import check_voxel_size, is_unplaced, quiet_nibabel
from recalib_keras.volumes.opening import (
    COMPRESSED,
    check_dtype,
    check_volume_index,
    extensions,
    open_image,
    select_volume,
)
from recalib_keras.volumes.placement import grid_of
from recalib_keras.volumes.volume import Volume

# Deflate cannot compress further than this (RFC 1951: at most 258 bytes from 2 bits).
GZIP_MOST = 1032
# Files are read about this many voxels at a time: nibabel scales them in float64, in several copies.
VOXELS_AT_ONCE = 2**18
IN_MEMORY = "the image in memory"

Source: TypeAlias = str | os.PathLike | nib.spatialimages.SpatialImage


def read(path: Source, volume: int | None = None, keep_integers: bool = False) -> Volume:
    """Reads one three-dimensional scan.

    Args:
        path: A `.nii`, `.nii.gz`, `.mgz`, `.mgh`, `.hdr` or `.img` file, a folder with one DICOM series, or a nibabel
            image, whose affine is used as it is.
        volume: Which volume of a 4-D file to read, counted from 0. A fourth axis of length 1 needs none.
        keep_integers: Whether integers of 8 or 16 bits that need no scaling keep their type, in a half or a quarter of
            the memory.

    Returns:
        The scan on its own grid. Its array is float32, the header's scaling is applied, and all values are finite.

    Raises:
        VolumeError: The scan cannot be read or used. The message is one line: what was expected, what was found, and
            how to fix it.

    Warns:
        UserWarning: Single voxels are NaN or infinite (they become the smallest finite value). Or left and right are
            uncertain: NIfTI with neither qform nor sform, Analyze without a .mat file that gives them, MGH whose
            `goodRASFlag` is 0 (the voxel size is then assumed to be 1 mm, too).
    """
    if _is_folder(path):
        scan = dicom.read_series(path)
        check_volume_index(volume, 1, str(path))
        array, grid, header = scan.array, scan.grid, scan.header
    else:
        is_kept = _is_small_integer if keep_integers else lambda dtype: False
        array, grid, header = _load(path, volume, is_kept)
    array = _usable_intensities(array, _name(path))
    return Volume(array, grid, header, _source(path))


def read_labels(path: Source, volume: int | None = None) -> Volume:
    """Reads a label map as `read` does a scan, but its array has integers and may be constant.

    A file may store its labels as floating-point numbers if all of them are whole.

    Args:
        path: A file or a nibabel image, see `read`.
        volume: Which volume of a 4-D file to read, see `read`.

    Raises:
        VolumeError: The file cannot be read, or a value is no whole number.
    """
    if _is_folder(path):
        raise VolumeError(
            file=path,
            expected=f"a label map in one file ({extensions()})",
            received="a folder",
            remedy="give the file itself",
        )
    array, grid, header = _load(path, volume, is_kept=lambda dtype: True)
    return Volume(_whole_numbers(array, _name(path)), grid, header, _source(path))


def _load(path, volume, is_kept) -> tuple[np.ndarray, Grid, object]:
    """Returns array, grid and header. The array becomes float32 unless `is_kept(dtype)`."""
    name = _name(path)
    with quiet_nibabel():
        in_memory = isinstance(path, nib.spatialimages.SpatialImage)
        image, header = (path, path.header) if in_memory else open_image(Path(path))
        check_dtype(image.get_data_dtype(), name)
        select = select_volume(image.shape, volume, name)
        check_voxel_size(header, name)
        grid = grid_of(image, header, name)
        array = _values(image, None if in_memory else Path(path), select, is_kept)
    # nibabel sets the goodRASFlag in a copy of an MGH header.
    return array, grid, header if is_unplaced(header) else image.header.copy()


def _is_small_integer(dtype):
    return dtype.kind in "iu" and dtype.itemsize <= 2


def _values(image, path, select, is_kept):
    try:
        if path is not None:
            _check_length(image)
        with _opened(image.dataobj) as voxels:
            return _slab_by_slab(voxels, select, is_kept)
    except MemoryError as error:
        raise VolumeError(
            file=path or IN_MEMORY,
            expected=f"room for {math.prod(image.shape):,} voxels",
            received="too little memory",
            remedy="check the shape in the header, or use a machine with more memory",
        ) from error
    except Exception as error:  # EOFError, OSError, zlib.error, ValueError: all that can break in the middle of a file
        raise VolumeError(
            file=path or IN_MEMORY,
            expected=f"{math.prod(image.shape):,} voxels",
            received=f"a truncated or damaged file ({error})",
            remedy="export or download it again",
        ) from error


def _slab_by_slab(voxels, select, is_kept):
    """Returns a copy of the selected voxels in native byte order; the file may change or vanish later."""
    dtype = get_obj_dtype(voxels).newbyteorder("=")
    values = np.empty(voxels.shape[:3], dtype if is_kept(dtype) else np.float32, order="F")
    slices = max(1, VOXELS_AT_ONCE // math.prod(values.shape[:2]))
    for start in range(0, values.shape[2], slices):
        slab = slice(start, min(start + slices, values.shape[2]))
        np.copyto(values[..., slab], voxels[(*select[:2], slab, *select[3:])])
    return values


@contextlib.contextmanager
def _opened(dataobj):
    """Yields the voxels of an image with their file open, so that a compressed file is unpacked only once."""
    if type(dataobj) is not ArrayProxy or not isinstance(dataobj.file_like, str):
        yield dataobj
        return
    layout = dataobj.shape, dataobj.dtype, dataobj.offset, dataobj.slope, dataobj.inter
    with ImageOpener(dataobj.file_like) as stream:
        yield ArrayProxy(stream, layout, mmap=False, order=dataobj.order)
        if dataobj.file_like.lower().endswith(COMPRESSED):
            # The checksum is at the end; nibabel stops before it and overlooks damage.
            while stream.read(2**20):
                pass


def _check_length(image):
    """Checks that the file can hold what its header claims, before memory is allocated for it."""
    path = Path(image.file_map["image"].filename)
    claimed = math.prod(image.shape) * np.dtype(image.get_data_dtype()).itemsize
    held = path.stat().st_size * (GZIP_MOST if path.name.lower().endswith(COMPRESSED) else 1)
    if claimed > held:
        raise EOFError(f"its header claims {claimed:,} bytes of voxels, it can hold {held:,} at most")


def _usable_intensities(array, name):
    lowest, highest = float(array.min()), float(array.max())
    if not np.isfinite([lowest, highest]).all():
        lowest, highest = _fill_holes(array, name)
    if lowest == highest:
        raise VolumeError(
            file=name,
            expected="an image with contrast",
            received=f"{lowest:g} in every voxel (a constant image)",
            remedy="check that it was exported whole",
        )
    return array


def _fill_holes(array, name):
    """Sets values that are NaN or infinite to the lowest of the others; returns the others' lowest and highest."""
    finite = np.isfinite(array)
    if not finite.any():
        raise VolumeError(
            file=name, expected="intensities", received="NaN or infinity in every voxel", remedy="export it again"
        )
    lowest = float(array.min(where=finite, initial=np.inf))
    highest = float(array.max(where=finite, initial=-np.inf))
    warnings.warn(
        f"{name}: {array.size - np.count_nonzero(finite):,} of {array.size:,} voxels were NaN or infinite and were "
        f"set to {lowest:g}, the smallest finite value",
        stacklevel=4,
    )
    array[~finite] = lowest
    return lowest, highest


def _whole_numbers(array, name):
    if array.dtype.kind in "iu":
        return array
    whole = np.isfinite(array).all() and np.array_equal(array, np.rint(array))
    if not whole or max(abs(float(array.min())), abs(float(array.max()))) > np.iinfo(np.int64).max // 2:
        raise VolumeError(
            file=name,
            expected="whole numbers in a label map",
            received="other values (an image, or labels that were interpolated)",
            remedy="give the label map, or resample it with nearest-neighbour interpolation",
        )
    small = np.iinfo(np.int32).min <= array.min() and array.max() <= np.iinfo(np.int32).max
    return array.astype(np.int32 if small else np.int64)


def _is_folder(path):
    return not isinstance(path, nib.spatialimages.SpatialImage) and Path(path).is_dir()


def _source(path):
    if isinstance(path, nib.spatialimages.SpatialImage):
        name = path.get_filename()
        return None if name is None else Path(name)
    return Path(path)


def _name(path):
    source = _source(path)
    return IN_MEMORY if source is None else str(source)

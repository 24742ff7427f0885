"""Reading of a scan or a label map: NIfTI, MGH/MGZ, Analyze, a folder of DICOM slices or a multi-frame DICOM file."""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy, get_obj_dtype, is_proxy
from nibabel.openers import ImageOpener

from recalib_keras.core.errors import VolumeError, warn_of_scan
from recalib_keras.core.memory import memory_for
from recalib_keras.core.scratch import extremes, release, scan_array
from recalib_keras.volumes import dicom
from recalib_keras.volumes.dicom.files import is_dicom_file
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.headers import check_voxel_size, is_nifti, is_plain_analyze, is_unplaced, quiet_nibabel
from recalib_keras.volumes.opening import (
    COMPRESSED,
    check_dtype,
    extensions,
    file_mode,
    open_image,
    select_volume,
)
from recalib_keras.volumes.placement import grid_of, sides_are_guessed
from recalib_keras.volumes.volume import Volume

# Deflate cannot compress further than this (RFC 1951: at most 258 bytes from 2 bits).
GZIP_MOST = 1032
# A file may hold this many bytes before its voxels (extensions), and this many behind them (footers).
MOST_BEFORE, MOST_BEHIND = 2**27, 2**24
# Files are read about this many voxels at a time: nibabel scales them in float64, in several copies.
VOXELS_AT_ONCE = 2**18
IN_MEMORY = "the image in memory"
# Labels are whole numbers to within this, and the rounding of float32 for large ones: SPM scales a mask of 0 and 255 by
# 1/255, which makes 1.00000006.
NEARLY_WHOLE, FLOAT32_ROUNDING = 1e-3, 2 * np.finfo(np.float32).eps
NEED_LESS = "check the shape in the header, or use a machine with more memory"

Source: TypeAlias = str | os.PathLike | nib.spatialimages.SpatialImage


def read(path: Source, volume: int | None = None, keep_integers: bool = False) -> Volume:
    """Reads one three-dimensional scan.

    Args:
        path: A `.nii`, `.nii.gz`, `.mgz`, `.mgh`, `.hdr` or `.img` file, a folder with one DICOM series, a multi-frame
            `.dcm` file, or a nibabel image, whose affine is used as it is.
        volume: Which volume of a 4-D file or of a DICOM series of several to read, counted from 0. A fourth axis of
            length 1 needs none.
        keep_integers: Whether integers of 8 or 16 bits that need no scaling keep their type, in a half or a quarter of
            the memory. A file's voxels of more than 128 MiB then lie in a file without a name in the folder of
            temporary files, which goes with the array, and need not be in memory as a whole.

    Returns:
        The scan on its own grid. Its array is float32, the header's scaling is applied, and all values are finite.

    Raises:
        VolumeError: The scan cannot be read or used. The message is one line: what was expected, what was found, and
            how to fix it.

    Warns:
        ScanWarning: Single voxels are NaN or infinite (they become the smallest finite value). Or left and right are
            uncertain: NIfTI whose qform and sform disagree or are both missing, Analyze without a .mat file that gives
            them, MGH whose `goodRASFlag` is 0 (the voxel size is then assumed to be 1 mm, too). DICOM: see
            `recalib_keras.volumes.read_series`.
    """
    if _is_dicom(path):
        array, grid, header = _load_series(path, volume)
    else:
        is_kept = _is_small_integer if keep_integers else lambda dtype: False
        array, grid, header = _load(path, volume, is_kept, scan_array if keep_integers else _in_memory)
    array = _usable_intensities(array, _name(path))
    return Volume(array, grid, header, _source(path))


def read_labels(path: Source, volume: int | None = None) -> Volume:
    """Reads a label map as `read` does a scan, but its array has integers and may be constant.

    A file may store its labels as floating-point numbers if all of them are whole to within 0.001; they are rounded.

    Args:
        path: A file or a nibabel image, see `read`.
        volume: Which volume of a 4-D file to read, see `read`.

    Raises:
        VolumeError: The file cannot be read, or a value is not a whole number.
    """
    if _is_dicom(path):
        raise VolumeError(
            file=path,
            expected=f"a label map in one file ({extensions()})",
            received="a folder" if Path(path).is_dir() else "a DICOM file",
            remedy="give the file itself",
        )
    array, grid, header = _load(path, volume, is_kept=lambda dtype: True)
    return Volume(_whole_numbers(array, _name(path)), grid, header, _source(path))


def _load_series(path, volume):
    with memory_for(0, "a series of DICOM slices", NEED_LESS, path, VolumeError):
        scan = dicom.read_series(path, volume)
    return scan.array, scan.grid, scan.header


def _in_memory(shape, dtype, order):
    return np.empty(shape, dtype, order)


def _load(
    path: Source, volume: int | None, is_kept: Callable[[np.dtype], bool], make: Callable[..., np.ndarray] = _in_memory
) -> tuple[np.ndarray, Grid, Any]:
    """Returns array, grid and header. The array, one that `make` gives, becomes float32 unless `is_kept(dtype)`."""
    name = _name(path)
    with quiet_nibabel():
        if in_memory := isinstance(path, nib.spatialimages.SpatialImage):
            image, header = path, path.header
        else:
            image, header = open_image(Path(path))
        voxels: Any = image.dataobj
        check_dtype(image.get_data_dtype() if is_proxy(voxels) else voxels.dtype, name)
        select = select_volume(image.shape, volume, name)
        if not in_memory:
            _check_length(image, name)
        if not is_nifti(header) and not (is_plain_analyze(header) and not sides_are_guessed(image)):
            check_voxel_size(header, name)
        grid = grid_of(image, header, name)
        array = _values(image, name, select, is_kept, make)
    # nibabel sets the goodRASFlag in a copy of an MGH header.
    return array, grid, header if is_unplaced(header) else image.header.copy()


def _is_small_integer(dtype):
    return dtype.kind in "iu" and dtype.itemsize <= 2


def _values(image, name, select, is_kept, make):
    count = math.prod(image.shape)
    try:
        with _opened(image.dataobj) as voxels:
            dtype = get_obj_dtype(voxels).newbyteorder("=")
            dtype = dtype if is_kept(dtype) else np.dtype(np.float32)
            needed = math.prod(image.shape[:3]) * dtype.itemsize
            with memory_for(needed, f"{count:,} voxels", NEED_LESS, name, VolumeError):
                return _slab_by_slab(voxels, select, make(voxels.shape[:3], dtype, order="F"))
    except VolumeError:
        raise
    except Exception as error:  # EOFError, OSError, zlib.error, ValueError: all that can break in the middle of a file
        raise _damaged(name, count, error) from error


def _damaged(name, count, reason):
    return VolumeError(
        file=name,
        expected=f"{count:,} voxels",
        received=f"a truncated or damaged file ({reason})",
        remedy="export or download it again",
    )


def _slab_by_slab(voxels, select, values):
    """Returns the array of values with the selected voxels copied into it; the file may change or vanish later."""
    slices = max(1, VOXELS_AT_ONCE // math.prod(values.shape[:2]))
    for start in range(0, values.shape[2], slices):
        slab = slice(start, min(start + slices, values.shape[2]))
        np.copyto(values[..., slab], voxels[(*select[:2], slab, *select[3:])])
        release(values)
    return values


@contextlib.contextmanager
def _opened(dataobj) -> Iterator[Any]:
    """Yields the voxels of an image with their file open, so that a compressed file is unpacked only once."""
    if not isinstance(dataobj, ArrayProxy) or not isinstance(dataobj.file_like, str):
        yield dataobj
        return
    layout = dataobj.shape, dataobj.dtype, dataobj.offset, dataobj.slope, dataobj.inter
    with ImageOpener(dataobj.file_like) as stream:
        yield ArrayProxy(stream, layout, mmap=False, order=dataobj.order)
        if dataobj.file_like.lower().endswith(COMPRESSED):
            _read_to_end(stream, dataobj.offset + math.prod(dataobj.shape) * dataobj.dtype.itemsize)


def _read_to_end(stream, promised):
    """Reads the rest of a compressed file: its checksum is at the end, and nibabel overlooks damage before it."""
    while stream.read(2**20):
        if stream.tell() > promised + MOST_BEHIND:
            raise ValueError(f"it unpacks to far more than the {promised:,} bytes that its header promises")


def _check_length(image, name):
    """Checks that the file can hold what its header claims, before memory is allocated for it."""
    path, count = Path(image.file_map["image"].filename), math.prod(image.shape)
    claimed, before = count * np.dtype(image.get_data_dtype()).itemsize, image.dataobj.offset
    held = path.stat().st_size * (GZIP_MOST if path.name.lower().endswith(COMPRESSED) else 1)
    if claimed + before > held:
        most = max(0, held - before)
        raise _damaged(name, count, f"its header claims {claimed:,} bytes of voxels, it can hold {most:,} at most")
    if before > MOST_BEFORE:
        raise _damaged(name, count, f"its header puts {before:,} bytes before the voxels, more than {MOST_BEFORE:,}")


def _usable_intensities(array, name):
    lowest, highest = map(float, extremes(array))
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
    warn_of_scan(
        f"{array.size - np.count_nonzero(finite):,} of {array.size:,} voxels were NaN or infinite and were set to "
        f"{lowest:g}, the smallest finite value",
        name,
    )
    array[~finite] = lowest
    return lowest, highest


def _whole_numbers(array, name):
    if array.dtype.kind in "iub":
        return array
    lowest, highest = float(array.min()), float(array.max())
    if not max(abs(lowest), abs(highest)) <= np.iinfo(np.int64).max // 2:  # NaN is not above or below anything
        raise _not_whole(lowest if np.isnan(lowest) or abs(lowest) > abs(highest) else highest, name)
    int32 = np.iinfo(np.int32)
    labels = np.empty(array.shape, np.int32 if int32.min <= lowest and highest < int32.max else np.int64, order="F")
    for index in range(array.shape[2]):
        values = array[..., index].astype(np.float64)
        whole = np.rint(values)
        off = np.abs(values - whole) > NEARLY_WHOLE + FLOAT32_ROUNDING * np.abs(whole)
        if off.any():
            raise _not_whole(values[off][0], name)
        labels[..., index] = whole
    return labels


def _not_whole(value, name):
    return VolumeError(
        file=name,
        expected="whole numbers in a label map",
        received=f"{value:g} (an image, or labels that were interpolated)",
        remedy="give the label map, or resample it with nearest-neighbour interpolation",
    )


def _is_dicom(path: Source) -> TypeGuard[str | os.PathLike]:
    if isinstance(path, nib.spatialimages.SpatialImage):
        return False
    mode = file_mode(path)
    return mode is not None and (stat.S_ISDIR(mode) or is_dicom_file(path))


def _source(path):
    if isinstance(path, nib.spatialimages.SpatialImage):
        name = path.get_filename()
        return None if name is None else Path(name)
    return Path(path)


def _name(path):
    source = _source(path)
    return IN_MEMORY if source is None else str(source)

"""Read a scan or a label map: NIfTI, MGH/MGZ, Analyze or a folder of DICOM slices."""

import contextlib
import math
import os
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy, get_obj_dtype
from nibabel.openers import ImageOpener

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes import dicom
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.headers import check_voxel_size, grid_of, is_unplaced, quiet_nibabel, stored_header
from recalib_keras.volumes.names import SCAN_SUFFIXES
from recalib_keras.volumes.volume import Volume

GZIP_MAGIC = b"\x1f\x8b"
# Deflate cannot compress further than this (RFC 1951: at most 258 bytes from 2 bits).
GZIP_MOST = 1032
COMPRESSED = (".gz", ".mgz")
# Files are read about this many voxels at a time: nibabel scales them in float64, in several copies.
VOXELS_AT_ONCE = 2**18
IN_MEMORY = "the image in memory"

Source = str | os.PathLike | nib.spatialimages.SpatialImage


def read(path: Source, volume: int | None = None, keep_integers: bool = False) -> Volume:
    """Read one three-dimensional scan.

    Args:
        path: A `.nii`, `.nii.gz`, `.mgz`, `.mgh`, `.hdr` or `.img` file, a folder that holds one DICOM series, or a
            nibabel image, whose affine is taken as it is.
        volume: Which volume of a 4-D file to read, counted from 0. A fourth axis of length 1 needs none.
        keep_integers: Whether integers of 8 or 16 bits that need no scaling stay what they are, in half the memory or
            a quarter of it.

    Returns:
        The scan on its own grid, its array float32 with the header's scaling applied and all values finite.

    Warns:
        UserWarning: Single voxels are NaN or infinite (they are set to the smallest finite value), or the header
            leaves left and right open: NIfTI with neither qform nor sform, Analyze without a .mat file that tells
            them, MGH whose `goodRASFlag` is 0 (its voxel size is then assumed to be 1 mm, too).

    Raises:
        VolumeError: The scan cannot be read or used; one line says what was expected, what came and how to mend it.
    """
    if _is_folder(path):
        scan = dicom.read_series(path)
        _check_volume_index(volume, 1, str(path))
        array, grid, header = scan.array, scan.grid, scan.header
    else:
        is_kept = _is_small_integer if keep_integers else lambda dtype: False
        array, grid, header = _load(path, volume, is_kept)
    array = _usable_intensities(array, _name(path))
    return Volume(array, grid, header, _source(path))


def read_labels(path: Source, volume: int | None = None) -> Volume:
    """Read a label map; as `read`, but the array is of integers, and a single label throughout is no error.

    A file that stores its labels as floating-point numbers is read if all of them are whole.

    Raises:
        VolumeError: As `read`, and where a value is no whole number.
    """
    if _is_folder(path):
        raise VolumeError(f"{path}: expected a label map in one file ({_extensions()}), got a folder")
    array, grid, header = _load(path, volume, is_kept=lambda dtype: True)
    return Volume(_whole_numbers(array, _name(path)), grid, header, _source(path))


def _load(path, volume, is_kept) -> tuple[np.ndarray, Grid, object]:
    """Return array, grid and header; a type of values that `is_kept` does not tell to keep becomes float32."""
    name = _name(path)
    with quiet_nibabel():
        in_memory = isinstance(path, nib.spatialimages.SpatialImage)
        image, header = (path, path.header) if in_memory else _open(Path(path))
        _check_dtype(image, name)
        select = _select_volume(image.shape, volume, name)
        check_voxel_size(header, name)
        grid = grid_of(image, header, name)
        array = _values(image, None if in_memory else Path(path), select, is_kept)
    # In a copy of an MGH header nibabel would set the goodRASFlag.
    return array, grid, header if is_unplaced(header) else image.header.copy()


def _is_small_integer(dtype):
    return dtype.kind in "iu" and dtype.itemsize <= 2


def _open(path):
    """Return the image and its header as stored."""
    _check_file(path)
    try:
        image = nib.load(path)
        return image, stored_header(image)
    except FileNotFoundError as error:
        raise VolumeError(
            f"{path}: expected a .hdr and an .img file side by side, got only one of them; put the other beside it"
        ) from error
    except Exception as error:  # nibabel raises over a dozen kinds of error for broken headers
        raise VolumeError(
            f"{path}: expected a NIfTI, MGH or Analyze image, got a file that is none or is damaged ({error}); "
            "export or download it again"
        ) from error


def _check_file(path):
    if not path.exists():
        raise VolumeError(f"{path}: expected a scan, got no such file; check the path")
    if not path.name.lower().endswith(SCAN_SUFFIXES):
        raise VolumeError(
            f"{path}: expected a file that ends in {_extensions()} or a folder of DICOM slices, got an unsupported "
            f"ending {path.suffix!r}; convert the scan, or for a DICOM slice give its folder"
        )
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise VolumeError(f"{path}: expected a readable file, got {error.strerror!r}; check its permissions") from error
    if not start:
        raise VolumeError(f"{path}: expected a scan, got an empty file (0 bytes); export or download it again")
    is_gzip, named_gzip = start == GZIP_MAGIC, path.name.lower().endswith(COMPRESSED)
    if is_gzip != named_gzip:
        raise VolumeError(
            f"{path}: expected {'gzip-compressed data' if named_gzip else 'plain data'} by the file's name, got "
            f"{'gzip-compressed data' if is_gzip else 'data that is not'}; it is not an image or has the wrong "
            f"ending: rename it to end {'with' if is_gzip else 'without'} '.gz' ('.mgz' for '.mgh')"
        )


def _check_dtype(image, name):
    dtype = np.dtype(image.get_data_dtype())
    if dtype.fields is not None or dtype.kind not in "biuf":
        kind = "colours (RGB)" if dtype.fields is not None else f"{dtype} (complex numbers)"
        raise VolumeError(
            f"{name}: expected one real number a voxel, got {kind}; convert the scan to a single grey-value channel"
        )


def _select_volume(shape, volume, name):
    """Return the index that makes an array of `shape` three-dimensional."""
    if len(shape) < 3:
        raise VolumeError(
            f"{name}: expected a 3-D image, got a {len(shape)}-D one of shape {shape}; give the whole volume, or "
            "store the slice with a third axis of length 1"
        )
    if 0 in shape:
        raise VolumeError(f"{name}: expected at least one voxel along each axis, got shape {shape}; export it again")
    further = [axis for axis in range(3, len(shape)) if shape[axis] > 1]
    if len(further) > 1:
        raise VolumeError(f"{name}: expected a 3-D or 4-D image, got shape {shape}; split it into 3-D images")
    count = shape[further[0]] if further else 1
    if count > 1 and volume is None:
        raise VolumeError(
            f"{name}: expected one 3-D volume, got a 4-D image of {count} volumes; choose one with --volume i "
            f"(volume=i in Python), i from 0 to {count - 1}"
        )
    _check_volume_index(volume, count, name)
    return (slice(None),) * 3 + tuple((volume or 0) if axis in further else 0 for axis in range(3, len(shape)))


def _check_volume_index(volume, count, name):
    if volume is not None and not 0 <= volume < count:
        raise VolumeError(
            f"{name}: expected a volume from 0 to {count - 1} (the image has {count}), got --volume {volume}"
        )


def _values(image, path, select, is_kept):
    try:
        if path is not None:
            _check_length(image)
        with _opened(image.dataobj) as voxels:
            return _slab_by_slab(voxels, select, is_kept)
    except MemoryError as error:
        raise VolumeError(
            f"{path or IN_MEMORY}: expected room for {math.prod(image.shape):,} voxels, got too little memory; see "
            "that the shape in the header is right, or use a machine with more memory"
        ) from error
    except Exception as error:  # EOFError, OSError, zlib.error, ValueError: whatever breaks in the middle of a file
        raise VolumeError(
            f"{path or IN_MEMORY}: expected {math.prod(image.shape):,} voxels, got a truncated or damaged file "
            f"({error}); export or download it again"
        ) from error


def _slab_by_slab(voxels, select, is_kept):
    """Return a copy of the selected voxels in native byte order: a file may change or vanish after the reading."""
    dtype = get_obj_dtype(voxels).newbyteorder("=")
    values = np.empty(voxels.shape[:3], dtype if is_kept(dtype) else np.float32, order="F")
    slices = max(1, VOXELS_AT_ONCE // math.prod(values.shape[:2]))
    for start in range(0, values.shape[2], slices):
        slab = slice(start, min(start + slices, values.shape[2]))
        np.copyto(values[..., slab], voxels[(*select[:2], slab, *select[3:])])
    return values


@contextlib.contextmanager
def _opened(dataobj):
    """Yield the voxels of an image with their file held open, so that a compressed one is unpacked only once."""
    if type(dataobj) is not ArrayProxy or not isinstance(dataobj.file_like, str):
        yield dataobj
        return
    layout = dataobj.shape, dataobj.dtype, dataobj.offset, dataobj.slope, dataobj.inter
    with ImageOpener(dataobj.file_like) as stream:
        yield ArrayProxy(stream, layout, mmap=False, order=dataobj.order)
        if dataobj.file_like.lower().endswith(COMPRESSED):
            # To the end, where the checksum stands; nibabel stops before and lets damage pass.
            while stream.read(2**20):
                pass


def _check_length(image):
    """Refuse a file far too short for its header, before memory is set aside for what the header claims."""
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
            f"{name}: expected an image with contrast, got {lowest:g} in every voxel (a constant image); "
            "check that it was exported whole"
        )
    return array


def _fill_holes(array, name):
    """Set what is NaN or infinite to the lowest of the other values; return these others' lowest and highest."""
    finite = np.isfinite(array)
    if not finite.any():
        raise VolumeError(f"{name}: expected intensities, got NaN or infinity in every voxel; export it again")
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
            f"{name}: expected whole numbers in a label map, got other values (an image, or labels that were "
            "interpolated); give the label map, or resample it with nearest-neighbour interpolation"
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


def _extensions():
    return ", ".join(SCAN_SUFFIXES)

"""Opening of a scan's file: checks of the path and of the kind of image, with one clear error for each fault."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.headers import stored_header, stored_mgh
from recalib_keras.volumes.names import MGH_SUFFIXES, PAIR_SUFFIXES, SCAN_SUFFIXES, partner
from recalib_keras.volumes.placement import repair

# Letters of a name that is too long in its message.
SHOWN = 80
GZIP_MAGIC = b"\x1f\x8b"
COMPRESSED = (".gz", ".mgz")
# How a volume of a 4-D image is chosen, wherever the message is read.
HOW_TO_CHOOSE = "--volume I, in Python volume=I, in a recipe volume = I under [data]"
# The classes of nibabel that a file may be of, by its ending; the first whose header it has.
SINGLE = (nib.Nifti1Image, nib.Nifti2Image)
PAIRS = (nib.Nifti1Pair, nib.Nifti2Pair, nib.Spm2AnalyzeImage, nib.Spm99AnalyzeImage, nib.AnalyzeImage)


def open_image(path: Path) -> tuple[nib.spatialimages.SpatialImage, Any]:
    """Returns the nibabel image of a file, and its header as stored in the file. Reads no voxels.

    The place in a NIfTI header is repaired first, see `recalib_keras.volumes.placement.repair`.

    Args:
        path: A file of any ending in `SCAN_SUFFIXES`.

    Raises:
        VolumeError: There is no such file, it has another ending or content, or it is damaged.
    """
    _check_file(path)
    try:
        return _open(path)
    except VolumeError:
        raise
    except Exception as error:  # nibabel raises over a dozen kinds of error for broken headers
        raise VolumeError(
            file=path,
            expected="a NIfTI, MGH or Analyze image",
            received=f"a damaged file, or one of another format ({error})",
            remedy="export or download it again",
        ) from error


def _open(path):
    files = _files(path)
    with ImageOpener(os.fspath(files["header"])) as file:
        block = file.read(nib.Nifti2Header.template_dtype.itemsize)
    image_class = _image_class(path, block)
    file_map = image_class.make_file_map({kind: os.fspath(file) for kind, file in files.items()})
    if not issubclass(image_class, (nib.Nifti1Pair, nib.MGHImage)):
        image = image_class.from_file_map(file_map)
        return image, stored_header(image)
    # From its first bytes alone: nibabel would unpack a file to find extensions before its voxels, or a footer behind.
    header_class = image_class.header_class
    block = block[: header_class.template_dtype.itemsize]
    header, stored = header_class(block), header_class(block, check=False)
    if image_class is nib.MGHImage:
        affine, stored = header.get_affine(), stored_mgh(block)
    else:
        affine = repair(header, stored, str(path))
    voxels = image_class.ImageArrayProxy(os.fspath(files["image"]), header)
    return image_class(voxels, affine, header, file_map=file_map), stored


def _files(path):
    """Returns by kind the files that a scan is made of."""
    if not path.name.lower().endswith(PAIR_SUFFIXES):
        return {"header": path, "image": path}
    other = partner(path)
    if not os.path.lexists(other):
        raise VolumeError(
            file=path,
            expected=f"a .hdr and an .img file side by side ({other.name} beside it)",
            received="only one of them",
            remedy="put the other beside it",
        )
    _check_regular(other)
    header, image = (path, other) if path.suffix.lower() == ".hdr" else (other, path)
    matrices = path.with_suffix(".mat")
    if matrices.exists():
        _check_regular(matrices)
    return {"header": header, "image": image, "mat": matrices}


def _image_class(path, block):
    name = path.name.lower()
    if name.endswith(MGH_SUFFIXES):
        return nib.MGHImage
    for image_class in PAIRS if name.endswith(PAIR_SUFFIXES) else SINGLE:
        if image_class.header_class.may_contain_header(block):
            return image_class
    raise ValueError("its first bytes are not a header of this format")


def _check_file(path):
    _check_regular(path)
    if not path.name.lower().endswith(SCAN_SUFFIXES):
        raise VolumeError(
            file=path,
            expected=f"a file that ends in {extensions()}, a folder of DICOM slices or a multi-frame .dcm file",
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


def _check_regular(path):
    """Refuses what would block or never end when it is opened: pipes, devices."""
    mode = file_mode(path)
    if mode is None:
        raise VolumeError(file=path, expected="a scan", received="no such file", remedy="check the path")
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
        raise VolumeError(
            file=path,
            expected="a regular file",
            received=kinds.get(stat.S_IFMT(mode), "a device"),
            remedy="write the scan into a file first",
        )


def file_mode(path: str | os.PathLike) -> int | None:
    """Returns the mode of a file or folder; None if it does not exist.

    Args:
        path: Where it should be.

    Raises:
        VolumeError: The operating system refuses the path: it is too long, or a folder above it is closed.
    """
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        too_long = getattr(error, "errno", None) == errno.ENAMETOOLONG
        shown = f"{os.fspath(path)[:SHOWN]}…" if too_long else path
        reason = "a name that is too long for the file system" if too_long else getattr(error, "strerror", str(error))
        raise VolumeError(
            file=shown, expected="the path of a scan", received=reason, remedy="check the path"
        ) from error


def _check_compression(path, start):
    is_gzip, named_gzip = start == GZIP_MAGIC, path.name.lower().endswith(COMPRESSED)
    if is_gzip != named_gzip:
        raise VolumeError(
            file=path,
            expected=f"{'gzip-compressed' if named_gzip else 'plain'} data by the file's name",
            received="gzip-compressed data" if is_gzip else "data that is not gzip",
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
            received=_in_words(dtype),
            remedy="convert the scan to a single grey-value channel",
        )


def _in_words(dtype):
    if dtype.fields is not None:
        return "colours (RGB)"
    return f"{dtype} (complex numbers)" if dtype.kind == "c" else f"values of the type {dtype}"


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
    if volume is None:
        return
    if not isinstance(volume, (int, np.integer)) or not 0 <= volume < count:
        raise VolumeError(
            file=name,
            expected=f"a volume from 0 to {count - 1} (the image has {count})",
            received=f"volume {volume!r}",
            remedy=f"choose another one: {HOW_TO_CHOOSE}" if count > 1 else "choose no volume",
        )


def extensions() -> str:
    """Returns the endings of scans in words."""
    return ", ".join(SCAN_SUFFIXES)

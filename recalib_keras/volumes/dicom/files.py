"""Which files of a folder are DICOM images, and their headers."""

from __future__ import annotations

import os
import re
import stat
import zlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from recalib_keras.core.errors import VolumeError, missing_package
from recalib_keras.core.memory import in_bytes
from recalib_keras.volumes.dicom.tags import tag_value
from recalib_keras.volumes.names import DICOM_SUFFIXES, SCAN_SUFFIXES

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
MARK = b"DICM"
# Without a preamble a file begins with its first data element, of one of these groups.
FIRST_GROUPS = (0x0002, 0x0008)
UNDEFINED_LENGTH = 0xFFFFFFFF
DEFLATED = "1.2.840.10008.1.2.1.99"
# The three transfer syntaxes without compression, by (implicit VR, little endian).
PLAIN_SYNTAXES = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
# A deflated file that unpacks to more than this is a bomb: pydicom unpacks it at once.
MOST_UNPACKED = 2**28
CHUNK = 2**20
EXPORT_AGAIN = "export or copy it again"


def import_pydicom() -> ModuleType:
    """Returns the module pydicom.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise missing_package("reading DICOM", "pydicom", 'pip install "recalib-keras[dicom]"') from error
    return pydicom


def image_headers(path: Path) -> list[tuple[Path, Dataset]]:
    """Returns `(file, header)` of every DICOM image in a folder in the order of names, or of the one file.

    Files that are not DICOM, and DICOM objects that are not images (DICOMDIR, reports, structures), are ignored. But a
    file that is not DICOM is an error if its name says that it is a slice: it has the ending of DICOM, or differs from
    the name of a slice only in digits. Then it is damaged, and without it an outermost slice could be lost.

    Args:
        path: A folder, whose subfolders are not searched, or a file.

    Raises:
        VolumeError: There is no image, or a file is damaged.
    """
    paths = _regular_files(path)
    found, others = [], []
    for file in paths:
        header = _header(file)
        if header is None:
            others.append(file)
        else:
            found.append((file, header))
    images = [(file, header) for file, header in found if "Rows" in header]
    for file in others:
        if _is_named_like_a_slice(file, images):
            raise _damaged(file, "its content is of another kind, or empty")
    if not images:
        raise _no_images(path)
    kinds = {_kind(file, header) for file, header in images}
    for file, header in found:
        if "Rows" not in header and _lost_its_image(file, _kind(file, header), kinds, images):
            raise _damaged(file, "it ends inside its header, or lacks Rows")
    return images


def _regular_files(path):
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if not path.is_file():
        received = "no regular file (a pipe or device)" if path.exists() else "no such file or folder"
        raise VolumeError(file=path, expected="a DICOM folder or file", received=received, remedy="check the path")
    return [path]


def read_whole(path: Path) -> Dataset:
    """Returns a DICOM file with its pixels. The transfer syntax is set, if it can be known.

    Args:
        path: The file.

    Raises:
        VolumeError: The file has changed since its header was read.
    """
    try:
        return _read(path, _block(path), stop_before_pixels=False)
    except Exception as error:
        raise _damaged(path, error) from error


def _header(path):
    """Returns the header of a DICOM file; None for other files."""
    try:
        block = _block(path)
        if not is_dicom(block):
            return None
        return _read(path, block, stop_before_pixels=True)
    except VolumeError:
        raise
    except Exception as error:  # a broken file raises one of a dozen errors
        raise _damaged(path, error) from error


def _block(path):
    with path.open("rb") as file:
        return file.read(PREAMBLE + len(MARK))


def is_dicom(block: bytes) -> bool:
    """Returns whether a file is DICOM, with the preamble and the mark that the standard demands or without them.

    Args:
        block: The first 132 bytes of the file.
    """
    return block[PREAMBLE:] == MARK or _begins_with_an_element(block)


def _begins_with_an_element(block):
    if len(block) < 12:
        return False
    for order in ("little", "big"):
        group, length = int.from_bytes(block[:2], order), int.from_bytes(block[4:8], order)
        is_explicit = block[4:6].isalpha() and block[4:6].isupper()
        # An implicit length is that of a short text or UID in these groups.
        if group in FIRST_GROUPS and (is_explicit or length < 2**16 or length == UNDEFINED_LENGTH):
            return True
    return False


def _read(path, block, stop_before_pixels):
    pydicom = import_pydicom()
    is_bare = block[PREAMBLE:] != MARK
    if not is_bare:
        _check_deflated(pydicom, path)
    dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=is_bare)
    if getattr(dataset, "file_meta", None) is None:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        encoding = getattr(dataset, "original_encoding", None)
        encoding = encoding or (dataset.read_implicit_vr, dataset.read_little_endian)
        if encoding in PLAIN_SYNTAXES:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(PLAIN_SYNTAXES[encoding])
    return dataset


def _check_deflated(pydicom, path):
    """Refuses a deflated file that unpacks to far more than an image."""
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DEFLATED:
        return
    with path.open("rb") as file:
        # The group's length counts from behind its own element of 12 bytes.
        file.seek(PREAMBLE + len(MARK) + 12 + tag_value(meta, "FileMetaInformationGroupLength", int, path))
        inflate, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while unpacked <= MOST_UNPACKED and not inflate.eof:
            packed = inflate.unconsumed_tail or file.read(CHUNK)
            if not packed:
                return
            unpacked += len(inflate.decompress(packed, CHUNK))
    if unpacked > MOST_UNPACKED:
        raise VolumeError(
            file=path,
            expected=f"a deflated DICOM file of at most {in_bytes(MOST_UNPACKED)}",
            received="one that unpacks to more",
            remedy="store it without compression, or as single slices",
        )


def _kind(path, header):
    """Returns what the file says it is (CT image, MR image, report, directory, …); None if it ends before that."""
    meta = tag_value(header.file_meta, "MediaStorageSOPClassUID", str, path, default=None)
    return meta or tag_value(header, "SOPClassUID", str, path, default=None)


def _lost_its_image(path, kind, kinds, images):
    """Returns whether a DICOM object without pixels should have some; pydicom reads a truncated file up to its end."""
    if kind is None or kind in kinds:
        return True
    is_known = kind in import_pydicom().uid.UID_dictionary
    return not is_known and _is_named_like_a_slice(path, images)


def _is_named_like_a_slice(path, images):
    if path.name.startswith("."):  # macOS puts ._NAME beside NAME
        return False
    names = {_without_digits(file) for file, _ in images}
    is_numbered = any(letter.isdigit() for letter in path.name)
    return path.name.lower().endswith(DICOM_SUFFIXES) or (is_numbered and _without_digits(path) in names)


def _without_digits(path):
    return re.sub(r"\d+", "0", path.name)


def _damaged(path, reason):
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    return VolumeError(
        file=path,
        expected="a DICOM file",
        received=f"one that cannot be read or is damaged ({reason})",
        remedy=f"{EXPORT_AGAIN}, or move it out of the folder if it is not a slice",
    )


def _no_images(path):
    if not path.is_dir():
        return VolumeError(
            file=path,
            expected="a DICOM image",
            received="a DICOM file without pixels (a report, a directory, structures)",
            remedy="give the file or folder of the scan",
        )
    scans = sum(file.name.lower().endswith(SCAN_SUFFIXES) for file in path.iterdir())
    held = f"no DICOM images in it but {scans} of another format" if scans else "no DICOM images in it"
    return VolumeError(
        file=path,
        expected="a folder of DICOM slices",
        received=f"a folder with {held} (its subfolders are not searched)",
        remedy=f"give those by their names, such as {path}/*" if scans else "give the folder that holds the slices",
    )


def is_dicom_file(path: str | os.PathLike) -> bool:
    """Returns whether a path is a regular file with the ending of DICOM, or without one and with DICOM's mark.

    Args:
        path: Any path that exists.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        return False
    name = path.name.lower()
    if name.endswith(DICOM_SUFFIXES + SCAN_SUFFIXES):
        return name.endswith(DICOM_SUFFIXES)
    try:
        return _block(path)[PREAMBLE:] == MARK
    except OSError:
        return False

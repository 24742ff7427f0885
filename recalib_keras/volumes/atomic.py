"""Write a file wholly or not at all."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from recalib_keras.volumes.errors import VolumeError


def atomic_write(path: str | os.PathLike, write: Callable[[Path], None]) -> Path:
    """Let `write` make a file beside `path` and put it in the place of `path` only once it is complete.

    A run that is stopped, a disk that fills up, or a power failure thus leaves the old file (or none), never half a new
    one; and files that were written one after the other are there in that order. Missing parent folders are made.

    Args:
        path: The file to make or replace.
        write: Called with the temporary path, which has the endings of `path` (`.nii.gz` stays `.nii.gz`).

    Returns:
        `path` as a `Path`.

    Raises:
        VolumeError: The operating system refuses: a folder that cannot be written, a full disk. Any other error of
            `write` passes through.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> atomic_write(Path(folder.name, "new", "dice.csv"), lambda temp: temp.write_text("dice") and None).name
        'dice.csv'
        >>> folder.cleanup()
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _wait_for_disk(temporary, os.O_RDWR)  # Windows waits for nothing that is opened to be read
        os.replace(temporary, path)
        _wait_for_name(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise VolumeError(
            f"expected to write {path}, got {reason!r}; check that its folder can be written and its disk has room"
        ) from error
    finally:
        _remove(temporary)
    return path


def _wait_for_disk(path, access):
    """Waits until the disk has what was written to a file, or the names in a folder."""
    descriptor = os.open(path, access)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wait_for_name(path):
    # Some systems cannot wait for a folder, and one that may be written need not be readable.
    try:
        _wait_for_disk(path.parent, os.O_RDONLY)
    except OSError:
        pass


def _remove(temporary):
    # After success there is nothing left to remove; after a refusal the removal may be refused as well.
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        pass

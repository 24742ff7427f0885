"""Read regular files only, and write files atomically: a reader sees the old file or the new one, never half of it."""

import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from recalib_keras.core.errors import RecalibError, WriteError

MOST_BYTES = 2**28  # of a recipe, a table, a state: far more than any of them needs
NAMES_OF_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def read_file(
    path: str | os.PathLike, expected: str, kind: type[RecalibError], remedy: str = "check the path"
) -> bytes:
    """Returns the content of a regular file; refuses what would block or never end, such as a pipe or a device.

    Args:
        path: The file.
        expected: What it should be, for the message.
        kind: The class of the error.
        remedy: How to fix it, for the message.

    Raises:
        RecalibError: There is no such file, it is no regular one or far too large, or the system refuses to read it.

    Example:
        >>> try:
        ...     read_file("/dev/null", "a recipe that can be read", RecalibError)
        ... except RecalibError as error:
        ...     print(error)
        /dev/null: expected a recipe that can be read, got a device; check the path
    """
    try:
        status = os.stat(path)
        received = None if stat.S_ISREG(status.st_mode) else _kind_of(status.st_mode)
        if status.st_size > MOST_BYTES:
            received = f"a file of {status.st_size:,} bytes"
        if received is None:
            return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        received = "no such file"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        received = repr(getattr(error, "strerror", None) or str(error))
    raise kind(file=path, expected=expected, received=received, remedy=remedy)


def check_lock_file(path: str | os.PathLike, kind: type[RecalibError]) -> None:
    """Checks that a lock file can be made: locking empties the file that it opens, or that a link points to.

    Args:
        path: The lock file, which may be missing.
        kind: The class of the error.

    Raises:
        RecalibError: There is a link, a folder, a pipe or a device instead.
    """
    try:
        status = os.lstat(path)
    except OSError:  # missing, or in a folder that is refused when the lock is made
        return
    if not stat.S_ISREG(status.st_mode):
        raise kind(file=path, expected="a lock file", received=_kind_of(status.st_mode), remedy="move it away")


def _kind_of(mode):
    kind = stat.S_IFMT(mode)
    return "a link" if kind == stat.S_IFLNK else NAMES_OF_KINDS.get(kind, "a device")


def atomic_write(path: str | os.PathLike, write: Callable[[Path], object]) -> Path:
    """Writes a file beside `path` and moves it there once it is complete.

    A run that is stopped, a full disk, or a power failure leaves the old file (or none), never half a new one. Files
    written one after the other reach the disk in that order. Missing parent folders are created.

    Args:
        path: The file to create or replace.
        write: Called with the temporary path, which has the suffixes of `path` (`.nii.gz` stays `.nii.gz`).

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: If the operating system refuses, for example on a full disk. Other errors of `write` pass through.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> atomic_write(Path(folder.name, "new", "dice.csv"), lambda temporary: temporary.write_text("dice")).name
        'dice.csv'
        >>> folder.cleanup()
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _wait_for_disk(temporary, os.O_RDWR)  # Windows syncs nothing opened read-only
        os.replace(temporary, path)
        _wait_for_name(path)
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "check that its folder can be written and its disk has room"
        raise WriteError(
            f"expected to write {path}, got {reason!r}; {remedy}",
            file=path,
            expected="a file that can be written",
            received=reason,
            remedy=remedy,
        ) from error
    finally:
        _remove(temporary)
    return path


def write_bytes(path: str | os.PathLike, content: bytes) -> Path:
    """Writes bytes atomically.

    Args:
        path: The file to create or replace.
        content: What the file will hold.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: See `atomic_write`.
    """
    return atomic_write(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Writes text atomically, as UTF-8 with the line breaks it has.

    Args:
        path: The file to create or replace.
        text: What the file will hold.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: See `atomic_write`.
    """
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike, content: object, indent: int | None = 2, ensure_ascii: bool = False) -> Path:
    """Writes JSON atomically.

    Args:
        path: The file to create or replace.
        content: What `json.dumps` takes.
        indent: Blanks for each level; None for a single line.
        ensure_ascii: Whether characters outside ASCII are escaped, for texts that may hold bytes that are not UTF-8,
            such as names of files.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: See `atomic_write`.
    """
    return write_text(path, json.dumps(content, indent=indent, ensure_ascii=ensure_ascii) + "\n")


def write_toml(path: str | os.PathLike, content: Mapping[str, object]) -> Path:
    """Writes TOML atomically.

    Args:
        path: The file to create or replace.
        content: What `tomli_w.dumps` takes; TOML has no null.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: See `atomic_write`.
    """
    import tomli_w  # here, so that reading presets does not load it

    return write_text(path, tomli_w.dumps(content))


def _wait_for_disk(path, access):
    """Waits until a file's content, or a folder's names, are on disk."""
    descriptor = os.open(path, access)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _wait_for_name(path):
    # Some systems cannot sync a folder, and a writable folder need not be readable.
    try:
        _wait_for_disk(path.parent, os.O_RDONLY)
    except OSError:
        pass


def _remove(temporary):
    # After success nothing is left to remove; after a refusal the removal may be refused too.
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        pass

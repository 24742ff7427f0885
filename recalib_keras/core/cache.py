"""The cache on this machine: its folder, what lies in it, and how it is cleared."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from recalib_keras.core.errors import WriteError

# The folders in the cache, with what they hold. Nothing else is ever removed.
PARTS = {
    "engines": "compiled networks, and which engine was selected",
    "files": "SHA-256 of files of scans",
    "presets": "presets from the internet, fetched again when they are needed",
    "scans": "scans prepared for training",
}


class Use(NamedTuple):
    """How much of the disk a part of the cache takes.

    Args:
        entries: Number of networks, scans or folders of files.
        size: In bytes.
    """

    entries: int
    size: int


def root() -> Path:
    """Returns the folder of the cache: `RECALIB_CACHE`, else `recalib_keras` in the user's cache folder.

    That is `$XDG_CACHE_HOME`, else `~/.cache` (XDG Base Directory Specification).
    """
    if os.environ.get("RECALIB_CACHE"):
        return Path(os.environ["RECALIB_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recalib_keras"


def use_of(part: str) -> Use:
    """Returns how much of the disk a part of the cache takes; files that vanish meanwhile do not count.

    Args:
        part: A key of `PARTS`.
    """
    folder = root() / part
    entries = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    return Use(entries, sum(_sizes(folder)))


def clear(part: str) -> int:
    """Removes a part of the cache. Whoever needs it afterwards makes it again.

    Args:
        part: A key of `PARTS`.

    Returns:
        How many bytes were freed.

    Raises:
        WriteError: The folder cannot be removed.
    """
    folder, size = root() / part, use_of(part).size
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise WriteError(
            file=error.filename or folder,
            expected="a folder that can be removed",
            received=repr(error.strerror),
            remedy="check its permissions, and that no training is writing to it",
        ) from None
    return size


@functools.cache
def source_digest(*places: str) -> str:
    """Returns a SHA-256 of some of the package's source: in a checkout it changes while the version stays.

    Args:
        *places: Packages and modules of `recalib_keras`, such as `"layers"` or `"training/data/examples.py"`.
    """
    files = [path for place in map(_path, places) for path in sorted(place.glob("**/*.py")) or [place]]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _path(place):
    package, _, rest = place.partition("/")  # packages need not lie in one folder, and are not imported here
    spec = find_spec(f"recalib_keras.{package}")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"expected a package of recalib_keras, got {package!r}")
    return Path(spec.submodule_search_locations[0]) / rest


def _sizes(folder: Path) -> Iterator[int]:
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                yield os.stat(os.path.join(path, name)).st_size
            except OSError:
                pass

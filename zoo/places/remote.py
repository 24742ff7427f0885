"""Presets from the internet: from a folder under a URL, or from a repository of Hugging Face; kept in the cache.

A preset's description is fetched once, and its weights when they are first needed; after that the network is not asked
again. Weights are those whose SHA-256 the description has.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import urllib.parse
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from recalib_keras.core import cache
from recalib_keras.core.errors import RecordError, WeightsError, missing_package
from recalib_keras.core.files import write_text
from recalib_keras.core.messages import one_line

DESCRIPTION, ORIGIN = "preset.json", "origin.txt"
HUB = "https://huggingface.co"
HUB_NAME = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)(?P<folder>/[\w./-]+)?")
BRANCHES = ("main", "master", "HEAD")  # what they show changes
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Place(NamedTuple):
    """Where a preset lies on the internet.

    Args:
        url: Of its folder, without a slash at the end.
        sha256: Of its `preset.json`, or None if it was not given.
    """

    url: str
    sha256: str | None


def is_remote(name: str | os.PathLike) -> bool:
    """Returns whether a name is that of a preset on the internet.

    Args:
        name: `hf://OWNER/REPOSITORY@REVISION`, with `/FOLDER` or without, or a URL.
    """
    return str(name).startswith(("hf://", "https://", "http://"))


def fetch(name: str) -> Path:
    """Returns the folder of a preset from the internet; its description is fetched if it is not in the cache.

    Args:
        name: See `parsed`.

    Raises:
        RecordError: The name does not fit, or there is no description under it.
        ImportError: The package that fetches is not installed.
    """
    place = parsed(name)
    key = hashlib.sha256(f"{place.url}#{place.sha256}".encode()).hexdigest()[:32]
    folder = cache.root() / "presets" / key / place.url.rpartition("/")[2]
    if not (folder / DESCRIPTION).is_file():
        expected = f"a {DESCRIPTION} under this address"
        remedy = "check the address, the revision and the connection"
        with _raised_as(RecordError, file=name, expected=expected, remedy=remedy):
            _retrieve(f"{place.url}/{DESCRIPTION}", place.sha256, folder / DESCRIPTION)
        write_text(folder / ORIGIN, place.url)
    return folder


def fetch_weights(folder: Path, name: str, sha256: str) -> Path:
    """Returns the file of weights of a preset from the internet, fetched and checked.

    Args:
        folder: The preset's folder in the cache.
        name: Of the file.
        sha256: What its SHA-256 must be.

    Raises:
        WeightsError: It cannot be fetched, or is another file.
        ImportError: The package that fetches is not installed.
    """
    url = f"{origin(folder)}/{name}"
    remedy = "check the connection; if the error persists, ask the publisher"
    with _raised_as(WeightsError, file=url, expected=f"weights with SHA-256 {sha256}", remedy=remedy):
        _retrieve(url, sha256, folder / name)
    return folder / name


def origin(folder: Path) -> str | None:
    """Returns the URL that a preset in the cache came from, or None for any other folder.

    Args:
        folder: The preset's folder.
    """
    file = folder / ORIGIN
    if cache.root() / "presets" not in folder.parents or not file.is_file():
        return None
    return file.read_text(encoding="utf-8")


def parsed(name: str) -> Place:
    """Returns where a preset lies.

    Args:
        name: `hf://OWNER/REPOSITORY@REVISION/FOLDER` with a tag or the hash of a commit as revision, without the folder
            for a preset at the repository's root; or the URL of a folder. `#sha256=…` at the end pins the
            `preset.json`.

    Raises:
        RecordError: The name does not fit, the revision is a branch, or the URL is not encrypted.

    Example:
        >>> parsed("hf://owner/repository@v1/unet3d_pe").url.partition("/owner/")[2]
        'repository/resolve/v1/unet3d_pe'
    """
    address, _, fragment = name.partition("#")
    sha256 = fragment.removeprefix("sha256=").lower() or None
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise RecordError(file=name, expected="#sha256= and 64 hexadecimal digits", received=f"#{fragment}")
    address = address.rstrip("/").removesuffix(f"/{DESCRIPTION}")
    return Place(_hub_url(address) if address.startswith("hf://") else _checked_url(address), sha256)


def _hub_url(address):
    found = HUB_NAME.fullmatch(address)
    if found is None or found["revision"] in BRANCHES or ".." in address:
        raise RecordError(
            file=address,
            expected="hf://OWNER/REPOSITORY@REVISION/FOLDER with a revision that stays as it is (no folder: the preset "
            "at the repository's root)",
            received=f"the branch {found['revision']!r}" if found and found["revision"] in BRANCHES else "another form",
            remedy="give a tag or the hash of a commit as the revision",
        )
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    return _checked_url(f"{hub}/{found['repository']}/resolve/{found['revision']}{found['folder'] or ''}")


def _checked_url(url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise RecordError(file=url, expected="an address that begins with https://", received="http://")
    if not parts.hostname or not parts.path.strip("/"):
        raise RecordError(file=url, expected="the address of a preset's folder", received="none")
    return url


@contextmanager
def _raised_as(error_class, **parts):
    """Raises what goes wrong inside as an error of a class, with the rest of its parts."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise error_class(received=one_line(error), **parts) from None


def _retrieve(url, sha256, path):
    if importlib.util.find_spec("pooch") is None:
        raise missing_package("a preset from the internet", "pooch", 'pip install "recalib-keras[hub]"')
    import pooch

    pooch.get_logger().setLevel("WARNING")
    known = None if sha256 is None else f"sha256:{sha256}"
    pooch.retrieve(url, known, fname=path.name, path=path.parent)

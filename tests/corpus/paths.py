"""Paths that are not regular files, and names that break tables and messages."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .cases import Case, shuffled
from .scans import ARRAY, PLACE, nifti

SCAN_NAMES = ("scan.nii", "scan.nii.gz", "scan.mgz", "scan.mgh", "scan.img", "scan.hdr")
RECORDS = {"recipe": "recipe.toml", "study": "study.toml", "table": "volumes.csv", "report": "dice.csv",
           "names": "names.txt", "labels": "labels.nii.gz"}  # fmt: skip
# Odd names that a scan may have all the same.
ODD_NAMES = ("=1+1", "+cmd", "-x", "@SUM(A1)", "a\nb", "a\tb", "a\rb", "a b", "ä日本", "a|b", "<b>", "a,b", 'a"b', "%s",
             "{x}", "*", "a" * 230, "\x1b[31m", "$(id)", "..a", "'", "\udcff", "\x7f")  # fmt: skip


def path_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields pipes, devices, folders, broken links and missing files of every reader, and scans of odd names."""
    places = [("scan", name) for name in SCAN_NAMES] + list(RECORDS.items())
    makers = {"a pipe": _pipe, "a folder": _folder, "/dev/zero": _link("/dev/zero"), "/dev/null": _link("/dev/null"),
              "a broken link": _link("nowhere"), "a link to itself": _link(None), "no file": lambda path: None,
              "an empty file": lambda path: path.touch(), "a socket": _socket}  # fmt: skip
    cases = [_case(reader, name, what, make) for reader, name in places for what, make in makers.items()]
    cases += [Case(f"a name of {length} letters", _long(length), must="refuse") for length in (300, 5000)]
    cases += [
        Case(
            f"scan named {name!r}",
            lambda folder, name=name: nifti(folder / "scan.nii").rename(folder / f"{name}.nii"),
            places=(PLACE,),
            values=ARRAY,
            must="read",
        )
        for name in ODD_NAMES
    ]
    yield from shuffled(rng, cases)


def _case(reader, name, what, make):
    def write(folder):
        make(folder / name)
        return folder / name

    # A table of volumes that is missing is made; an empty folder or file may be refused by what it lacks.
    may_be_missing = reader == "table" and what in ("no file", "a broken link", "a link to itself")
    return Case(f"{what} as {name}", write, reader, must=None if may_be_missing else "refuse")


def _pipe(path):
    os.mkfifo(path)


def _folder(path):
    path.mkdir()


def _socket(path):
    import socket

    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(here)


def _link(target):
    return lambda path: path.symlink_to(target or path.name)


def _long(length):
    return lambda folder: folder / f"{'a' * length}.nii"

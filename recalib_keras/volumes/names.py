"""The names of scans on disk: their endings, the name without one, and the files of a pair and of channels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# One file holds one scan or label map: what datasets are made of, and what can be written.
NIFTI_SUFFIXES, MGH_SUFFIXES = (".nii.gz", ".nii"), (".mgz", ".mgh")
LABEL_SUFFIXES = NIFTI_SUFFIXES + MGH_SUFFIXES
# `.img` and `.hdr` lie side by side and are one scan.
PAIR_SUFFIXES = (".img", ".hdr")
SCAN_SUFFIXES = (*LABEL_SUFFIXES, *PAIR_SUFFIXES)
# A file of these may hold one scan (multi-frame) or a slice of it; many DICOM files have no ending at all.
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
LABELS_ENDING = "_labels"  # what a batch adds to the name of a scan for its label map
# nnU-Net's name of a channel's file: that of the scan, and the number of the channel.
CHANNEL_FILE = re.compile(r"(?P<scan>.+)_(?P<channel>\d{4})")


def stem(path: Path) -> str:
    """Returns the name of a scan's file without its suffix; any other name, such as a folder's, unchanged.

    Args:
        path: The file or folder.

    Example:
        >>> stem(Path("scans/head.T1.nii.gz")), stem(Path("scans/series.7"))
        ('head.T1', 'series.7')
    """
    name = path.name
    suffix = next((suffix for suffix in SCAN_SUFFIXES + DICOM_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def channel_ending(channel: int) -> str:
    """Returns what nnU-Net adds to the name of a scan for the file of a channel.

    Args:
        channel: Number of the channel, from 0.

    Example:
        >>> channel_ending(0)
        '_0000'
    """
    return f"_{channel:04}"


def one_per_scan(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Returns paths without the second file of each pair: `x.hdr` and `x.img` are one scan.

    Args:
        paths: Files and folders of scans, in any order.

    Example:
        >>> [path.name for path in one_per_scan(["x.hdr", "x.img", "y.img"])]
        ['x.hdr', 'y.img']
    """
    found, pairs = [], set()
    for path in map(Path, paths):
        suffix = path.suffix.lower()
        if suffix in PAIR_SUFFIXES:
            other = PAIR_SUFFIXES[1 - PAIR_SUFFIXES.index(suffix)]
            if (path.with_suffix(""), other) in pairs:
                continue
            pairs.add((path.with_suffix(""), suffix))
        found.append(path)
    return found


def partner(path: Path) -> Path:
    """Returns the other file of a pair, in the spelling that is on disk.

    Args:
        path: A file that ends in `.img` or `.hdr`, in upper or lower case.
    """
    other = PAIR_SUFFIXES[1 - PAIR_SUFFIXES.index(path.suffix.lower())]
    spellings = [path.with_suffix(spelled) for spelled in (other, other.upper(), other.title())]
    if path.suffix.isupper():
        spellings.insert(0, spellings[1])
    return next((file for file in spellings if os.path.lexists(file)), spellings[0])

"""The description of a set of scans, and the function that finds its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.scan import LabelledScan


@dataclass(frozen=True)
class Description:
    """A set of labelled scans, in words.

    Args:
        name: As in `find_scans(folder, dataset=name)`.
        title: What is shown and labelled, in one line.
        labels: Name of each label number, 0 included; None if each folder has its own.
        layout: Which files are expected where, and where they come from.
        licence: Of the scans and label maps.
        citation: What to cite, as BibTeX; empty for a user's own scans.
        homepage: Address of the organisers' page; empty for a user's own scans.
    """

    name: str
    title: str
    labels: Mapping[int, str] | None
    layout: str
    licence: str
    citation: str = ""
    homepage: str = ""


class Survey(NamedTuple):
    """What names and headers say about a folder.

    Attributes:
        scans: The labelled scans, sorted by name.
        labels: Name of each label number; None if only the label maps themselves know the numbers.
        problems: What keeps scans from being read, such as a missing label map.
        remarks: What is wrong but keeps no scan from being read, such as a label map without a scan.
        includes: For each label number that stands for several, the others; see `recalib_keras.zoo.Label.includes`.
    """

    scans: list[LabelledScan]
    labels: Mapping[int, str] | None
    problems: list[Problem]
    remarks: list[Problem]
    includes: Mapping[int, tuple[int, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class Source:
    """A set, and the function that finds its scans.

    Args:
        description: The set, in words.
        find: Function of a folder (`pathlib.Path`), and of `volume` if the set takes one, that returns a `Survey`. It
            reads headers at most, and raises `FileNotFoundError` if the folder does not hold this set at all.
        takes_volume: Whether images may be 4-D, so that one volume of them must be chosen.
    """

    description: Description
    find: Callable[..., Survey]
    takes_volume: bool = False

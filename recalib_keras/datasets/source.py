"""What is known of a set of scans, and how its files are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.scan import LabelledScan


@dataclass(frozen=True)
class Description:
    """A set of labelled scans, in words.

    Args:
        name: as in `find_scans(folder, dataset=name)`.
        title: what is shown and labelled, in a line.
        labels: name of each label number, 0 included; None where each folder has its own.
        layout: which files are expected where, and where they come from.
        licence: of the scans and label maps.
        citation: what to cite, as BibTeX; empty for a user's own scans.
        homepage: address of the organisers' page; empty for a user's own scans.
    """

    name: str
    title: str
    labels: Mapping[int, str] | None
    layout: str
    licence: str
    citation: str = ""
    homepage: str = ""


class Survey(NamedTuple):
    """What names and headers tell of a folder.

    Attributes:
        scans: list of `LabelledScan`, sorted by name.
        labels: name of each label number; None if only the label maps themselves tell the numbers.
        problems: what keeps scans from being read, such as a missing label map.
        remarks: what is amiss but keeps no scan from being read, such as a label map without a scan.
    """

    scans: list[LabelledScan]
    labels: Mapping[int, str] | None
    problems: list[Problem]
    remarks: list[Problem]


@dataclass(frozen=True)
class Source:
    """A set, and the function that finds its scans.

    Args:
        description: `Description`.
        find: function of a folder (`pathlib.Path`), and of `volume` if the set takes one, that returns a `Survey`. It
            reads headers at most, and raises `FileNotFoundError` where the folder is not of this set at all.
        takes_volume: whether images may be 4-D, so that one volume of them must be chosen.
    """

    description: Description
    find: Callable[..., Survey]
    takes_volume: bool = False

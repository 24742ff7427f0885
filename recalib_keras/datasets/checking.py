"""Read every scan of a set and report everything that is wrong, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recalib_keras.core.messages import listed
from recalib_keras.datasets.label_mapping import distinct
from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.scan import LabelledScan

# How many label numbers a message lists; the rest is counted.
MOST_NUMBERS = 40


@dataclass
class Review:
    """What reading all scans of a set showed.

    Args:
        problems: Everything that is wrong.
        shapes: How many scans there are of each shape (voxels).
        spacings: How many there are of each spacing (mm, rounded to 0.001).
        orientations: How many there are of each orientation.
        labels: How many scans have each label number; merged numbers count as what they are merged into.
    """

    problems: list[Problem] = field(default_factory=list)
    shapes: Counter = field(default_factory=Counter)
    spacings: Counter = field(default_factory=Counter)
    orientations: Counter = field(default_factory=Counter)
    labels: Counter = field(default_factory=Counter)

    def names(self, labels: Mapping[int, str] | None = None) -> dict[int, str]:
        """Returns number to name of all labels: the given ones, and "label N" for any other number that was found.

        Args:
            labels: Known names.
        """
        found = {0: "background"} | {number: f"label {number}" for number in self.labels if number}
        return dict(sorted((found | dict(labels or {})).items()))


def check(scans: Sequence[LabelledScan], labels: Collection[int] | None = None) -> list[Problem]:
    """Returns every problem of a set; an empty list if there is none.

    Reports two scans of one name, patients in both parts, files that cannot be read, label maps of another shape or
    affine than their scan, and label numbers that the set does not have.

    Args:
        scans: The scans of the set.
        labels: The label numbers that may occur, such as a mapping of numbers to names; None for any.
    """
    return [*across(scans), *review(scans, labels).problems]


def review(scans: Iterable[LabelledScan], labels: Collection[int] | None = None) -> Review:
    """Reads each scan by itself, and returns what that showed.

    Args:
        scans: Are read one after the other.
        labels: The label numbers that may occur; None for any.
    """
    found = Review()
    for scan in scans:
        image, label_map, problems = scan.inspect()
        found.problems += problems
        if image is not None:
            found.shapes[image.grid.shape] += 1
            found.spacings[tuple(round(size, 3) for size in image.grid.spacing)] += 1
            found.orientations[image.grid.orientation] += 1
        if label_map is not None:
            numbers = np.unique(scan.merged(np.array(distinct(label_map.array)))).tolist()
            found.labels.update(numbers)
            found.problems += unknown_labels(scan, numbers, labels)
    return found


def across(scans: Iterable[LabelledScan]) -> list[Problem]:
    """Returns what is wrong between scans: two of one name, or a patient in the training and in the test part.

    Args:
        scans: The scans of the set.
    """
    by_name, by_patient, problems = {}, {}, []
    for scan in scans:
        first = by_name.setdefault(scan.name, scan)
        if first is not scan:
            problems.append(
                Problem(scan.image, "a scan with a unique name", f"the name of {first.image}", "rename one")
            )
        other = by_patient.setdefault(scan.patient, scan)
        if other.part != scan.part:
            received = (
                f"patient {scan.patient} in {scan.part or 'no part'} here, in {other.part or 'no part'} as "
                f"{other.image}"
            )
            problems.append(Problem(scan.image, "all scans of a patient in one part", received, "correct the parts"))
    return problems


def without_structures(scans: Sequence[LabelledScan], numbers: Collection[int]) -> list[Problem]:
    """Returns the problem that no label map of a set has a structure, if so.

    Args:
        scans: The scans.
        numbers: Those in all of their label maps.
    """
    if any(numbers) or not scans:
        return []
    remedy = "check that these are the label maps, and that their values were stored"
    return [Problem(scans[0].labels.parent, "label maps with structures", "only 0 in all of them", remedy)]


def unknown_labels(scan: LabelledScan, numbers: Iterable[int], labels: Collection[int] | None) -> list[Problem]:
    """Returns the problem that a label map has numbers which the set does not have, if so.

    Args:
        scan: The scan.
        numbers: Those in its label map.
        labels: The label numbers that may occur; None for any.
    """
    unknown = [] if labels is None else [number for number in numbers if number not in labels]
    if not unknown:
        return []
    remedy = "correct the label map, or name these labels in the data set's list"
    return [Problem(scan.labels, f"the label numbers {_in_words(sorted(labels))}", f"{_in_words(unknown)} too", remedy)]


def _in_words(numbers):
    return listed(numbers, MOST_NUMBERS)

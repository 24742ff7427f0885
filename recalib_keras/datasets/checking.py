"""Read every scan of a set and tell all that is wrong, file by file."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from recalib_keras.datasets.problems import Problem


@dataclass
class Review:
    """What reading all scans of a set showed.

    Attributes:
        problems: list of `Problem`.
        shapes, spacings, orientations: how many scans there are of each (voxels; millimetres, rounded to 0.001).
        labels: in how many scans each label number stands, those that are merged as what they count as.
    """

    problems: list[Problem] = field(default_factory=list)
    shapes: Counter = field(default_factory=Counter)
    spacings: Counter = field(default_factory=Counter)
    orientations: Counter = field(default_factory=Counter)
    labels: Counter = field(default_factory=Counter)

    def names(self, labels=None):
        """Returns number to name of all labels: those given, and one made of its number for any other that was met."""
        met = {0: "background"} | {number: f"label {number}" for number in self.labels if number}
        return dict(sorted((met | dict(labels or {})).items()))


def check(scans, labels=None):
    """Returns a list of `Problem`, every one there is, empty if all is well.

    Told are two scans of one name, patients in both parts, files that cannot be read, label maps of another shape or
    affine than their scan's, and label numbers that are not the set's.

    Args:
        scans: list of `LabelledScan`.
        labels: the label numbers there may be (an iterable, such as a mapping of numbers to names); None for any.
    """
    return [*across(scans), *review(scans, labels).problems]


def review(scans, labels=None):
    """Returns a `Review` of each scan by itself.

    Args:
        scans: iterable of `LabelledScan`; they are read one after the other.
        labels: see `check`.
    """
    found = Review()
    known = None if labels is None else np.array(sorted(labels))
    for scan in scans:
        inspection = scan.inspect()
        found.problems += inspection.problems
        if inspection.image is not None:
            grid = inspection.image.grid
            found.shapes[grid.shape] += 1
            found.spacings[tuple(round(size, 3) for size in grid.spacing)] += 1
            found.orientations[grid.orientation] += 1
        if inspection.labels is not None:
            numbers = np.unique(scan.merged(np.unique(inspection.labels.array)))
            found.labels.update(numbers.tolist())
            found.problems += _unknown(scan, numbers, known)
    return found


def across(scans):
    """Returns what is wrong between scans: two of one name, or a patient in the training and in the test part."""
    by_name, parts, problems = {}, {}, []
    for scan in scans:
        first = by_name.setdefault(scan.name, scan)
        if first is not scan:
            problems.append(Problem(scan.image, "a scan of a name of its own", f"the name of {first.image}"))
        known = parts.setdefault(scan.patient, scan)
        if known.part != scan.part:
            problems.append(
                Problem(
                    scan.image,
                    "all scans of a patient in one part",
                    f"patient {scan.patient} in {scan.part or 'no part'} here, in {known.part or 'no part'} as "
                    f"{known.image}",
                )
            )
    return problems


def _unknown(scan, numbers, known):
    if known is None:
        return []
    unknown = np.setdiff1d(numbers, known).tolist()
    if not unknown:
        return []
    return [Problem(scan.labels, f"the label numbers {_in_words(known.tolist())}", f"{_in_words(unknown)} too")]


def _in_words(numbers, most=40):
    return ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")

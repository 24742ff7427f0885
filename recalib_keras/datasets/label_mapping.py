"""The label maps of a set in the numbers of others, by the names of the labels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recalib_keras.datasets.problems import DatasetError, Problem
from recalib_keras.datasets.scan import LabelledScan
from recalib_keras.volumes import smallest_integer


@dataclass(frozen=True)
class RenumberedScan:
    """A labelled scan whose label map has other numbers when read than on disk.

    Args:
        scan: `LabelledScan`.
        numbers: for each number on disk the one it is read as.
    """

    scan: LabelledScan
    numbers: Mapping[int, int]

    @property
    def name(self):
        """Of the scan."""
        return self.scan.name

    def read(self):
        """Returns image and labels; as `LabelledScan.read`.

        Raises:
            DatasetError: as there, and if the label map has a number that is none of `numbers`.
        """
        image, labels = self.scan.read()
        known = np.array(sorted(self.numbers))
        unknown = np.setdiff1d(labels.array, known)
        if unknown.size:
            found = f"{unknown[:10].tolist()} too; name them, or give the label map as it belongs to the set"
            raise DatasetError([Problem(self.scan.labels, f"the label numbers {known.tolist()}", found)])
        numbers = np.array([self.numbers[number] for number in known.tolist()])
        numbers = numbers.astype(smallest_integer(numbers))
        return image, replace(labels, array=numbers[np.searchsorted(known, labels.array)])


def renumber(scans, names, labels):
    """Returns scans as a `RenumberedScan` each, and which labels they may have.

    Labels are the same if their names are: upper and lower case, blanks, `_` and `-` do not count. What has none of the
    names becomes background, 0.

    Args:
        scans: list of `LabelledScan`.
        names: name of each number that their label maps may have besides 0.
        labels: sequence of things with an `id` and a `name`, such as `recalib_keras.zoo.Label`, without the background.

    Raises:
        ValueError: if none of the labels is among the names.

    >>> from recalib_keras.evaluation import Structure
    >>> scans = [LabelledScan("a", "image.nii", "labels.nii")]
    >>> (scan,), found = renumber(scans, {1: "Left_Kidney", 2: "spleen"}, [Structure(6, "left kidney", (255, 0, 0))])
    >>> scan.numbers
    {0: 0, 1: 6, 2: 0}
    """
    ids = {_plain(label.name): label.id for label in labels}
    numbers = {0: 0} | {number: ids.get(_plain(name), 0) for number, name in names.items() if number}
    found = [label for label in labels if label.id in numbers.values()]
    if not found:
        raise ValueError(
            f"expected a set with labels of {', '.join(label.name for label in labels)}, got "
            f"{', '.join(name for number, name in names.items() if number)}; name its numbers as the former are"
        )
    return [RenumberedScan(scan, numbers) for scan in scans], found


def _plain(name):
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()

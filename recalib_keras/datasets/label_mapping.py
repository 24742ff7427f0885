"""Label numbers replaced by others: by number, or for a set of scans by the names of its labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recalib_keras.core.messages import listed, plain_name
from recalib_keras.datasets.problems import DatasetError, Problem
from recalib_keras.volumes import Channels, Volume, smallest_integer

if TYPE_CHECKING:
    from recalib_keras.datasets.scan import LabelledScan

# Label numbers up to this size are looked up in a table, larger ones by bisection.
LARGEST_IN_TABLE = 1 << 20
MOST_UNKNOWN = 10
# Value of ignored voxels where labels are renumbered: the numbers of labels are never below 0.
UNKNOWN = -1


@dataclass(frozen=True)
class LabelMapping:
    """Which number replaces each label number; call it with an array to replace them.

    All numbers are replaced at once, so that the result of one replacement is never replaced again.

    Args:
        numbers: For each label number the number that replaces it.
        keeps_others: Whether any other number stays as it is. If not, any other number is unknown.

    Example:
        >>> mapping = LabelMapping({0: 0, 17: 1, 53: 300})
        >>> mapping(np.array([0, 53, 17]))
        array([  0, 300,   1], dtype=uint16)
        >>> mapping.unknown(np.array([17, 18, 18, -1]))
        [-1, 18]
    """

    numbers: Mapping[int, int]
    keeps_others: bool = False

    @classmethod
    def merging(cls, merge: Mapping[Any, int] | Iterable[tuple[Any, int]]) -> LabelMapping:
        """Returns the mapping by which some numbers count as others, and all others stay as they are.

        Args:
            merge: Number to the number that it counts as, as a mapping or as pairs. A number may be text, as the keys
                of JSON and TOML are.

        Example:
            >>> LabelMapping.merging({"53": 17})(np.array([17, 53, 2], "uint8"))
            array([17, 17,  2], dtype=uint8)
        """
        return cls({int(number): other for number, other in dict(merge).items()}, keeps_others=True)

    @classmethod
    def to_classes(cls, labels: Iterable[int]) -> LabelMapping:
        """Returns the mapping from label numbers to classes, the index of each number in a sequence.

        Example:
            >>> LabelMapping.to_classes([0, 53, 17])(np.array([17, 0, 53]))
            array([2, 0, 1], dtype=uint8)
        """
        return cls({int(number): place for place, number in enumerate(labels)})

    def __call__(self, label_map: np.ndarray) -> np.ndarray:
        """Returns an array of label numbers with each number replaced.

        Args:
            label_map: Integers, of any shape.

        Returns:
            An array of that shape, in the smallest integer type that holds every number of the mapping. A mapping that
            keeps others returns the type of `label_map`, unless a new number is too large for it.

        Raises:
            ValueError: If there are unknown numbers; the first ten are listed.
        """
        found = distinct(label_map)
        unknown = self._unknown(found)
        if unknown:
            raise ValueError(f"expected the label numbers {listed(sorted(self.numbers), 40)}, got {unknown} too")
        replaced = [self.numbers.get(number, number) for number in found]
        return _looked_up(label_map, found, np.array(replaced, self._dtype(label_map.dtype, replaced)))

    def unknown(self, label_map: np.ndarray) -> list[int]:
        """Returns the numbers of an array that the mapping does not know: sorted, and at most the first ten."""
        return self._unknown(distinct(label_map))

    def _unknown(self, found):
        return [] if self.keeps_others else [number for number in found if number not in self.numbers][:MOST_UNKNOWN]

    def _dtype(self, dtype, replaced):
        new = np.array([0, *replaced] if self.keeps_others else [*self.numbers.values()] or [0])
        if self.keeps_others and new.min() >= np.iinfo(dtype).min and new.max() <= np.iinfo(dtype).max:
            return dtype
        return smallest_integer(new)


def distinct(label_map: np.ndarray) -> list[int]:
    """Returns the different numbers of an array of integers, sorted.

    Example:
        >>> distinct(np.array([[3, 0], [0, -1]]))
        [-1, 0, 3]
    """
    size = _table_size(label_map)
    if size is None:
        return np.unique(label_map).tolist()
    is_there = np.zeros(size, bool)
    is_there[label_map] = True  # a negative number counts from the end of the table
    places = np.flatnonzero(is_there)
    negative = places >= size + int(label_map.min(initial=0))
    return [*(places[negative] - size).tolist(), *places[~negative].tolist()]


def _looked_up(label_map, found, replaced):
    size = _table_size(label_map)
    if size is None:
        return replaced[np.searchsorted(np.array(found, label_map.dtype), label_map)]
    table = np.zeros(size, replaced.dtype)
    table[found] = replaced
    return table[label_map]


def _table_size(label_map):
    """Returns how many entries a table needs for all numbers from the lowest to the highest, or None for too many."""
    lowest, highest = int(label_map.min(initial=0)), int(label_map.max(initial=0))
    return highest + 1 - lowest if max(-lowest, highest) <= LARGEST_IN_TABLE else None


@dataclass(frozen=True)
class RenumberedScan:
    """A labelled scan whose label map has other numbers when it is read than on disk.

    Args:
        scan: The scan as it lies on disk.
        numbers: For each number on disk the number that it is read as.
    """

    scan: LabelledScan
    numbers: Mapping[int, int]

    @property
    def name(self) -> str:
        """The name of the scan."""
        return self.scan.name

    @property
    def ignore(self) -> int | None:
        """The number of ignored voxels, or None; see `LabelledScan`."""
        return None if self.scan.ignore is None else UNKNOWN

    def knows(self, number: int) -> bool:
        """Returns whether a label was looked for in the scan.

        Args:
            number: The number that it is read as.
        """
        return all(self.scan.knows(stored) for stored, read in self.numbers.items() if read == number)

    def read(self) -> tuple[Volume | Channels, Volume]:
        """Returns image and labels; see `LabelledScan.read`.

        Raises:
            DatasetError: As there, and if the label map has a number that is not in `numbers`.
        """
        image, labels = self.scan.read()
        unseen = {} if self.ignore is None else {self.scan.ignore: self.ignore}
        mapping = LabelMapping({**self.numbers, **unseen})
        unknown = mapping.unknown(labels.array)
        if unknown:
            remedy = "name them, or give the label map as it belongs to the set"
            known = f"the label numbers {sorted(self.numbers)}"
            raise DatasetError([Problem(self.scan.labels, known, f"{unknown} too; {remedy}")])
        return image, replace(labels, array=mapping(labels.array))


def renumber(
    scans: Sequence[LabelledScan], names: Mapping[int, str], labels: Sequence[Any]
) -> tuple[list[RenumberedScan], list[Any]]:
    """Returns scans whose label numbers are those of another set, and which of its labels they can have.

    Labels are the same if their names are: upper and lower case, blanks, `_` and `-` make no difference. A label with
    none of the names becomes background, 0.

    If no name is the same, labels are matched by number, provided that both sets have the same numbers and that each
    pair of names has one within the other, such as `Anterior` and `anterior hippocampus`.

    Args:
        scans: Scans of one set.
        names: Name of each number that their label maps may have besides 0.
        labels: The other set's labels without the background: anything with an `id` and a `name`, such as
            `recalib_keras.zoo.Label`.

    Raises:
        ValueError: If none of the labels is among the names.

    Warns:
        UserWarning: If the labels are matched by number.

    Example:
        >>> from types import SimpleNamespace
        >>> from recalib_keras.datasets import LabelledScan
        >>> scans = [LabelledScan("a", "image.nii", "labels.nii")]
        >>> kidney = SimpleNamespace(id=6, name="left kidney")
        >>> (scan,), found = renumber(scans, {1: "Left_Kidney", 2: "spleen"}, [kidney])
        >>> scan.numbers
        {0: 0, 1: 6, 2: 0}
    """
    ids = {plain_name(label.name): label.id for label in labels}
    numbers = {0: 0} | {number: ids.get(plain_name(name), 0) for number, name in names.items() if number}
    found = [label for label in labels if label.id in numbers.values()]
    if not found and _are_shortened(names, labels):
        pairs = listed(f"{label.id} {names[label.id]} = {label.name}" for label in labels)
        warnings.warn(f"no label has the same name, so they are matched by number: {pairs}", stacklevel=2)
        numbers, found = {0: 0} | {label.id: label.id for label in labels}, list(labels)
    if not found:
        raise ValueError(
            f"expected a set with labels of {', '.join(label.name for label in labels)}, got "
            f"{', '.join(name for number, name in names.items() if number)}; use the same names"
        )
    return [RenumberedScan(scan, numbers) for scan in scans], found


def _are_shortened(names, labels):
    """Returns whether two sets have the same numbers, and names of which one has all words of the other."""
    named = {number: {*plain_name(name).split()} for number, name in names.items() if number}
    others = {label.id: {*plain_name(label.name).split()} for label in labels}
    return named.keys() == others.keys() and all(
        words <= others[number] or others[number] <= words for number, words in named.items()
    )

"""What the numbers in label maps mean: the structure each belongs to, and its intensities in a scan."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, read_mapping
from recalib_keras.datasets.label_mapping import LabelMapping
from recalib_keras.zoo.preset import Label

FILE_NAME = "generation.json"

# Facts of FreeSurfer's colour table, FreeSurferColorLUT.txt. Label maps for generation add numbers of their own: 136
# and 137 on the left, 163 and 164 on the right, inside the ventricles; and those from 500 on, outside the brain, which
# have no sides.
EXTRA_CEREBRAL = 500
# Numbers on the left, and their counterparts on the right.
SIDES = {
    2: 41,
    3: 42,
    4: 43,
    5: 44,
    7: 46,
    8: 47,
    10: 49,
    11: 50,
    12: 51,
    13: 52,
    17: 53,
    18: 54,
    25: 57,
    26: 58,
    28: 60,
    30: 62,
    136: 163,
    137: 164,
}
MIRRORS = {**SIDES, **{right: left for left, right in SIDES.items()}}
UNKNOWN = (128, 128, 128)
COLORS = {
    0: (0, 0, 0),
    2: (245, 245, 245),
    3: (205, 62, 78),
    4: (120, 18, 134),
    5: (196, 58, 250),
    7: (220, 248, 164),
    8: (230, 148, 34),
    10: (0, 118, 14),
    11: (122, 186, 220),
    12: (236, 13, 176),
    13: (12, 48, 255),
    14: (204, 182, 142),
    15: (42, 204, 164),
    16: (119, 159, 176),
    17: (220, 216, 20),
    18: (103, 255, 255),
    24: (60, 60, 60),
    26: (255, 165, 0),
    28: (165, 42, 42),
    30: (160, 32, 240),
    41: (245, 245, 245),
    42: (205, 62, 78),
    43: (120, 18, 134),
    44: (196, 58, 250),
    46: (220, 248, 164),
    47: (230, 148, 34),
    49: (0, 118, 14),
    50: (122, 186, 220),
    51: (236, 13, 176),
    52: (13, 48, 255),
    53: (220, 216, 20),
    54: (103, 255, 255),
    58: (255, 165, 0),
    60: (165, 42, 42),
    62: (160, 32, 240),
    72: (120, 190, 150),
    85: (234, 169, 30),
}


@dataclass(frozen=True)
class GenerationLabel:
    """One number of the label maps.

    Args:
        label: The number.
        target: Number of the structure that it is segmented as; 0 is the background.
        target_name: Name of that structure.
        class_random_contrast: Labels of one class have the same intensities in scans of a random contrast.
        class_t1: Index into the T1 prior; labels of one class have the same intensities in T1 scans.
        mirror: Its counterpart on the other side; by default FreeSurfer's, if the table has it, else none.
    """

    label: int
    target: int
    target_name: str
    class_random_contrast: int
    class_t1: int
    mirror: int | None = None


@dataclass(frozen=True)
class IntensityPrior:
    """Intensities of the tissues of T1 scans, by class: mean and deviation are each drawn from a normal distribution.

    Args:
        mean_mu: Mean of the means.
        mean_sigma: Deviation of the means.
        std_mu: Mean of the deviations.
        std_sigma: Deviation of the deviations.
        note: Free text.

    Raises:
        RecordError: If the four lists differ in length.
    """

    mean_mu: tuple[float, ...]
    mean_sigma: tuple[float, ...]
    std_mu: tuple[float, ...]
    std_sigma: tuple[float, ...]
    note: str = ""

    def __post_init__(self):
        sizes = [len(getattr(self, key)) for key in ("mean_mu", "mean_sigma", "std_mu", "std_sigma")]
        if len(set(sizes)) > 1:
            raise RecordError(expected="the four lists of the T1 prior to be equally long", received=f"lengths {sizes}")


@dataclass(frozen=True)
class LabelTable:
    """All numbers of the label maps, as in `generation.json`. Arrays are in the order of `labels`.

    Args:
        labels: The numbers.
        t1_prior: The intensities of their classes in T1 scans.
        note: Free text.

    Raises:
        RecordError: If a number is repeated, 0 is missing, a T1 class is not in the prior, a structure has two names,
            or a mirror is missing.
    """

    labels: tuple[GenerationLabel, ...]
    t1_prior: IntensityPrior
    note: str = ""

    def __post_init__(self):
        numbers = [entry.label for entry in self.labels]
        if len(set(numbers)) < len(numbers) or 0 not in numbers or min(numbers) < 0:
            raise RecordError(
                expected="labels with different numbers from 0, the background, up", received=str(numbers)
            )
        _check_classes(self.labels, len(self.t1_prior.mean_mu))
        _check_names(self.labels)
        for entry in self.labels:
            if entry.mirror is not None and entry.mirror not in numbers:
                raise RecordError(
                    expected=f"the mirror of label {entry.label} to be a label of the table", received=str(entry.mirror)
                )

    @classmethod
    def read(cls, path: str | os.PathLike) -> LabelTable:
        """Returns the table of a JSON file, or of the `generation.json` in a folder.

        Args:
            path: The file or folder.

        Raises:
            RecordError: If the file cannot be read, or holds no such table.
        """
        path = Path(path)
        path = path / FILE_NAME if path.is_dir() else path
        return from_mapping(cls, read_mapping(path, "table of labels", "JSON"), str(path))

    @property
    def numbers(self) -> np.ndarray:
        """Number of each label, int64 `(labels,)`."""
        return np.array([entry.label for entry in self.labels])

    @property
    def background(self) -> int:
        """Index of the background."""
        return int(np.flatnonzero(self.numbers == 0)[0])

    @property
    def mirrors(self) -> np.ndarray:
        """Index of each label's counterpart on the other side, or its own, `(labels,)`."""
        places: dict[int | None, int] = {entry.label: place for place, entry in enumerate(self.labels)}
        wanted = [MIRRORS.get(entry.label) if entry.mirror is None else entry.mirror for entry in self.labels]
        return np.array([places.get(number, place) for place, number in enumerate(wanted)])

    @property
    def is_segmented(self) -> np.ndarray:
        """Whether each label belongs to a structure, boolean `(labels,)`."""
        return np.array([entry.target != 0 for entry in self.labels])

    @property
    def is_outside(self) -> np.ndarray:
        """Whether each label is a tissue outside the brain, boolean `(labels,)`."""
        return self.numbers >= EXTRA_CEREBRAL

    @property
    def structures(self) -> tuple[Label, ...]:
        """The structures: the background, then the others by number."""
        names = {0: "background", **{entry.target: entry.target_name for entry in self.labels}}
        mirrors = {number: MIRRORS.get(number) for number in names}
        for entry in self.labels:
            if entry.mirror is not None and entry.label == entry.target:
                mirrors[entry.target] = entry.mirror
        return tuple(
            Label(number, names[number], COLORS.get(number, UNKNOWN), _if_known(mirrors[number], names))
            for number in sorted(names)
        )

    def targets(self, ids: Collection[int]) -> list[int]:
        """Returns for each label the number that it is segmented as: its own, if that is wanted, else its target.

        Args:
            ids: The numbers that are wanted.
        """
        return [entry.label if entry.label in ids else entry.target for entry in self.labels]

    def classes(self, structures: Sequence[Label] | None = None, merge: Mapping[str, int] | None = None) -> np.ndarray:
        """Returns for each label the class it is segmented as, uint8 or uint16 `(labels,)`.

        A label whose own number is among the structures is segmented as itself, whatever its target.

        Args:
            structures: The network's classes, the background first; default: the structures of the table.
            merge: From numbers, as text, to the number that they count as; or None.

        Raises:
            RecordError: If a structure of the table is not among `structures`; with 0 in `merge` it is left out.
        """
        ids = [label.id for label in structures or self.structures]
        targets, to_classes = np.array(self.targets(ids)), LabelMapping.to_classes(ids)
        targets = LabelMapping.merging(merge or {})(targets)
        missing = to_classes.unknown(targets)
        if missing:
            raise RecordError(
                expected=f"the labels {np.unique(targets).tolist()} that the maps are segmented as",
                received=f"a recipe without {missing}",
                remedy="add them to its labels, or merge them into others or into 0",
            )
        return to_classes(targets)


def _if_known(number, names):
    return number if number in names else None


def _check_classes(labels, size):
    for entry in labels:
        if not 0 <= entry.class_t1 < size:
            raise RecordError(
                expected=f"the T1 class of label {entry.label} from 0 to {size - 1}, as in the prior",
                received=str(entry.class_t1),
            )
        if entry.class_random_contrast < 0:
            raise RecordError(
                expected=f"the class of label {entry.label} for random contrasts to be at least 0",
                received=str(entry.class_random_contrast),
            )


def _check_names(labels):
    names = {}
    for entry in labels:
        if names.setdefault(entry.target, entry.target_name) != entry.target_name:
            raise RecordError(
                expected=f"one name for structure {entry.target}",
                received=f"{names[entry.target]!r} and {entry.target_name!r}",
            )

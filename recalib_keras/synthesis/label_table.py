"""What the numbers in label maps stand for: the structure each belongs to, and how it looks in a scan."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, read_mapping
from recalib_keras.synthesis.freesurfer import COLORS, EXTRA_CEREBRAL, MIRRORS, UNKNOWN
from recalib_keras.zoo.preset import Label

FILE_NAME = "generation.json"


@dataclass(frozen=True)
class GenerationLabel:
    """One number of the label maps.

    Args:
        label: the number.
        target: number of the structure that it is segmented as; 0 is the background.
        target_name: name of that structure.
        class_random_contrast: labels of one class look alike in scans of a random contrast.
        class_t1: its place in the T1 prior; labels of one class look alike in T1 scans.
        mirror: its counterpart on the other side; by default FreeSurfer's, if the table has it, else none.
    """

    label: int
    target: int
    target_name: str
    class_random_contrast: int
    class_t1: int
    mirror: int | None = None


@dataclass(frozen=True)
class IntensityPrior:
    """How the tissues of T1 scans look, by class: a mean drawn from N(mean_mu, mean_sigma), a deviation likewise."""

    mean_mu: tuple[float, ...]
    mean_sigma: tuple[float, ...]
    std_mu: tuple[float, ...]
    std_sigma: tuple[float, ...]
    note: str = ""

    def __post_init__(self):
        sizes = [len(getattr(self, key)) for key in ("mean_mu", "mean_sigma", "std_mu", "std_sigma")]
        if len(set(sizes)) > 1:
            raise RecordError(f"the four lists of the T1 prior must be equally long, not {sizes}")


@dataclass(frozen=True)
class LabelTable:
    """All numbers of the label maps, as `generation.json` has them. Arrays are in the order of `labels`.

    Args:
        labels: tuple of `GenerationLabel`.
        t1_prior: `IntensityPrior`.
        note: free text.

    Raises:
        RecordError: if a number stands there twice, 0 does not, a T1 class is not in the prior, a structure has two
            names, or a mirror is missing.
    """

    labels: tuple[GenerationLabel, ...]
    t1_prior: IntensityPrior
    note: str = ""

    def __post_init__(self):
        numbers = [entry.label for entry in self.labels]
        if len(set(numbers)) < len(numbers) or 0 not in numbers or min(numbers) < 0:
            raise RecordError(f"labels must have different numbers from 0, the background, up, not {numbers}")
        _check_classes(self.labels, len(self.t1_prior.mean_mu))
        _check_names(self.labels)
        for entry in self.labels:
            if entry.mirror is not None and entry.mirror not in numbers:
                raise RecordError(f"label {entry.label} has the mirror {entry.mirror}, which is no label")

    @classmethod
    def read(cls, path):
        """Returns the table of a JSON file, or of the `generation.json` in a folder.

        Raises:
            RecordError: if it cannot be read, or is no such table.
        """
        path = Path(path)
        path = path / FILE_NAME if path.is_dir() else path
        return from_mapping(cls, read_mapping(path, "table of labels", "JSON"), str(path))

    @property
    def numbers(self):
        """Number of each label, int64 `(labels,)`."""
        return np.array([entry.label for entry in self.labels])

    @property
    def mirrors(self):
        """Index of each label's counterpart on the other side, or its own, `(labels,)`."""
        places = {entry.label: place for place, entry in enumerate(self.labels)}
        wanted = [MIRRORS.get(entry.label) if entry.mirror is None else entry.mirror for entry in self.labels]
        return np.array([places.get(number, place) for place, number in enumerate(wanted)])

    @property
    def is_segmented(self):
        """Which labels belong to a structure, boolean `(labels,)`."""
        return np.array([entry.target != 0 for entry in self.labels])

    @property
    def is_outside(self):
        """Which labels are tissues outside the brain, boolean `(labels,)`."""
        return self.numbers >= EXTRA_CEREBRAL

    @property
    def structures(self):
        """The structures as `recalib_keras.zoo.Label`: the background, then the others by number."""
        names = {0: "background", **{entry.target: entry.target_name for entry in self.labels}}
        mirrors = {number: MIRRORS.get(number) for number in names}
        for entry in self.labels:
            if entry.mirror is not None and entry.label == entry.target:
                mirrors[entry.target] = entry.mirror
        return tuple(
            Label(number, names[number], COLORS.get(number, UNKNOWN), _if_known(mirrors[number], names))
            for number in sorted(names)
        )

    def classes(self, structures=None, merge=None):
        """Returns for each label the index of the structure it is segmented as, uint8 or uint16 `(labels,)`.

        A label whose own number is among the structures is segmented as itself, whatever its target.

        Args:
            structures: sequence of things with an `id`, the background first; default: those of the table.
            merge: dict from numbers, as text, to the number that they count as; or None.

        Raises:
            RecordError: if a structure of the table is missing there; 0 in `merge` leaves it out on purpose.
        """
        places = {label.id: place for place, label in enumerate(structures or self.structures)}
        merge = {int(number): other for number, other in (merge or {}).items()}
        targets = [entry.label if entry.label in places else entry.target for entry in self.labels]
        targets = [merge.get(target, target) for target in targets]
        missing = sorted(set(targets) - places.keys())
        if missing:
            raise RecordError(
                f"expected the labels {sorted(set(targets))} that the maps are segmented as, but {missing} are not "
                "among the recipe's; add them, or merge them into others or into 0"
            )
        return np.array([places[target] for target in targets]).astype(np.min_scalar_type(len(places) - 1))


def _if_known(number, names):
    return number if number in names else None


def _check_classes(labels, size):
    for entry in labels:
        if not 0 <= entry.class_t1 < size:
            raise RecordError(f"label {entry.label} has the T1 class {entry.class_t1}, the prior has only {size}")
        if entry.class_random_contrast < 0:
            raise RecordError(f"label {entry.label} has the class {entry.class_random_contrast}, which is negative")


def _check_names(labels):
    names = {}
    for entry in labels:
        if names.setdefault(entry.target, entry.target_name) != entry.target_name:
            raise RecordError(f"structure {entry.target} has two names, {names[entry.target]} and {entry.target_name}")

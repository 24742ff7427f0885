"""Training examples: windows of labelled scans, changed at random."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from recalib_keras.datasets import DatasetError, Inspection, LabelledScan, LabelMapping, Problem
from recalib_keras.pipeline import Batches, compiled
from recalib_keras.training.data import augmentation
from recalib_keras.training.data.augmentation import Mirror
from recalib_keras.training.data.class_balance import chosen_shares, shares_of
from recalib_keras.training.losses.label_sets import LabelSets, known_classes
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.recipe_tables import Schedule
from recalib_keras.volumes.windows import cut
from recalib_keras.zoo.labels import Label
from recalib_keras.zoo.preprocessing import classes_on, preprocessed
from recalib_keras.zoo.preset import Input

Tensor = Any  # of the backend in use, which Keras has no type for


@dataclass(frozen=True)
class Scan:
    """A labelled scan as the network expects it, in memory or in the cache.

    Args:
        name: Name of the scan, for messages.
        image: Intensities, float32 `(X, Y, Z)`, oriented, resampled and normalised; `(X, Y, Z, channels)` for several
            channels. An array, or what gives arrays for slices, as
            `recalib_keras.training.data.scan_cache.StoredArray`.
        classes: Classes, uint8 or uint16 `(X, Y, Z)`, likewise; voxels that nobody looked at have the number of
            classes.
        file: File of the scan, for messages.
        spacing: Three voxel sizes in mm.
        known: Whether each class was looked for; None for all.
        counts: Voxels of each class in each slice along the first axis, `(X, classes)`; counted if left out.
    """

    name: str
    image: Any
    classes: Any
    file: Path | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    known: Sequence[bool] | None = None
    counts: Any = None

    def __post_init__(self):
        if self.counts is None:
            counts = count_classes(self.classes, 0 if self.known is None else len(self.known))
            object.__setattr__(self, "counts", counts if self.known is None else counts[:, : len(self.known)])


def read_scan(labelled: LabelledScan, expects: Input, labels: Sequence[Label]) -> Scan:
    """Returns a labelled scan as the network expects it.

    Args:
        labelled: The scan.
        expects: The input of the network.
        labels: The labels of the network, in the order of its classes.

    Raises:
        DatasetError: The scan cannot be read, or its label map has another grid or an unknown number.
    """
    image, truth, problems = inspect(labelled, labels)
    if problems:
        raise DatasetError(problems)
    image = preprocessed(image, expects)
    classes = classes_on(truth, image.grid, _numbers(labels, labelled.ignore))
    known = known_classes(labelled, labels) if labelled.has_unknown else None
    spacing, counts = expects.spacing or image.grid.spacing, count_classes(classes, len(labels))[:, : len(labels)]
    return Scan(labelled.name, image.array, classes, labelled.image, spacing, known, counts)


def count_classes(classes: np.ndarray, num_classes: int = 0) -> np.ndarray:
    """Returns how many voxels of each class each slice along the first axis has, uint32 `(X, classes)`.

    Args:
        classes: Classes, integers `(X, Y, Z)`.
        num_classes: Number of classes at least.

    Example:
        >>> count_classes(np.array([[[0, 1, 1]], [[0, 0, 2]]])).tolist()
        [[1, 2, 0], [2, 0, 1]]
    """
    num_classes = max(num_classes, int(classes.max(initial=0)) + 1)
    return np.stack([np.bincount(part.ravel(), minlength=num_classes) for part in classes]).astype("uint32")


def inspect(labelled: LabelledScan, labels: Sequence[Label]) -> Inspection:
    """Returns the inspection of a scan, with merged labels and unknown numbers among its problems.

    Args:
        labelled: The scan.
        labels: The labels of the network.
    """
    image, truth, problems = labelled.inspect()
    if truth is None:
        return Inspection(image, truth, problems)
    numbers = labelled.merged(truth.array)
    unknown = LabelMapping.to_classes(_numbers(labels, labelled.ignore)).unknown(numbers)
    if unknown:
        expected = f"the labels {[label.id for label in labels]}"
        remedy = "add them to the recipe's labels, or merge them by data.merge"
        problems = [*problems, Problem(labelled.labels, expected, f"{unknown} too", remedy)]
    return Inspection(image, dataclasses.replace(truth, array=numbers), problems)


class Examples(Batches):
    """The examples of one epoch, in batches; the same for the same seed and epoch, on every backend.

    Each scan gives `examples_per_scan` windows at random places, in a random order over `steps_per_epoch`. A 2-D
    network gets slices of its window's size, with the slices beside them if its input has a context. Each item is a
    pair of images, float32 `(batch, *spatial, channels)`, and classes `(batch, *spatial, 1)`; where the scans have
    unknown structures, codes instead, see `LabelSets`.

    Args:
        scans: The training scans.
        recipe: The recipe of the training.
        epoch: Number of the epoch, from 0.
        share: Which examples of each batch to prepare; random numbers are drawn for the whole batch.
        label_sets: What voxels of the scans may be, if something in them is unknown.
    """

    def __init__(
        self,
        scans: Sequence[Scan],
        recipe: Recipe,
        epoch: int,
        share: slice = slice(None),
        label_sets: LabelSets | None = None,
    ):
        super().__init__()
        self.label_sets = label_sets or LabelSets(len(recipe.labels))
        self.scans, self.recipe, self.share = scans, recipe, share
        self.seed, self.epoch = recipe.seed, epoch
        order = np.tile(np.arange(len(scans)), recipe.schedule.examples_per_scan)
        self.order = np.random.default_rng([recipe.seed, epoch]).permutation(order)
        self.mirror = mirror_of(recipe, has_unknown=bool(self.label_sets.sets))
        self.by_class = shares_of(recipe)

    def __len__(self) -> int:
        return steps_per_epoch(len(self.scans), self.recipe.schedule)

    def files(self, step: int) -> list[str]:
        """Returns the files of the scans in a batch, or the names of scans without a file.

        Args:
            step: Number of the batch, from 0.
        """
        batch = (self.scans[place] for place in self._places(step))
        return [str(scan.file or scan.name) for scan in batch]

    def _make(self, step):
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.epoch, step])
        scans = [self.scans[place] for place in self._places(step)]
        foreground = recipe.schedule.foreground
        windows = [random_window(scan, recipe.input, foreground, rng, self.by_class) for scan in scans]
        images, classes = (np.stack(arrays) for arrays in zip(*windows))
        spacings = [window_spacing(scan, recipe.input) for scan in scans]
        change = draw_change(recipe, len(images), rng, self.mirror, spacings)
        known = self._known(scans, change)[self.share]
        images, classes, change = self._shared((images, classes, change))
        images, classes = as_examples(*_apply(images, classes, change), recipe.input)
        return images, self.label_sets.coded(classes, known)

    def _known(self, scans, change):
        """Returns for each example whether each class was looked for, after the change."""
        everything = [True] * len(self.recipe.labels)
        known = [everything if scan.known is None else list(scan.known) for scan in scans]
        if change.sides is None:
            return known
        return [np.array(one)[sides[: len(one)]].tolist() for one, sides in zip(known, change.sides)]

    def _shared(self, drawn):
        return keras.tree.map_structure(lambda array: array[self.share], drawn, none_is_leaf=False)

    def _places(self, step):
        size = self.recipe.schedule.batch_size
        return np.take(self.order, range(step * size, (step + 1) * size), mode="wrap")


def steps_per_epoch(number_of_scans: int, schedule: Schedule) -> int:
    """Returns the number of batches; the last one of a pass is filled up with scans of the first one.

    Args:
        number_of_scans: How many scans or label maps there are to train on.
        schedule: The schedule of the training.
    """
    if schedule.steps_per_epoch is not None:
        return schedule.steps_per_epoch
    return -(-number_of_scans * schedule.examples_per_scan // schedule.batch_size)


_apply = compiled(augmentation.apply)


def mirror_of(recipe: Recipe, has_unknown: bool = False) -> Mirror | None:
    """Returns what a left-right flip does to the examples of a recipe; None if they have no left and right.

    Args:
        recipe: The recipe.
        has_unknown: Whether voxels may have a further class, for what nobody looked at.
    """
    mirror = Mirror.of(recipe.input, recipe.labels)
    if not has_unknown or mirror is None or mirror.classes is None:
        return mirror
    return mirror._replace(classes=(*mirror.classes, len(mirror.classes)))


def draw_change(
    recipe: Recipe,
    count: int,
    rng: np.random.Generator,
    mirror: Mirror | None,
    spacings: Sequence[Sequence[float]],
) -> augmentation.Change:
    """Returns a random change of windows, as `random_window` returns them.

    Args:
        recipe: The recipe of the training.
        count: Number of windows.
        rng: Source of random numbers.
        mirror: What a left-right flip changes, if the recipe has flips.
        spacings: Voxel sizes of each window, see `window_spacing`.
    """
    expects = recipe.input
    spatial, channels = expects.shape[:-1], expects.num_channels
    return augmentation.draw(recipe.augmentation, count, spatial, rng, mirror, spacings, expects.depth, channels)


def as_examples(images: Tensor, classes: Tensor, expects: Input) -> tuple[Tensor, Tensor]:
    """Returns windows as the network takes them: images `(batch, *spatial, channels)`, classes `(batch, *spatial, 1)`.

    Args:
        images: A batch of images as from `random_window`, arrays or tensors; the result is of the same kind.
        classes: Their classes.
        expects: The input of the network.
    """
    classes = classes[..., expects.context : expects.context + 1] if expects.context else classes[..., None]
    if expects.num_channels == 1:
        return (images if expects.context else images[..., None]), classes
    if not expects.context:
        return images, classes
    channels = [images[..., channel] for channel in range(expects.num_channels)]  # the slices of each, then of the next
    join = np.concatenate if isinstance(images, np.ndarray) else ops.concatenate
    return join(channels, axis=-1), classes


def random_window(
    scan: Scan,
    expects: Input,
    foreground: float,
    rng: np.random.Generator,
    by_class: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns image and classes of a random window, padded where the scan is smaller than the window.

    Args:
        scan: The scan.
        expects: The input of the network.
        foreground: Probability that the window is centred on a voxel of the foreground, or as near to that as the
            edge of the scan allows.
        rng: Source of random numbers.
        by_class: Shares by which the class of that voxel is chosen first, see `class_balance.shares_of`; None for any
            voxel of the foreground.

    Returns:
        Two arrays of the window's size `(X, Y, Z)`. For a 2-D network, a slice `(*spatial)`, or `(*spatial, depth)`
        with the slices beside it. The image of several channels has them as a further last axis.
    """
    place = []
    centre = _foreground_voxel(scan, by_class, rng) if foreground and rng.random() < foreground else None
    for axis, (size, wanted) in enumerate(zip(scan.classes.shape, expects.window)):
        last = max(0, size - wanted)
        start = rng.integers(0, last + 1) if centre is None else min(max(0, centre[axis] - wanted // 2), last)
        place.append(int(start) - max(0, wanted - size) // 2)
    image = cut(scan.image, place, expects.window, expects.margin)
    classes = cut(scan.classes, place, expects.window, expects.margin, mode="constant")
    axis = expects.slice_axis
    if axis is None:
        return image, classes
    image, classes = (
        np.moveaxis(array, axis, 2) if expects.context else array.squeeze(axis) for array in (image, classes)
    )
    return image, classes


def window_spacing(scan: Scan, expects: Input) -> list[float]:
    """Returns the voxel sizes in mm along the axes of a scan's windows: two for slices, three otherwise.

    Args:
        scan: The scan.
        expects: The input of the network.
    """
    return [size for axis, size in enumerate(scan.spacing) if axis != expects.slice_axis]


def _foreground_voxel(scan, by_class, rng):
    """Returns the indices of a random voxel of the foreground, or None if there is none.

    Args:
        scan: The scan.
        by_class: Shares by which a class is chosen first, see `class_balance.shares_of`; None for any voxel.
        rng: Source of random numbers.
    """
    counts = np.asarray(scan.counts).astype(np.int64)
    if by_class is None:
        counts = counts[:, 1:].sum(axis=1)
        if not counts.any():
            return None
        return voxel_number(scan.classes, counts, rng.integers(counts.sum()), _foreground_of(scan.known))
    shares = chosen_shares(counts.sum(axis=0), by_class, scan.known)
    if not shares.any():
        return None
    chosen = rng.choice(len(shares), p=shares)
    number = rng.integers(counts[:, chosen].sum())
    return voxel_number(scan.classes, counts[:, chosen], number, lambda part: np.flatnonzero(part == chosen))


def _foreground_of(known):
    """Returns the function from classes to flat indices of the foreground; ignored voxels do not belong to it."""
    return np.flatnonzero if known is None else lambda part: np.flatnonzero((part > 0) & (part < len(known)))


def voxel_number(
    classes: Any, counts: np.ndarray, number: int, find: Callable[[np.ndarray], np.ndarray]
) -> tuple[int, ...]:
    """Returns the indices of the n-th of some voxels, in C order; only the slice that it lies in is read.

    Args:
        classes: Classes, integers `(X, Y, Z)`, an array or a stored one.
        counts: How many of these voxels each slice along the first axis has.
        number: Which of them, from 0.
        find: Returns the flat indices of these voxels in a slice.
    """
    ends = np.cumsum(counts)
    first = int(np.searchsorted(ends, number, side="right"))
    before = int(ends[first]) - int(counts[first])
    part = classes[first]
    place = find(part)[number - before]
    return (first, *map(int, np.unravel_index(place, part.shape)))


def _numbers(labels, ignore):
    """Returns the label number of each class; what is ignored is a further class."""
    numbers = [label.id for label in labels]
    return numbers if ignore is None else [*numbers, ignore]

"""Training examples: windows of labelled scans, changed at random."""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from recalib_keras import volumes
from recalib_keras.datasets import DatasetError, Inspection, Problem
from recalib_keras.inference.sliding_window.windows import cut
from recalib_keras.pipeline import Batches, compiled
from recalib_keras.training.data import augmentation
from recalib_keras.training.data.augmentation import Mirror


@dataclass(frozen=True)
class Scan:
    """A scan in memory, as the network expects it.

    Args:
        name: for messages.
        image: float32 `(X, Y, Z)`, oriented, resampled and normalised.
        classes: uint8 or uint16 `(X, Y, Z)`, index into the labels.
        file: where it was read from, for messages too.
        spacing: three voxel sizes in mm.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    file: Path | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @functools.cached_property
    def foreground(self):
        """The places of all voxels that are not background, as indices into the flat array."""
        return np.flatnonzero(self.classes)


def read_scan(labelled, expects, labels):
    """Returns a labelled scan as the network expects it.

    Args:
        labelled: `recalib_keras.datasets.LabelledScan`.
        expects: `recalib_keras.zoo.Input`.
        labels: sequence of `recalib_keras.zoo.Label`.

    Raises:
        DatasetError: if the scan cannot be read, its label map stands on another grid, or holds a number that is no
            label.
    """
    image, truth, problems = inspect(labelled, labels)
    if problems:
        raise DatasetError(problems)
    truth = truth.conform(expects.orientation, expects.spacing, order=0)
    image = image.conform(expects.orientation, expects.spacing)
    normalized = volumes.normalize(image.array, expects.normalization)
    classes = _classes(truth.array, labels)
    return Scan(labelled.name, normalized, classes, labelled.image, expects.spacing or image.grid.spacing)


def inspect(labelled, labels):
    """Returns an `recalib_keras.datasets.Inspection` of a scan: labels merged, a number that is no label a problem too.

    Args: those of `read_scan`.
    """
    image, truth, problems = labelled.inspect()
    if truth is None:
        return Inspection(image, truth, problems)
    numbers, ids = labelled.merged(truth.array), [label.id for label in labels]
    unknown = np.setdiff1d(numbers, ids)
    if unknown.size:
        found = f"{unknown[:10].tolist()} too; add them to the recipe's labels, or merge them by data.merge"
        problems = [*problems, Problem(labelled.labels, f"the labels {ids}", found)]
    return Inspection(image, dataclasses.replace(truth, array=numbers), problems)


class Examples(Batches):
    """The examples of one epoch, in batches; the same for the same seed and epoch, on every backend.

    Each scan gives `examples_per_scan` windows at random places, in a random order over `steps_per_epoch`; a 2-D
    network gets slices of its window's size, and those beside them if its input has a context.

    Args:
        scans: list of `Scan`.
        recipe: `Recipe`.
        epoch: integer.
        share: slice, which examples of each batch to prepare; random numbers are drawn for all of it.

    Items: images `(batch, *spatial, channels)` float32 and classes `(batch, *spatial, 1)`.
    """

    def __init__(self, scans, recipe, epoch, share=slice(None)):
        super().__init__()
        self.scans, self.recipe, self.share = scans, recipe, share
        self.seed, self.epoch = recipe.seed, epoch
        order = np.tile(np.arange(len(scans)), recipe.schedule.examples_per_scan)
        self.order = np.random.default_rng([recipe.seed, epoch]).permutation(order)
        self.mirror = Mirror.of(recipe.input, recipe.labels)

    def __len__(self):
        return steps_per_epoch(len(self.scans), self.recipe.schedule)

    def files(self, step):
        """Returns the files (or names, if they come from none) of the scans in a batch."""
        batch = (self.scans[place] for place in self._places(step))
        return [str(scan.file or scan.name) for scan in batch]

    def _make(self, step):
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.epoch, step])
        scans = [self.scans[place] for place in self._places(step)]
        windows = [random_window(scan, recipe.input, recipe.schedule.foreground, rng) for scan in scans]
        images, classes = (np.stack(arrays) for arrays in zip(*windows))
        spacings = [window_spacing(scan, recipe.input) for scan in scans]
        change = draw_change(recipe, len(images), rng, self.mirror, spacings)
        images, classes, change = self._shared((images, classes, change))
        return as_examples(*_apply(images, classes, change), recipe.input)

    def _shared(self, drawn):
        return keras.tree.map_structure(lambda array: array[self.share], drawn, none_is_leaf=False)

    def _places(self, step):
        size = self.recipe.schedule.batch_size
        return np.take(self.order, range(step * size, (step + 1) * size), mode="wrap")


def steps_per_epoch(number_of_scans, schedule):
    """Returns the number of batches; the last of a pass is filled up with scans of the first."""
    if schedule.steps_per_epoch is not None:
        return schedule.steps_per_epoch
    return -(-number_of_scans * schedule.examples_per_scan // schedule.batch_size)


_apply = compiled(augmentation.apply)


def draw_change(recipe, count, rng, mirror, spacings):
    """Returns a random `augmentation.Change` of so many windows, as `random_window` gives them.

    Args:
        recipe: `Recipe`.
        count: integer.
        rng: `numpy.random.Generator`.
        mirror: `Mirror` of the recipe, or None.
        spacings: what `window_spacing` says of each.
    """
    *spatial, depth = recipe.input.shape
    return augmentation.draw(recipe.augmentation, count, tuple(spatial), rng, mirror, spacings, depth)


def as_examples(images, classes, expects):
    """Returns windows as the network takes them: images `(batch, *spatial, channels)`, classes `(batch, *spatial, 1)`.

    Args:
        images, classes: a batch of windows as from `random_window`, arrays or tensors; they stay what they are.
        expects: `recalib_keras.zoo.Input`.
    """
    if not expects.context:
        return images[..., None], classes[..., None]
    return images, classes[..., expects.context : expects.context + 1]


def random_window(scan, expects, foreground, rng):
    """Returns image and classes of a random window, padded where the scan is smaller than the window.

    Args:
        scan: `Scan`.
        expects: `recalib_keras.zoo.Input`.
        foreground: probability that the window is centred on a voxel of the foreground, as far as the scan reaches.
        rng: `numpy.random.Generator`.

    Returns:
        Two arrays of the window's size; of a slice, for a 2-D network, or of `(*spatial, depth)` with those beside it.
    """
    place = []
    centre = _foreground_voxel(scan, rng) if foreground and rng.random() < foreground else None
    for axis, (size, wanted) in enumerate(zip(scan.image.shape, expects.window)):
        last = max(0, size - wanted)
        start = rng.integers(0, last + 1) if centre is None else min(max(0, centre[axis] - wanted // 2), last)
        place.append(int(start) - max(0, wanted - size) // 2)
    image = cut(scan.image, place, expects.window, expects.margin)
    classes = cut(scan.classes, place, expects.window, expects.margin, mode="constant")
    axis = expects.slice_axis
    if axis is None:
        return image, classes
    return tuple(np.moveaxis(array, axis, -1) if expects.context else array.squeeze(axis) for array in (image, classes))


def window_spacing(scan, expects):
    """Returns the voxel sizes (mm) along the axes of a scan's windows: two of a slice, for a 2-D network.

    Args:
        scan: `Scan`.
        expects: `recalib_keras.zoo.Input`.
    """
    return [size for axis, size in enumerate(scan.spacing) if axis != expects.slice_axis]


def _foreground_voxel(scan, rng):
    """Returns the place of a random voxel that is not background, or None if there is none."""
    places = scan.foreground
    return np.unravel_index(rng.choice(places), scan.classes.shape) if places.size else None


def _classes(label_map, labels):
    """Returns the index of each voxel's label."""
    ids = np.array([label.id for label in labels])
    order = np.argsort(ids)
    return order[np.searchsorted(ids[order], label_map)].astype(np.min_scalar_type(len(ids) - 1))

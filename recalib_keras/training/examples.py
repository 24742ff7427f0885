"""Training examples: windows of labelled scans, changed at random."""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from recalib_keras import volumes
from recalib_keras.training import augmentation
from recalib_keras.training.compilation import compiled


@dataclass(frozen=True)
class Scan:
    """A scan in memory, as the network expects it.

    Args:
        name: for messages.
        image: float32 `(X, Y, Z)`, oriented, resampled and normalised.
        classes: uint8 or uint16 `(X, Y, Z)`, index into the labels.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray


def read_scan(labelled, expects, labels):
    """Returns a labelled scan as the network expects it.

    Args:
        labelled: `recalib_keras.datasets.LabelledScan`.
        expects: `recalib_keras.zoo.Input`.
        labels: sequence of `recalib_keras.zoo.Label`.

    Raises:
        VolumeError: if the label map stands on another grid than the scan, or holds a number that is no label.
    """
    image, truth = volumes.read(labelled.image), volumes.read_labels(labelled.labels)
    if not truth.grid.matches(image.grid):
        raise volumes.VolumeError(
            f"{labelled.labels}: the label map must stand on the grid of its scan, {image.grid}, not on {truth.grid}"
        )
    truth = truth.conform(expects.orientation, expects.spacing, order=0)
    image = image.conform(expects.orientation, expects.spacing)
    normalized = volumes.normalize(image.array, expects.normalization)
    return Scan(labelled.name, normalized, _classes(truth.array, labels, labelled.labels))


class Examples(keras.utils.PyDataset):
    """The examples of one epoch, in batches; the same for the same seed and epoch, on every backend.

    Each scan gives `examples_per_scan` windows at random places; a 2-D network gets slices of its window's size.

    Args:
        scans: list of `Scan`.
        recipe: `Recipe`.
        epoch: integer.

    Items: images `(batch, *spatial, 1)` float32 and classes of the same shape.
    """

    def __init__(self, scans, recipe, epoch):
        super().__init__(workers=2, max_queue_size=4)
        self.scans, self.recipe, self.epoch = scans, recipe, epoch
        order = np.tile(np.arange(len(scans)), recipe.schedule.examples_per_scan)
        self.order = np.random.default_rng([recipe.seed, epoch]).permutation(order)

    def __len__(self):
        return steps_per_epoch(len(self.scans), self.recipe.schedule)

    def __getitem__(self, step):
        size = self.recipe.schedule.batch_size
        rng = np.random.default_rng([self.recipe.seed, self.epoch, step])
        places = np.take(self.order, range(step * size, (step + 1) * size), mode="wrap")
        windows = [_random_window(self.scans[place], self.recipe.input, rng) for place in places]
        images, classes = (np.stack(arrays) for arrays in zip(*windows))
        change = augmentation.draw(self.recipe.augmentation, size, images.shape[1:], rng)
        images, classes = _apply(images, classes, *(getattr(change, f.name) for f in dataclasses.fields(change)))
        return ops.expand_dims(images, -1), ops.expand_dims(classes, -1)


def steps_per_epoch(number_of_scans, schedule):
    """Returns the number of batches; the last one is filled up with scans of the first."""
    return -(-number_of_scans * schedule.examples_per_scan // schedule.batch_size)


@compiled
def _apply(images, classes, *change):
    return augmentation.apply(images, classes, augmentation.Change(*change))


def _random_window(scan, expects, rng):
    """Returns image and classes of a random window, padded where the scan is smaller than the window."""
    cuts, padding = [], []
    for size, wanted in zip(scan.image.shape, expects.window):
        start = rng.integers(0, max(0, size - wanted) + 1)
        missing = max(0, wanted - size)
        cuts.append(slice(start, start + wanted))
        padding.append((missing // 2, missing - missing // 2))
    image = np.pad(scan.image[tuple(cuts)], padding, mode="edge")
    classes = np.pad(scan.classes[tuple(cuts)], padding)
    axis = expects.slice_axis
    return (image, classes) if axis is None else (image.squeeze(axis), classes.squeeze(axis))


def _classes(label_map, labels, name):
    """Returns the index of each voxel's label."""
    ids = np.array([label.id for label in labels])
    unknown = np.setdiff1d(label_map, ids)
    if unknown.size:
        raise volumes.VolumeError(
            f"{name}: expected the labels {ids.tolist()}, found {unknown[:10].tolist()} too; add them to the recipe"
        )
    order = np.argsort(ids)
    return order[np.searchsorted(ids[order], label_map)].astype(np.min_scalar_type(len(ids) - 1))

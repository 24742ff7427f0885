"""The loss on the validation scans."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from recalib_keras.datasets import LabelledScan
from recalib_keras.inference.sliding_window.predict import windows_at_a_time
from recalib_keras.training.data.examples import as_examples, random_window, read_scan
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy
from recalib_keras.training.losses.label_sets import LabelSets, known_classes
from recalib_keras.training.recipe import Recipe
from recalib_keras.zoo.labels import region_classes


class ValidationLoss:
    """The loss on one window of each validation scan: around a voxel of the foreground, unchanged, always the same.

    Args:
        recipe: The recipe of the training.
        scans: The validation scans; each is read once, at the first call.
        loss: The loss of the training.
    """

    def __init__(self, recipe: Recipe, scans: Sequence[LabelledScan], loss: DiceCrossEntropy):
        self.recipe, self.scans, self.loss = recipe, scans, loss

    def __call__(self, engine: Callable[[np.ndarray], Any]) -> dict[str, float]:
        """Returns the loss of a network over all windows together.

        Args:
            engine: The network, such as a `recalib_keras.inference.engines.KerasEngine`.

        Returns:
            `"validation_loss"`, and its two terms without their factors, `"validation_dice_loss"` and
            `"validation_cross_entropy"`.
        """
        found = self.loss.of_all(self._batches(engine))
        return {f"validation_{name}": round(value, 5) for name, value in found.items()}

    def _batches(self, engine):
        """Yields classes and probabilities of as many windows at a time as in the segmentation of a scan."""
        images, classes = self._windows
        size = windows_at_a_time(self.recipe.input.window, engine.voxels_per_batch)
        for start in range(0, len(images), size):
            wanted = classes[start : start + size]
            batch = np.take(images, range(start, start + size), axis=0, mode="wrap")  # all batches have one size
            yield wanted, ops.convert_to_tensor(engine(batch)[: len(wanted)])

    @functools.cached_property
    def _windows(self):
        """Images, float32 `(scans, *spatial, channels)`, and classes, integers `(scans, *spatial, 1)`."""
        expects, labels = self.recipe.input, self.recipe.labels
        windows = []
        for index, labelled in enumerate(self.scans):
            rng = np.random.default_rng([self.recipe.seed, index])
            windows.append(random_window(read_scan(labelled, expects, labels), expects, foreground=1.0, rng=rng))
        images, classes = as_examples(*(np.stack(arrays) for arrays in zip(*windows)), expects)
        sets = LabelSets(len(labels), self.loss.label_sets or (), region_classes(labels))
        return images, sets.coded(classes, [known_classes(scan, labels) for scan in self.scans]).astype("int32")

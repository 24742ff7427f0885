"""The loss on scans that training held out."""

import functools

import numpy as np
from keras import ops

from recalib_keras.inference.sliding_window.predict import windows_at_a_time
from recalib_keras.training.data.examples import as_examples, random_window, read_scan


class HeldOutLoss:
    """The loss on one window of each held-out scan: around a voxel of its foreground, unchanged, always the same.

    Args:
        recipe: `Recipe`.
        scans: list of `recalib_keras.datasets.LabelledScan`; each is read once, when the loss is first asked for.
        loss: `DiceCrossEntropy`.

    Call arguments:
        engine: `recalib_keras.inference.engines.KerasEngine` of the network.

    Returns (of a call): dict of `"validation_loss"`, over all windows together, and its two terms without their
        factors, `"validation_dice_loss"` and `"validation_cross_entropy"`.
    """

    def __init__(self, recipe, scans, loss):
        self.recipe, self.scans, self.loss = recipe, scans, loss

    def __call__(self, engine):
        found = self.loss.of_all(self._batches(engine))
        return {f"validation_{name}": round(value, 5) for name, value in found.items()}

    def _batches(self, engine):
        """Yields classes and probabilities, of as many windows at a time as when a scan is segmented."""
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
        return images, classes.astype("int32")

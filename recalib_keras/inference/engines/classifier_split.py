"""A network of large windows in two parts, so that its probabilities need not be in memory all at once.

The body computes the feature maps of a window as a whole. The classifier, a 1×1 convolution and a softmax or sigmoid,
sees each voxel, or each patch of them, alone. It therefore takes a few rows of the feature maps at a time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.inference.sliding_window.window_rows import WindowRows

# Networks are split if the probabilities of a window take at least this many bytes.
LARGE = 2**26
# The classifier gives about this many voxels at a time: their probabilities stay in the processor's cache.
VOXELS_AT_ONCE = 2**16
FIRST = "classifier"  # the name of the classifier's first layer
AFTER = ("classes", "probabilities")  # and of those behind it, unless a block is among them


class SplitNetwork(NamedTuple):
    """The two parts of a network.

    Args:
        body: `keras.Model` from windows to their feature maps `(batch, X, Y, Z, maps)`.
        classifier: `keras.Model` from a few rows of these to probabilities `(batch, rows, …, classes)`.
    """

    body: Any
    classifier: Any


def split(model: Any) -> SplitNetwork | None:
    """Returns the two parts of a network, which share its weights; None if it must stay whole, or is small.

    Args:
        model: `keras.Model`. Networks of `recalib_keras.models` with windows of three known sizes are split, unless a
            recalibration block follows the classifier: that sees all voxels.
    """
    names = [layer.name for layer in model.layers]
    is_known = len(model.input_shape) == 5 and None not in model.input_shape[1:]
    if not is_known or FIRST not in names or not hasattr(model, "architecture"):
        return None
    first = names.index(FIRST)
    size = 4 * math.prod(model.input_shape[1:-1]) * model.output_shape[-1]
    if size < LARGE or not set(names[first + 1 :]) <= set(AFTER):
        return None
    return _parts(model, model.layers[first:])


def in_rows(features: np.ndarray, classifier: Any, classify: Callable[[np.ndarray], np.ndarray]) -> list[WindowRows]:
    """Returns the probabilities of windows, computed from their feature maps when they are needed.

    Args:
        features: `(batch, X, Y, Z, maps)`; they must stay as they are.
        classifier: The classifier; its `input_shape` and `output_shape` have the rows that it takes and gives at once.
        classify: Function from `(1, rows taken, Y, Z, maps)` to a new array of probabilities, `(1, rows given, …,
            classes)`.
    """
    rows, given = classifier.input_shape[1], classifier.output_shape[1]

    def of_window(maps):
        slab = functools.partial(_slab, classify, maps, rows)
        return WindowRows.in_slabs(len(maps) // rows, given, slab)

    return [of_window(maps) for maps in features]


def _slab(classify, maps, rows, index):
    return classify(maps[None, index * rows : (index + 1) * rows])[0]


def _parts(model, layers):
    import keras

    features = layers[0].input
    seen = x = keras.Input((_rows(model, features.shape[1:4]), *features.shape[2:]), dtype=features.dtype)
    for layer in layers:
        x = layer(x)
    return SplitNetwork(keras.Model(model.input, features), keras.Model(seen, x))


def _rows(model, sizes):
    """Returns how many rows of the feature maps the classifier takes: a divisor of their number."""
    voxels = math.prod(model.input_shape[1:-1]) / sizes[0]  # of the window, for each row of the maps
    most = max(1, VOXELS_AT_ONCE / voxels)
    return max(rows for rows in range(1, sizes[0] + 1) if sizes[0] % rows == 0 and rows <= most)

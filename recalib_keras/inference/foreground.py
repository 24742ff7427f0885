"""Predict only the part of a scan that shows the body, and not the air around it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from recalib_keras.inference.sliding_window.output_grid import SameGrid
from recalib_keras.inference.sliding_window.predict import SlidingWindow, View
from recalib_keras.volumes.normalization import threshold_of_bright
from recalib_keras.volumes.windows import Block, Image, with_channel_axis

# The search looks at every fourth voxel along each axis, smoothed by the mean with its neighbours against noise.
STEP = 4
# Air is darker than this share of the way from the darkest voxel to the threshold between dark and bright.
SHARE_OF_THRESHOLD = 0.5
# Voxels that are kept around the body.
MARGIN = 4


def predict_foreground(sliding_window: SlidingWindow, image: Image, into: np.ndarray | None = None) -> np.ndarray:
    """Returns the class of each voxel: predicted in the foreground, background in the air around it.

    Further maps keep the values that they have in the air.

    Air is left out along the axes where the scan is larger than a window; a scan that fits into a window is predicted
    as a whole.

    Args:
        sliding_window: Predicts the classes.
        image: As for `SlidingWindow.predict`.
        into: Zeros of the output grid's shape, which become the classes; None for a new array.
    """
    box = _box(image, sliding_window.views)
    output = sliding_window.output_grid or SameGrid(image.shape)
    labels = sliding_window.empty(image) if into is None else into
    where = output.within(box)
    maps = [one.part(where) for one in sliding_window.maps]
    inside = replace(sliding_window, output_grid=output.part(box), maps=maps)
    inside.predict(Crop(image, box), labels[where])
    return labels


def foreground(image: Image) -> Block:
    """Returns the smallest box that holds all that is not air, and a margin.

    If a scan has no dark surroundings, that is the whole scan. Of several channels, any may show it.

    Args:
        image: Array `(X, Y, Z)`, or anything with a `shape` that gives arrays for three slices.

    Returns:
        `((low, high), …)` along the three axes, in voxels.
    """
    steps = tuple(slice(STEP // 2 if size > STEP else 0, None, STEP) for size in image.shape)
    samples = with_channel_axis(image[steps])
    is_foreground = np.any([_is_bright(samples[..., channel]) for channel in range(samples.shape[-1])], axis=0)
    return tuple(_ends(np.flatnonzero(is_foreground.any(_others(axis))), size) for axis, size in enumerate(image.shape))


def _is_bright(sample):
    """Returns which voxels of a sample are not air."""
    sample = ndimage.uniform_filter(sample, size=3, mode="nearest")
    darkest = sample.min()
    return sample > darkest + SHARE_OF_THRESHOLD * (threshold_of_bright(sample) - darkest)


class Crop:
    """A box of an image that copies no voxels before they are needed.

    Args:
        image: Array `(X, Y, Z)`, or anything with a `shape` that gives arrays for three slices.
        box: `((low, high), …)` along the three axes.
    """

    def __init__(self, image: Image, box: Block):
        self._image, self._box = image, box

    @property
    def shape(self) -> tuple[int, ...]:
        """Three sizes in voxels."""
        return tuple(high - low for low, high in self._box)

    def __getitem__(self, part: tuple[slice, slice, slice]) -> np.ndarray:
        """Returns the voxels of three slices, counted from the first voxel of the box."""
        ends = [where.indices(size)[:2] for where, size in zip(part, self.shape, strict=True)]
        return self._image[tuple(slice(low + start, low + end) for (low, _), (start, end) in zip(self._box, ends))]


def _box(image, views: Sequence[View]):
    """Returns the box of the image to predict: around the foreground, and no smaller than the largest window."""
    windows = np.array([view.window for view in views])
    is_larger = [any(size > window > 1 for window in along) for size, along in zip(image.shape, windows.T)]
    if not any(is_larger):
        return [(0, size) for size in image.shape]
    largest = np.minimum(windows.max(axis=0), image.shape)
    return [
        _widened(ends, wanted, size) if larger else (0, size)
        for larger, ends, wanted, size in zip(is_larger, foreground(image), largest.tolist(), image.shape)
    ]


def _widened(ends, wanted, size):
    """Returns a range about the same middle, inside an axis, that has at least the wanted number of voxels."""
    low, high = ends
    start = min(max(0, low - max(0, wanted - (high - low)) // 2), size - wanted)
    return min(low, start), max(high, start + wanted)


def _others(axis):
    return tuple(other for other in range(3) if other != axis)


def _ends(indices, size):
    """Returns the ends of the range that sampled voxels span, with a margin; the whole axis if there are none."""
    if not len(indices):
        return 0, size
    return max(0, STEP * int(indices[0]) - MARGIN), min(size, STEP * (int(indices[-1]) + 1) + MARGIN)

"""Label the part of a scan that shows the body, so that networks need not look at the air around it."""

import numpy as np
from scipy import ndimage

from recalib_keras.inference.sliding_window.predict import average_labels
from recalib_keras.volumes.normalization import threshold_of_bright

# Every so many voxels along each axis one is looked at, in the mean with its neighbours, which takes out noise.
STEP = 4
# Air is what is darker than this share of the way from the darkest voxel to the threshold between dark and bright.
SHARE_OF_THRESHOLD = 0.5
# Voxels that are kept around the body.
MARGIN = 4


def body_labels(image, views, num_classes, progress=None, observe=None, lines=None):
    """Returns the most probable class of each voxel: that of `average_labels` in the body, background in the air.

    Air is left out along the axes along which a scan is larger than a window; one that fits into a window is looked at
    as it is.

    Args: those of `recalib_keras.inference.average_labels`.
    """
    box = _box(image, views)
    settings = {"progress": progress, "observe": observe}
    shape, inside = image.shape, [slice(*ends) for ends in box]
    if lines is not None:
        shape, inside = [len(line) for line in lines], [line.within(*ends) for line, ends in zip(lines, box)]
        settings["lines"] = [line.part(*ends) for line, ends in zip(lines, box)]
    labels = np.zeros(shape, np.min_scalar_type(num_classes - 1))
    labels[tuple(inside)] = average_labels(Part(image, box), views, num_classes, **settings)
    return labels


def _box(image, views):
    """Returns the box of the image that is looked at: around the body, and no smaller than the largest window."""
    windows = np.array([view.window for view in views])
    is_larger = [any(size > window > 1 for window in along) for size, along in zip(image.shape, windows.T)]
    if not any(is_larger):
        return [(0, size) for size in image.shape]
    largest = np.minimum(windows.max(axis=0), image.shape)
    return [
        _widened(ends, wanted, size) if larger else (0, size)
        for larger, ends, wanted, size in zip(is_larger, body(image), largest.tolist(), image.shape)
    ]


def _widened(ends, wanted, size):
    """Returns a stretch about the same middle, inside an axis, that has at least so many voxels."""
    low, high = ends
    start = min(max(0, low - max(0, wanted - (high - low)) // 2), size - wanted)
    return min(low, start), max(high, start + wanted)


def body(image):
    """Returns the smallest box that holds all that is not air, and a margin.

    Where a scan has no dark surroundings, that is all of it.

    Args:
        image: array `(X, Y, Z)`, or anything like one, as `recalib_keras.inference.average_labels` takes it.

    Returns:
        `((low, high), …)` along the three axes.
    """
    steps = tuple(slice(STEP // 2 if size > STEP else 0, None, STEP) for size in image.shape)
    sample = ndimage.uniform_filter(image[steps], size=3, mode="nearest")
    darkest = sample.min()
    is_body = sample > darkest + SHARE_OF_THRESHOLD * (threshold_of_bright(sample) - darkest)
    return tuple(_ends(np.flatnonzero(is_body.any(_others(axis))), size) for axis, size in enumerate(image.shape))


class Part:
    """A box of an image, cut where it is asked for.

    Args:
        image: array `(X, Y, Z)`, or anything like one.
        box: `((low, high), …)` along the three axes.
    """

    def __init__(self, image, box):
        self._image, self._box = image, box

    @property
    def shape(self):
        """Three sizes in voxels."""
        return tuple(high - low for low, high in self._box)

    def __getitem__(self, part):
        """Returns the voxels that three slices name, counted from the box's first one."""
        ends = [where.indices(size)[:2] for where, size in zip(part, self.shape, strict=True)]
        return self._image[tuple(slice(low + start, low + end) for (low, _), (start, end) in zip(self._box, ends))]


def _others(axis):
    return tuple(other for other in range(3) if other != axis)


def _ends(places, size):
    """Returns the ends of the stretch that sampled places span, with a margin; of all if there is none."""
    if not len(places):
        return 0, size
    return max(0, STEP * int(places[0]) - MARGIN), min(size, STEP * (int(places[-1]) + 1) + MARGIN)

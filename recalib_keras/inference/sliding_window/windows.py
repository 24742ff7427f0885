"""Where the windows of a network lie in a volume, and how much each counts at each voxel."""

import itertools
import math
from typing import NamedTuple

import numpy as np

# Isensee et al., nnU-Net, Nature Methods 2021: half a window of overlap, a Gaussian of an eighth of the window.
OVERLAP = 0.5
GAUSSIAN_SIGMA = 1 / 8


class Span(NamedTuple):
    """The part of a window inside a range of voxels, along one axis.

    Args:
        start, stop: first voxel of the volume, and the one after the last.
        offset: place of the first voxel in the window.
        weights: of the voxels, between 0 and 1.
    """

    start: int
    stop: int
    offset: int
    weights: np.ndarray

    def within(self, low, high):
        """Returns the part between two voxels of the volume."""
        start, stop = max(self.start, low), min(self.stop, high)
        skipped = start - self.start
        return Span(start, stop, self.offset + skipped, self.weights[skipped : skipped + stop - start])


class Lattice:
    """The windows of one size that cover a volume, evenly spread, with Gaussian weights.

    Along each axis the weights of all windows sum to 1 at every voxel, and so do their products over the axes: what is
    summed with them is an average, and averages of networks with different windows can be compared.

    Args:
        shape: of the volume, three sizes in voxels.
        window: three sizes in voxels; where the volume is smaller, one window reaches beyond it on both sides.
        overlap: fraction of a window shared with the next one, from 0 to below 1.
    """

    def __init__(self, shape, window, overlap=OVERLAP):
        self.window = tuple(window)
        self.starts = [_starts(size, wanted, overlap) for size, wanted in zip(shape, window)]
        self._spans = [
            _spans(size, wanted, starts) for size, wanted, starts in zip(shape, self.window, self.starts, strict=True)
        ]

    @property
    def voxels(self):
        """How many voxels a window has."""
        return math.prod(self.window)

    @property
    def reach(self):
        """The most voxels along each axis that a window covers inside the volume."""
        return tuple(max(span.stop - span.start for span in spans.values()) for spans in self._spans)

    def places(self, block=None):
        """Returns where windows start, three voxels each, in order; with a block, of those that reach into it."""
        if block is None:
            return list(itertools.product(*self.starts))
        return list(itertools.product(*(self.starts_within(axis, *ends) for axis, ends in enumerate(block))))

    def starts_within(self, axis, low, high):
        """Returns the starts along an axis of the windows that reach into a range of voxels."""
        first, last = self._range_within(axis, low, high)
        return self.starts[axis][first:last]

    def count_within(self, axis, low, high):
        """Returns how many windows reach into a range of voxels along an axis; ranges may be arrays."""
        first, last = self._range_within(axis, low, high)
        return last - first

    def _range_within(self, axis, low, high):
        spans = self._spans[axis].values()
        first = np.searchsorted([span.stop for span in spans], low, side="right")
        return first, np.searchsorted([span.start for span in spans], high, side="left")

    def spans(self, place, block):
        """Returns the three `Span` of the part of a window that lies inside a block."""
        return [
            spans[start].within(low, high) for spans, start, (low, high) in zip(self._spans, place, block, strict=True)
        ]

    def central_places(self, count):
        """Returns the starts of the windows nearest to the middle of the volume, in order."""
        middles = [(starts[0] + starts[-1]) / 2 for starts in self.starts]
        places = self.places()
        distances = (((np.array(places) - middles) / self.window) ** 2).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:count]
        return [places[index] for index in sorted(nearest)]


def cut(image, place, window, margin=(0, 0, 0), mode="edge"):
    """Returns the window of an image that starts at a place; beyond the image its edge is continued.

    Args:
        image: anything with a `shape` of three sizes that gives an array for three slices.
        place, window: three voxels each; the window must reach into the image.
        margin: three voxels, how much of the image is wanted beyond the window on either side.
        mode: `"constant"` for zeros beyond the image.
    """
    starts = [start - beyond for start, beyond in zip(place, margin)]
    ends = [start + size + beyond for start, size, beyond in zip(place, window, margin)]
    part = image[tuple(slice(max(0, start), end) for start, end in zip(starts, ends))]
    missing = [(max(0, -start), max(0, end - size)) for start, end, size in zip(starts, ends, image.shape)]
    return np.pad(part, missing, mode=mode) if np.any(missing) else part


def _starts(size, window, overlap):
    """Returns evenly spread starts of windows that cover `size` with at least the overlap asked for."""
    if size <= window:
        return [-((window - size) // 2)]
    step = max(1, int(window * (1 - overlap)))
    count = 1 + -(-(size - window) // step)
    return [round(index * (size - window) / (count - 1)) for index in range(count)]


def _spans(size, window, starts):
    """Returns the `Span` of each start along one axis, with weights that sum to 1 at every voxel."""
    offsets = np.arange(window) - (window - 1) / 2
    profile = np.exp(-0.5 * (offsets / (window * GAUSSIAN_SIGMA)) ** 2)
    total = np.zeros(size)
    ends = [(max(0, start), min(size, start + window), start) for start in starts]
    for low, high, start in ends:
        total[low:high] += profile[low - start : high - start]
    return {
        start: Span(low, high, low - start, (profile[low - start : high - start] / total[low:high]).astype("float32"))
        for low, high, start in ends
    }

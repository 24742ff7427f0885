"""Where the windows of a network lie in a volume, and how much each one counts at each voxel."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

# Isensee et al., nnU-Net, Nature Methods 2021: half a window of overlap, a Gaussian of an eighth of the window.
OVERLAP = 0.5
GAUSSIAN_SIGMA = 1 / 8

# A range of voxels along each of three axes: `((low, high), (low, high), (low, high))`.
Block = Sequence[tuple[int, int]]
# Anything with a `shape` of three sizes that gives an array for three slices; with channels, they are its last axis.
Image = Any
# Called with classes, such as those of a row `(Y, Z)`, and the sums of probabilities `(Y, Z, num_classes)` they come
# from.
Observer = Callable[[np.ndarray, np.ndarray], None]


class Span(NamedTuple):
    """The part of a window inside a range of voxels, along one axis.

    Args:
        start: First voxel of the volume.
        stop: The voxel after the last one.
        offset: Position of the first voxel in the window.
        weights: Weights of the voxels, from 0 to 1.
    """

    start: int
    stop: int
    offset: int
    weights: np.ndarray

    def within(self, low: int, high: int) -> "Span":
        """Returns the part between two voxels of the volume."""
        start, stop = max(self.start, low), min(self.stop, high)
        skipped = start - self.start
        return Span(start, stop, self.offset + skipped, self.weights[skipped : skipped + stop - start])


class WindowGrid:
    """The windows of one size that cover a volume, evenly spread, with Gaussian weights.

    Along each axis the weights of all windows sum to 1 at every voxel, and so do their products over the axes. A sum
    with these weights is therefore an average, and averages of networks with different windows can be compared.

    Args:
        shape: Three sizes of the volume in voxels.
        window: Three sizes in voxels. Where the volume is smaller, one window reaches beyond it on both sides.
        overlap: Fraction of a window that the next one shares, from 0 to below 1.
    """

    def __init__(self, shape: Sequence[int], window: Sequence[int], overlap: float = OVERLAP):
        self.shape, self.window = tuple(shape), tuple(window)
        self.starts = [_starts(size, wanted, overlap) for size, wanted in zip(shape, window)]
        self._spans = [
            _spans(size, wanted, starts) for size, wanted, starts in zip(shape, self.window, self.starts, strict=True)
        ]

    @property
    def voxels(self) -> int:
        """The number of voxels of a window."""
        return math.prod(self.window)

    @property
    def reach(self) -> tuple[int, ...]:
        """The most voxels along each axis that a window covers inside the volume."""
        return tuple(max(span.stop - span.start for span in spans.values()) for spans in self._spans)

    def places(self, block: Block | None = None) -> list[tuple[int, ...]]:
        """Returns where the windows start, three voxels each, in order.

        Args:
            block: Only the windows that overlap with this block; None for all windows.
        """
        if block is None:
            return list(itertools.product(*self.starts))
        return list(itertools.product(*(self.starts_within(axis, *ends) for axis, ends in enumerate(block))))

    def starts_within(self, axis: int, low: int, high: int) -> list[int]:
        """Returns the starts along an axis of the windows that overlap with a range of voxels."""
        first, last = self._range_within(axis, low, high)
        return self.starts[axis][first:last]

    def count_within(self, axis: int, low: int | np.ndarray, high: int | np.ndarray) -> int | np.ndarray:
        """Returns how many windows overlap with a range of voxels along an axis; several ranges may be arrays."""
        first, last = self._range_within(axis, low, high)
        return last - first

    def _range_within(self, axis, low, high):
        spans = self._spans[axis].values()
        first = np.searchsorted([span.stop for span in spans], low, side="right")
        return first, np.searchsorted([span.start for span in spans], high, side="left")

    def spans(self, place: Sequence[int], block: Block) -> list[Span]:
        """Returns the `Span` along each axis of the part of a window that lies inside a block."""
        return [
            spans[start].within(low, high) for spans, start, (low, high) in zip(self._spans, place, block, strict=True)
        ]

    def average(self, predictions: Iterable[np.ndarray]) -> np.ndarray:
        """Returns the average of what was predicted for all windows, for each voxel of the volume.

        Args:
            predictions: `(*window, channels)` for each of `places()`, in their order.

        Returns:
            float32 `(*shape, channels)`.
        """
        average: Any = None
        for place, values in zip(self.places(), predictions, strict=True):
            if average is None:
                average = np.zeros((*self.shape, values.shape[-1]), "float32")
            spans = self.spans(place, [(0, size) for size in self.shape])
            inner = tuple(slice(span.offset, span.offset + span.stop - span.start) for span in spans)
            weights = np.einsum("i,j,k->ijk", *(span.weights for span in spans))
            average[tuple(slice(span.start, span.stop) for span in spans)] += values[inner] * weights[..., None]
        return average

    def central_places(self, count: int) -> list[tuple[int, ...]]:
        """Returns the starts of the `count` windows nearest to the middle of the volume, in order."""
        middles = [(starts[0] + starts[-1]) / 2 for starts in self.starts]
        places = self.places()
        distances = (((np.array(places) - middles) / self.window) ** 2).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:count]
        return [places[index] for index in sorted(nearest)]


def cut(
    image: Image,
    place: Sequence[int],
    window: Sequence[int],
    margin: Sequence[int] = (0, 0, 0),
    mode: Literal["edge", "constant"] = "edge",
) -> np.ndarray:
    """Returns the window of an image that starts at a place. Beyond the image, its edge is repeated.

    Args:
        image: Anything with a `shape` of three sizes that gives an array for three slices.
        place: Three voxels, where the window starts. The window must overlap with the image.
        window: Three sizes in voxels.
        margin: Three numbers of voxels to add to the window on either side.
        mode: `"edge"`, or `"constant"` for zeros beyond the image.
    """
    starts = [start - beyond for start, beyond in zip(place, margin)]
    ends = [start + size + beyond for start, size, beyond in zip(place, window, margin)]
    part = image[tuple(slice(max(0, start), end) for start, end in zip(starts, ends))]
    missing = [(max(0, -start), max(0, end - size)) for start, end, size in zip(starts, ends, image.shape)]
    missing += [(0, 0)] * (part.ndim - len(missing))  # the channels, if there are several
    return np.pad(part, missing, mode=mode) if np.any(missing) else part


def with_channel_axis(window: np.ndarray) -> np.ndarray:
    """Returns a window of an image with its channels as the last axis, `(x, y, z, channels)`.

    Args:
        window: As from `cut`; that of an image of one channel has no axis for it.
    """
    return window if window.ndim > 3 else window[..., None]


def _starts(size, window, overlap):
    """Returns evenly spread starts of windows that cover `size` with at least the given overlap."""
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

"""Average the predictions of overlapping windows, within a limit of memory."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.inference.sliding_window.output_grid import LabelRows
from recalib_keras.volumes.windows import Block, Span, WindowGrid


class WeightedWindow(NamedTuple):
    """What is predicted for the part of a window inside a block.

    Args:
        spans: The part of the window inside the block, along each of three axes.
        probabilities: `(*window, channels)`; an array or `WindowRows`.
        weight: Weight of the network.
    """

    spans: Sequence[Span]
    probabilities: Any
    weight: float

    @property
    def plane(self) -> np.ndarray:
        """The weights of the voxels of each row, `(Y, Z, 1)`."""
        return np.multiply.outer(*(span.weights for span in self.spans[1:]))[..., None]


class Aggregator:
    """Sums the weighted probabilities of windows inside a block, and passes each row on as soon as it is complete.

    A row is in memory from the first window that shows it until no further one does; then it makes room for another.

    Args:
        rows: Takes the complete rows, and says which block it needs.
        channels: Number of sums of a voxel: one for each class, and any further ones.
        complete: Changes the sums of a row in place when they are complete, or None.
    """

    def __init__(self, rows: LabelRows, channels: int, complete: Callable[[np.ndarray], None] | None = None):
        self.rows, self._complete = rows, complete
        (self._start, self._stop), *across = rows.needs
        self._shape = (*(high - low for low, high in across), channels)
        self._waiting: dict[int, np.ndarray] = {}
        self._free: list[np.ndarray] = []

    def add(self, windows: Sequence[WeightedWindow], until: int) -> None:
        """Adds windows that start with the same row of the block; they come in the order of these rows.

        Args:
            windows: The windows. `WindowRows` of several are computed together, so that their rows need not wait.
            until: The first row that further windows show; those before it are passed on as soon as they are added.
        """
        along = [window.spans[0] for window in windows]
        self._pass_on(along[0].start)
        planes = [window.plane for window in windows]
        for row in range(along[0].start, max(rows.stop for rows in along)):
            for window, plane in zip(windows, planes):
                self._add(window, plane, row)
            if row < until:
                self._pass_on(row + 1)

    def _add(self, window, plane, row):
        """Adds a row of a window, if it shows it."""
        rows, *across = window.spans
        index = row - rows.start
        if index < len(rows.weights):
            inner = (slice(span.offset, span.offset + span.stop - span.start) for span in across)
            outer = tuple(slice(s.start - low, s.stop - low) for s, (low, _) in zip(across, self.rows.needs[1:]))
            weights = plane * np.float32(window.weight * rows.weights[index])
            self._sums(row)[outer] += window.probabilities[(rows.offset + index, *inner)] * weights

    def finish(self) -> None:
        """Passes on all remaining rows."""
        self._pass_on(self._stop)

    def _sums(self, row):
        """Returns the sums of a row, zeros at first."""
        if row not in self._waiting:
            sums = self._free.pop() if self._free else np.empty(self._shape, "float32")
            sums[:] = 0
            self._waiting[row] = sums
        return self._waiting[row]

    def _pass_on(self, stop):
        for row in range(self._start, stop):
            sums = self._sums(row)
            if self._complete is not None:
                self._complete(sums)
            self.rows.take(row, sums)
            self._free.append(self._waiting.pop(row))
        self._start = max(self._start, stop)


def partition(shape: Sequence[int], grids: Sequence[WindowGrid], num_classes: int, memory: int) -> list[Block]:
    """Returns the blocks of a volume that are predicted one after the other, so that the sums of one fit into memory.

    An `Aggregator` keeps at most as many rows of a block as the largest window covers. A window that overlaps with
    several blocks is predicted once for each of them. Of all ways to cut the volume into equal blocks that fit, this is
    the one with the fewest voxels to predict.

    Args:
        shape: Three sizes of the volume in voxels.
        grids: The windows of each network.
        num_classes: Number of classes.
        memory: Bytes for the sums of a block, in float32.
    """
    sides = [_sides(size) for size in shape]
    depth = max(grid.reach[0] for grid in grids)
    rows, columns, slices = (np.array(choices) for choices in sides)
    needed = 4 * num_classes * np.einsum("i,j,k->ijk", np.minimum(rows, depth), columns, slices)
    cost = sum(
        grid.voxels * np.einsum("i,j,k->ijk", *(_windows(grid, axis, sides[axis], shape) for axis in range(3)))
        for grid in grids
    )
    cost = np.where(needed <= memory, cost, np.inf)
    cost[-1, -1, -1] = min(cost[-1, -1, -1], np.finfo(float).max)  # single voxels, where nothing else fits
    best = np.unravel_index(cost.argmin(), cost.shape)
    cuts = [_ends(size, choices[index]) for size, choices, index in zip(shape, sides, best)]
    return list(itertools.product(*cuts))


def _sides(size):
    """Returns the sides of 1, 2, 3, … equal parts, from the largest to a single voxel."""
    return sorted({-(-size // parts) for parts in range(1, size + 1)}, reverse=True)


def _windows(grid, axis, sides, shape):
    """Returns for each side how many windows are predicted along an axis, counted once for every part."""
    parts = [np.array(_ends(shape[axis], side)).T for side in sides]
    return [float(grid.count_within(axis, low, high).sum()) for low, high in parts]


def _ends(size, side):
    return [(start, min(start + side, size)) for start in range(0, size, side)]

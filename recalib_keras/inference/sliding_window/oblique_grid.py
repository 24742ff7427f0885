"""Labels on a grid whose axes are rotated against those of the image that the networks see."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from recalib_keras.inference.sliding_window.voxel_maps import VoxelMaps
from recalib_keras.volumes.windows import Block, Observer

# Labels are made for about this many voxels, or from this many probabilities, at a time.
VOXELS_AT_ONCE, VALUES_AT_ONCE = 2**18, 2**20


class ObliqueGrid:
    """A grid of voxels whose axes run along several axes of the image; see `OutputGrid`.

    A voxel takes the probabilities at its centre, by linear interpolation. Voxels beyond the image are background.

    Args:
        to_seen: Matrix `(4, 4)` from its voxel indices to positions among the voxels that the networks see.
        shape: Three sizes of it in voxels.
        seen: Three sizes of the image that the networks see.
    """

    def __init__(self, to_seen: np.ndarray, shape: Sequence[int], seen: Sequence[int]):
        self.to_seen = to_seen
        self.shape: tuple[int, ...] = tuple(shape)
        self.seen: tuple[int, ...] = tuple(seen)

    def part(self, box: Block) -> "ObliqueGrid":
        """Returns the grid of the voxels around a box; see `OutputGrid`."""
        where = self.within(box)
        to_seen = self.to_seen.copy()
        to_seen[:3, 3] += to_seen[:3, :3] @ [along.start for along in where] - [low for low, _ in box]
        return ObliqueGrid(to_seen, [along.stop - along.start for along in where], [high - low for low, high in box])

    def within(self, box: Block) -> tuple[slice, ...]:
        """Returns the slices that hold all voxels in a box; see `OutputGrid`."""
        corners = np.array(list(itertools.product(*((low - 0.5, high - 0.5) for low, high in box)))).T
        found = np.linalg.solve(self.to_seen[:3, :3], corners - self.to_seen[:3, 3:])
        starts = np.clip(np.floor(found.min(axis=1)), 0, self.shape).astype(int)
        stops = np.clip(np.ceil(found.max(axis=1)) + 1, starts, self.shape).astype(int)
        return tuple(slice(int(start), int(stop)) for start, stop in zip(starts, stops))

    def rows(self, maps: VoxelMaps, block: Block, observe: Observer | None = None) -> "ObliqueRows":
        """Returns what makes the labels of a block; see `OutputGrid`."""
        return ObliqueRows(maps, self, block, observe)


class ObliqueRows:
    """Gives each voxel of an oblique grid, in a block of the image, its class and its values in further maps.

    See `LabelRows`. With each complete row of the image, the voxels between it and the row before get their labels.

    Args:
        maps: Labels and maps of the oblique grid's shape, which are written.
        grid: The oblique grid.
        block: Ranges of voxels along the image's three axes.
        observe: Called with the classes `(N,)` and sums `(N, num_classes)` of those voxels of a row of the image that
            lie within the field of view of the oblique grid, or None.
    """

    def __init__(self, maps: VoxelMaps, grid: ObliqueGrid, block: Block, observe: Observer | None = None):
        self.needs: Block = tuple((max(0, low - 1), min(size, high + 1)) for size, (low, high) in zip(grid.seen, block))
        self._maps, self._grid, self._block, self._observe = maps, grid, block, observe
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def take(self, row: int, sums: np.ndarray) -> None:
        """Takes a complete row; see `LabelRows`."""
        here = sums.copy(), self._maps.decide(sums).astype(self._maps.labels.dtype)
        self._report(row, *here)
        first, stop = self.needs[0]
        low, high = self._block[0][0] - 0.5, self._block[0][1] - 0.5
        # Beyond the image's first and last row, these count alone.
        since, until = (row - 1 if row > first else low), (row if row < stop - 1 else high)
        for voxels in self._voxels(max(low, since), min(high, until)):
            self._fill(row, voxels, self._before or here, here)
        self._before = here

    def _report(self, row, sums, classes):
        """Lets the voxels be observed that are the block's own, and that the scan shows."""
        (low, high), *across = self._block
        if self._observe is None or not low <= row < high:
            return
        own = tuple(slice(start - need, stop - need) for (start, stop), (need, _) in zip(across, self.needs[1:]))
        columns, slices = np.ogrid[tuple(slice(*ends) for ends in across)]
        matrix = np.linalg.inv(self._grid.to_seen)
        is_seen = np.ones([stop - start for start, stop in across], bool)
        for line, size in zip(matrix, self._grid.shape):
            where = line[0] * row + line[1] * columns + line[2] * slices + line[3]
            is_seen &= (where >= -0.5) & (where < size - 0.5)
        self._observe(classes[own][is_seen], sums[own][is_seen])

    @functools.cached_property
    def _lines(self):
        """The axis of the oblique grid that runs most along the rows, and where each line of voxels along it starts."""
        slopes, shape = self._grid.to_seen[0], self._grid.shape
        main = int(np.abs(slopes[:3]).argmax())
        across = [axis for axis in range(3) if axis != main]
        starts = np.add.outer(*(slopes[axis] * np.arange(shape[axis]) for axis in across)) + slopes[3]
        return main, across, starts.ravel()

    def _voxels(self, low, high) -> Iterator[np.ndarray]:
        """Yields the indices `(3, N)` of the voxels whose position along the rows is from `low` to below `high`."""
        if low >= high:
            return
        main, across, starts = self._lines
        slope, size = self._grid.to_seen[0, main], self._grid.shape[main]
        at_once = max(1, int(VOXELS_AT_ONCE * min(1, abs(slope) / (high - low))))
        for begin in range(0, len(starts), at_once):
            first, stop = _range(starts[begin : begin + at_once], slope, low, high, size)
            counts = stop - first
            lines = np.repeat(np.arange(len(counts)), counts)
            along = np.arange(len(lines)) + (first - np.cumsum(counts) + counts)[lines]
            voxels = np.empty((3, len(lines)), int)
            voxels[main] = along
            voxels[across] = np.unravel_index(lines + begin, [self._grid.shape[axis] for axis in across])
            yield voxels

    def _fill(self, row, voxels, before, here):
        """Writes the voxels between two rows, each given by its sums and its classes."""
        positions = self._grid.to_seen[:3, :3] @ voxels + self._grid.to_seen[:3, 3:]
        (low, high), ends = np.array(self._block[1:]).T[..., None], positions[1:]
        own = ((ends >= low - 0.5) & (ends < high - 0.5)).all(axis=0)
        voxels, positions = voxels[:, own], positions[:, own]
        corners, shares = _corners(positions[1:], self.needs[1:])
        corners, shares = [*corners, *corners], np.tile(shares, (2, 1))
        share = np.clip(positions[0] - (row - 1), 0, 1)
        shares[:4] *= 1 - share
        shares[4:] *= share
        sources = [before] * 4 + [here] * 4
        found = [classes.ravel()[corner] for (_, classes), corner in zip(sources, corners)]
        self._maps.labels[tuple(voxels)] = found[0]
        if self._maps.further:
            unsettled = np.arange(voxels.shape[1])
        else:  # where all corners have one class, no mean of them has another
            unsettled = np.flatnonzero(np.any([classes != found[0] for classes in found[1:]], axis=0))
        num_classes = here[0].shape[-1]
        flat = [sums.reshape(-1, num_classes) for sums, _ in sources]
        at_once = max(1, VALUES_AT_ONCE // num_classes)
        for begin in range(0, len(unsettled), at_once):
            some = unsettled[begin : begin + at_once]
            mean = sum(sums[corner[some]] * share[some, None] for sums, corner, share in zip(flat, corners, shares))
            self._maps.write(tuple(voxels[:, some]), mean)


def _range(starts, slope, low, high, size):
    """Returns for which indices `i`, from the first to before the last, `low <= start + slope * i < high`."""
    if slope > 0:
        ends = np.ceil((low - starts) / slope), np.ceil((high - starts) / slope)
    else:
        ends = np.floor((high - starts) / slope) + 1, np.floor((low - starts) / slope) + 1
    return (np.clip(end, 0, size).astype(int) for end in ends)


def _corners(positions, needs):
    """Returns for positions `(2, N)` in a row the flat indices of the four voxels around, and their shares `(4, N)`."""
    (low, high), pairs = np.array(needs).T, []
    for place, start, size in zip(positions, low, high - low):
        place = np.clip(place - start, 0, size - 1)
        lower = np.minimum(place.astype(int), max(size - 2, 0))
        share = (place - lower).astype(np.float32)
        pairs.append([(lower, 1 - share), (np.minimum(lower + 1, size - 1), share)])
    width = high[1] - low[1]
    both = list(itertools.product(*pairs))
    return [column * width + slice_ for (column, _), (slice_, _) in both], np.stack([a * b for (_, a), (_, b) in both])

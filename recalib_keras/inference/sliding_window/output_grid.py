"""The grid that labels are wanted on: the one that the networks see, or the scan's own with other voxels or axes."""

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy import sparse

from recalib_keras.inference.sliding_window.oblique_grid import ObliqueGrid
from recalib_keras.inference.sliding_window.voxel_maps import VoxelMaps
from recalib_keras.volumes import Grid
from recalib_keras.volumes.windows import Block, Observer

# Rounding may pull a voxel half-way between two others either way; this shift, too small to matter, decides.
TIE_BREAK = 5e-4
# Rows are interpolated in parts of about this many values, which stay in the processor's cache.
VALUES_AT_ONCE = 2**18


class LabelRows(Protocol):
    """Makes the labels of one block from rows of summed probabilities.

    Attributes:
        needs: The block of the image whose rows it takes.
    """

    needs: Block

    def take(self, row: int, sums: np.ndarray) -> None:
        """Takes a complete row; rows come in order.

        Args:
            row: Number of the row in the image.
            sums: `(Y, Z, num_classes)`.
        """


class OutputGrid(Protocol):
    """Where labels are wanted. Voxels that no block holds are background.

    Attributes:
        shape: Three sizes in voxels.
    """

    shape: tuple[int, ...]

    def part(self, box: Block) -> "OutputGrid":
        """Returns the grid of the voxels that lie in a box of the image, relative to that box."""

    def within(self, box: Block) -> tuple[slice, ...]:
        """Returns the slices of the labels that lie in a box of the image."""

    def rows(self, maps: VoxelMaps, block: Block, observe: Observer | None = None) -> LabelRows:
        """Returns what makes the labels of a block, and the further maps.

        Args:
            maps: Labels and maps of this grid, which are written.
            block: Ranges of voxels of the image.
            observe: Called with the classes and sums of each row, or None.
        """


class SameGrid:
    """The grid that the networks see.

    Args:
        shape: Three sizes in voxels.
    """

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    def part(self, box: Block) -> "SameGrid":
        """Returns the grid of a box; see `OutputGrid`."""
        return SameGrid([high - low for low, high in box])

    def within(self, box: Block) -> tuple[slice, ...]:
        """Returns the slices of a box; see `OutputGrid`."""
        return tuple(slice(*ends) for ends in box)

    def rows(self, maps: VoxelMaps, block: Block, observe: Observer | None = None) -> "SameRows":
        """Returns what makes the labels of a block; see `OutputGrid`."""
        return SameRows(maps, block, observe)


class ResampledGrid:
    """A grid of other voxels in the same orientation.

    Args:
        axes: An `OutputAxis` for each of three axes.
    """

    def __init__(self, axes: Sequence["OutputAxis"]):
        self.axes = tuple(axes)
        self.shape = tuple(len(axis) for axis in self.axes)

    def part(self, box: Block) -> "ResampledGrid":
        """Returns the grid of a box; see `OutputGrid`."""
        return ResampledGrid([axis.part(*ends) for axis, ends in zip(self.axes, box)])

    def within(self, box: Block) -> tuple[slice, ...]:
        """Returns the slices of a box; see `OutputGrid`."""
        return tuple(axis.within(*ends) for axis, ends in zip(self.axes, box))

    def rows(self, maps: VoxelMaps, block: Block, observe: Observer | None = None) -> "InterpolatedRows":
        """Returns what makes the labels of a block; see `OutputGrid`."""
        return InterpolatedRows(maps, self.axes, block, observe)


def output_grid(seen: Grid, wanted: Grid) -> SameGrid | ResampledGrid | ObliqueGrid:
    """Returns where the voxels of one grid lie among those of another.

    Args:
        seen: Grid that the networks see.
        wanted: Grid of the same orientation that labels are wanted on. Its axes may be oblique; then it lies within
            the field of view of `seen`.
    """
    if seen.matches(wanted):
        return SameGrid(seen.shape)
    to_seen = np.linalg.solve(seen.affine, wanted.affine)
    if wanted.is_oblique and not seen.is_oblique:
        return ObliqueGrid(to_seen, wanted.shape, seen.shape)
    steps, starts = np.diag(to_seen)[:3], to_seen[:3, 3]
    return ResampledGrid(
        [
            OutputAxis(start + step * np.arange(count), size, step)
            for start, step, count, size in zip(starts, steps, wanted.shape, seen.shape, strict=True)
        ]
    )


class OutputAxis:
    """The voxels along one axis of the output grid, each at a position among the voxels that the networks see.

    A voxel takes the mean over the stretch that it covers, or over the stretch of one seen voxel if it is smaller:
    that is linear interpolation. Beyond the seen voxels, the edge is repeated.

    Args:
        positions: Increasing, evenly spread numbers; 0 is the centre of the first seen voxel, 1 of the second.
        size: Number of seen voxels.
        step: Distance from one position to the next; only needed for a single one.
    """

    def __init__(self, positions: np.ndarray, size: int, step: float = 1.0):
        self.positions = np.asarray(positions, float)
        self.size = size
        self._stretch = max(1.0, self.positions[1] - self.positions[0] if len(self.positions) > 1 else step)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def margin(self) -> int:
        """The most voxels on either side of the nearest one that a voxel depends on."""
        return int(np.ceil(self._stretch / 2 + 0.5))

    def part(self, low: int, high: int) -> "OutputAxis":
        """Returns the voxels that lie nearest to a range of seen voxels, relative to that range."""
        return OutputAxis(self.positions[self.within(low, high)] - low, high - low, self._stretch)

    def within(self, low: int, high: int) -> slice:
        """Returns the slice of the voxels that lie nearest to a range of seen voxels."""
        nearest = np.clip(np.floor(self.positions + 0.5), 0, self.size - 1)
        return slice(*(int(end) for end in np.searchsorted(nearest, (low, high))))

    @functools.cached_property
    def weights(self) -> sparse.csr_array:
        """The share of each seen voxel in each voxel: a sparse matrix `(len, size)`."""
        positions = np.clip(self.positions + TIE_BREAK, 0, self.size - 1)[:, None]
        columns = np.floor(positions + 0.5).astype(int) + np.arange(-self.margin, self.margin + 1)
        ends = positions + self._stretch / 2 * np.array([[-1], [1]])[..., None]
        shares = np.minimum(ends[1], columns + 0.5) - np.maximum(ends[0], columns - 0.5)
        shares = np.maximum(0, shares) / self._stretch
        rows = np.broadcast_to(np.arange(len(self))[:, None], columns.shape)
        entries = (shares.ravel(), (rows.ravel(), np.clip(columns, 0, self.size - 1).ravel()))
        matrix = sparse.csr_array(entries, (len(self), self.size), "float32")  # sums what lies beyond into the edge
        matrix.eliminate_zeros()
        return matrix


class SameRows:
    """Gives each voxel of a block its class and its values in further maps, row by row; see `LabelRows`.

    Args:
        maps: Labels and maps of the image's shape, which are written.
        block: Ranges of voxels along its three axes.
        observe: Called with the classes and sums of each row, or None.
    """

    def __init__(self, maps: VoxelMaps, block: Block, observe: Observer | None = None):
        self.needs: Block = block
        self._maps = maps.part((slice(None), *(slice(low, high) for low, high in block[1:])))
        self._observe = observe

    def take(self, row: int, sums: np.ndarray) -> None:
        """Takes a complete row; see `LabelRows`."""
        self._maps.write(row, sums)
        if self._observe is not None:
            self._observe(self._maps.labels[row], sums)


class InterpolatedRows:
    """Gives each voxel of the output grid, in a block of the image, its class and its values in further maps.

    See `LabelRows`.

    Probabilities are interpolated, so that borders between structures may lie between the voxels that the networks
    saw. A row of the labels is made as soon as the rows that it depends on are complete.

    Args:
        maps: Labels and maps of the output grid's shape, which are written.
        axes: An `OutputAxis` for each of three axes.
        block: Ranges of voxels along the image's three axes.
        observe: Called with the classes and sums of each row of the image, or None.
    """

    def __init__(self, maps: VoxelMaps, axes: Sequence[OutputAxis], block: Block, observe: Observer | None = None):
        self.needs: Block = tuple(
            (max(0, low - axis.margin), min(axis.size, high + axis.margin)) for axis, (low, high) in zip(axes, block)
        )
        parts = [axis.within(*ends) for axis, ends in zip(axes, block)]
        self._maps = maps.part(tuple(parts))
        self._rows, self._columns, self._slices = (
            axis.weights[part, low:high] for axis, part, (low, high) in zip(axes, parts, self.needs)
        )
        self._block, self._observe = block, observe
        self._kept, self._done = {}, 0

    def take(self, row: int, sums: np.ndarray) -> None:
        """Takes a complete row; see `LabelRows`."""
        self._report(row, sums)
        self._kept[row - self.needs[0][0]] = sums.copy()
        while self._done < len(self._maps.labels):
            columns, shares = self._sources(self._done)
            if columns[-1] not in self._kept:
                break
            self._fill(self._done, sum(share * self._kept[at] for at, share in zip(columns, shares)))
            self._done += 1
            self._forget(columns[0])

    def _report(self, row, sums):
        """Lets the block's own voxels be observed; those around it belong to other blocks."""
        rows, *across = self._block
        if self._observe is not None and rows[0] <= row < rows[1]:
            own = sums[
                tuple(slice(low - start, high - start) for (low, high), (start, _) in zip(across, self.needs[1:]))
            ]
            self._observe(self._maps.decide(own), own)

    def _sources(self, row):
        ends = slice(*self._rows.indptr[row : row + 2])
        return self._rows.indices[ends], self._rows.data[ends]

    def _forget(self, first):
        for row in [row for row in self._kept if row < first]:
            del self._kept[row]

    def _fill(self, row, sums):
        """Writes one row of the output grid, `(Y', Z')`, from sums `(Y, Z, num_classes)`."""
        columns, slices, num_classes = sums.shape
        sums = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(slices, -1)
        sums = (self._slices @ sums).reshape(-1, columns, num_classes)
        sums = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(columns, -1)
        at_once = 1 + VALUES_AT_ONCE // (1 + sums.shape[1])
        across = self._slices.shape[0]
        for start in range(0, self._columns.shape[0], at_once):
            part = self._columns[start : start + at_once] @ sums
            self._maps.write((row, slice(start, start + at_once)), part.reshape(-1, across, num_classes))

"""Work on a large grid slab by slab, with no more of the source than each slab needs."""

import math
from collections.abc import Iterator

import numpy as np

from recalib_keras.volumes.grid import Grid, corner_indices

# Larger grids are done in slabs of about this many voxels, so that copies in between stay small.
MOST_VOXELS = 2**24
# SciPy cuts a Gaussian off after this many sigma.
TRUNCATED = 4

Box = tuple[slice, slice, slice]


def slabs(source: Grid, target: Grid, reach: float) -> Iterator[tuple[Box, Box]]:
    """Yield the parts of `target` along its first axis, each with the box of `source` that it is computed from.

    Args:
        source: The grid that values are taken from.
        target: The grid they are wanted on.
        reach: How far (in source voxels) a value depends on its neighbourhood.
    """
    count = max(1, -(-max(math.prod(source.shape), math.prod(target.shape)) // MOST_VOXELS))
    rows = -(-target.shape[0] // count)
    for start in range(0, target.shape[0], rows):
        part = (slice(start, min(start + rows, target.shape[0])), slice(0, target.shape[1]), slice(0, target.shape[2]))
        yield part, _needed(source, cropped(target, part), math.ceil(reach) + 1)


def is_large(*grids: Grid) -> bool:
    """Tell whether one of the grids has so many voxels that the work is done in slabs."""
    return max(math.prod(grid.shape) for grid in grids) > MOST_VOXELS


def cropped(grid: Grid, box: Box) -> Grid:
    """Return the part of a grid that three slices name."""
    start = [part.start for part in box]
    shape = tuple(min(part.stop, size) - part.start for part, size in zip(box, grid.shape, strict=True))
    affine = grid.affine.copy()
    affine[:3, 3] = (grid.affine @ [*start, 1])[:3]
    return Grid(shape, affine)


def smoothing_sigma(step: float) -> float:
    """Return the sigma (source voxels) of the smoothing that goes before steps of `step` source voxels."""
    return math.sqrt(max(0.0, step**2 - 1)) / (2 * math.sqrt(2 * math.log(2)))


def smoothing_reach(source: Grid, target: Grid) -> float:
    """Return how far (in source voxels) smoothing reaches where values go from `source` to `target`."""
    step = np.abs(np.linalg.solve(source.affine, target.affine)[:3, :3]).sum(axis=1).max()
    return TRUNCATED * smoothing_sigma(float(step))


def _needed(source, target, margin):
    """Return the box of `source` that a target lies in, and `margin` voxels around it."""
    corners = (np.linalg.solve(source.affine, target.affine) @ corner_indices(target.shape))[:3]
    last = np.array(source.shape) - 1  # what lies outside is taken from the edge
    lows = np.clip(np.floor(corners.min(axis=1)), 0, last).astype(int) - margin
    highs = np.clip(np.ceil(corners.max(axis=1)), 0, last).astype(int) + margin + 1
    return tuple(
        slice(max(0, int(low)), min(int(high), size)) for low, high, size in zip(lows, highs, source.shape, strict=True)
    )

"""Displacement fields: given at the nodes of a coarse grid, and as the flow of a velocity field."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from keras import ops
from scipy.ndimage import map_coordinates

from recalib_keras.transforms import Tensor
from recalib_keras.transforms.separable_operators import along_axes, linear_interpolation

# A flow of duration 1 is composed of 2 to this power equal steps.
SQUARINGS = 6


def interpolate_nodes(
    nodes: Tensor, window: Sequence[int], interpolation: Callable[[int, int], np.ndarray] = linear_interpolation
) -> Tensor:
    """Returns the displacement of each voxel of a window, from displacements at the nodes of a grid over it.

    Args:
        nodes: `(batch, n, *grid)`; the outer nodes lie on the outer voxels.
        window: n sizes in voxels.
        interpolation: Makes the matrix `(nodes, size)` along an axis from these two numbers:
            `separable_operators.linear_interpolation` or `interpolating_spline`.

    Returns:
        Tensor `(batch, n, *window)`.
    """
    batch, rank, *grid = nodes.shape
    matrices = [interpolation(count, size) for count, size in zip(grid, window)]
    fields = along_axes(ops.reshape(nodes, (batch * rank, *grid)), matrices)
    return ops.reshape(fields, (batch, rank, *window))


def integrate_velocity(velocity: np.ndarray, extent: Sequence[float]) -> np.ndarray:
    """Returns the displacement that a steady velocity field causes in a time of 1, by scaling and squaring.

    The displacement of a short time is composed with itself again and again, which doubles the time. The result has an
    inverse, so it never folds, as long as the grid resolves it.

    Args:
        velocity: `(n, *grid)` in mm.
        extent: Size of the grid along each axis in mm, from the first to the last node.

    Returns:
        Displacements in mm, of the shape of `velocity`.

    Reference:
        Arsigny et al., "A Log-Euclidean framework for statistics on diffeomorphisms", MICCAI 2006.
    """
    grid = velocity.shape[1:]
    steps = np.array([max(size, 1e-6) / (count - 1) for size, count in zip(extent, grid)])
    steps = steps.reshape(-1, *[1] * len(grid))
    nodes = np.indices(grid).astype("float64")
    path = velocity / steps / 2**SQUARINGS
    for _ in range(SQUARINGS):
        places = nodes + path
        path = path + np.stack([map_coordinates(part, places, order=1, mode="nearest") for part in path])
    return path * steps

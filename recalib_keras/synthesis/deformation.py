"""How heads differ in shape and place: affine maps and smooth, invertible displacements, drawn in NumPy."""

import numpy as np
from scipy.ndimage import map_coordinates

from recalib_keras.synthesis.settings import FEWEST_NODES
from recalib_keras.transforms.separable_operators import smooth_spline, spread

# Nodes along each axis of the grid that displacements are followed on; at 192 mm a step of 13 mm.
GRID = 16
# A flow of duration 1 is composed of 2 to this power equal steps.
SQUARINGS = 6


def affine(settings, rank, mirror_axis, is_flipped, rng):
    """Returns a random matrix `(rank, rank)`, from mm in the scan to mm in the label map, both from the centre."""
    matrix = np.eye(rank)
    for first in range(rank):
        for second in range(first + 1, rank):
            angle = np.deg2rad(rng.normal(0, settings.rotation))
            plane = np.eye(rank)
            plane[[first, second], [first, second]] = np.cos(angle)
            plane[first, second], plane[second, first] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ plane
    shears = rng.normal(0, settings.shearing, (rank, rank)) * (1 - np.eye(rank)) + np.eye(rank)
    scales = np.exp(rng.normal(0, settings.scaling, rank))
    if is_flipped:
        scales[mirror_axis] *= -1
    return matrix @ shears * scales


def displacement(largest, most_nodes, extent, rng):
    """Returns a random displacement in mm at the nodes of a grid over the window, `(rank, *[GRID] * rank)`.

    A smooth field of velocities, a cubic B-spline of few nodes, is followed for a while (Arsigny et al., "A
    Log-Euclidean framework for statistics on diffeomorphisms", MICCAI 2006), so that what it makes has an inverse:
    tissue is stretched and squeezed, never folded, as long as the grid resolves it: at 150 mm up to a deviation of
    10 mm with 8 nodes, or of 4 mm with 16.

    Args:
        largest: the deviation of the velocities is drawn evenly up to this, in mm.
        most_nodes: the number of nodes along each axis is drawn from `FEWEST_NODES` up to this.
        extent: size of the window along each axis in mm, first to last voxel's centre.
        rng: `numpy.random.Generator`.
    """
    rank = len(extent)
    count = rng.integers(FEWEST_NODES, most_nodes, endpoint=True)
    deviation = rng.uniform(0, largest)
    velocity = rng.normal(0, deviation, (rank,) + (count,) * rank) * spread(count, (GRID,) * rank)
    for axis in range(1, rank + 1):
        velocity = np.moveaxis(np.tensordot(velocity, smooth_spline(count, GRID), (axis, 0)), -1, axis)
    return followed(velocity, extent)


def followed(velocity, extent):
    """Returns where a steady flow has carried each node after a time of 1, less where it was.

    By scaling and squaring: a short flow, twice as long each time it is carried out after itself.

    Args:
        velocity: `(rank, *grid)` in mm.
        extent: size of the grid along each axis in mm, first to last node.
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

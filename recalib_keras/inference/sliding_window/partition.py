"""Cut a volume into blocks, so that the probabilities of one fit into the memory there is."""

import itertools

import numpy as np


def partition(shape, lattices, num_classes, memory):
    """Returns the blocks of a volume that are done one after the other, as `((low, high), …)` along three axes.

    Inside a block, probabilities are kept for as many rows along the first axis as the largest window covers. Windows
    that reach into several blocks are predicted for each of them; of all ways to cut the volume into equal blocks that
    fit, this is the one with the fewest voxels to predict.

    Args:
        shape: of the volume, three sizes in voxels.
        lattices: `Lattice` of each network.
        num_classes: integer.
        memory: bytes for the probabilities of a block, in float32.
    """
    sides = [_sides(size) for size in shape]
    depth = max(lattice.reach[0] for lattice in lattices)
    rows, columns, slices = (np.array(choices) for choices in sides)
    needed = 4 * num_classes * np.einsum("i,j,k->ijk", np.minimum(rows, depth), columns, slices)
    cost = sum(
        lattice.voxels * np.einsum("i,j,k->ijk", *(_windows(lattice, axis, sides[axis], shape) for axis in range(3)))
        for lattice in lattices
    )
    cost = np.where(needed <= memory, cost, np.inf)
    cost[-1, -1, -1] = min(cost[-1, -1, -1], np.finfo(float).max)  # single voxels, where nothing else fits
    best = np.unravel_index(cost.argmin(), cost.shape)
    cuts = [_ends(size, choices[index]) for size, choices, index in zip(shape, sides, best)]
    return list(itertools.product(*cuts))


def _sides(size):
    """Returns the sides of 1, 2, 3, … equal parts, from the largest to a single voxel."""
    return sorted({-(-size // parts) for parts in range(1, size + 1)}, reverse=True)


def _windows(lattice, axis, sides, shape):
    """Returns for each side how many windows along an axis are predicted, counted for every part they reach into."""
    parts = [np.array(_ends(shape[axis], side)).T for side in sides]
    return [float(lattice.count_within(axis, low, high).sum()) for low, high in parts]


def _ends(size, side):
    return [(start, min(start + side, size)) for start in range(0, size, side)]

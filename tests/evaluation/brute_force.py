"""Surfaces and distances straight from their definitions, one voxel after the other."""

import numpy as np


def brute_force_surface(mask):
    """Which voxels have a neighbour across a face that is outside, one voxel and one neighbour after the other."""
    found = np.zeros_like(mask)
    for place in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                other = place.copy()
                other[axis] += step
                is_beyond = not 0 <= other[axis] < mask.shape[axis]
                if is_beyond or not mask[tuple(other)]:
                    found[tuple(place)] = True
    return found


def brute_force_distances(prediction, truth, axes):
    """The distance from each surface voxel of the one to the nearest of the other, from all pairs."""
    places = [np.argwhere(brute_force_surface(mask)) @ np.transpose(axes) for mask in (prediction, truth)]
    pairs = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1)
    return pairs.min(axis=1), pairs.min(axis=0)

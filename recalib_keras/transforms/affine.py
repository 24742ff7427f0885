"""Affine maps: rotation matrices, and the place that each voxel of a window comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from keras import ops

from recalib_keras.transforms import Tensor
from recalib_keras.transforms.lookup import of_examples


def planes(rank: int) -> int:
    """Returns how many planes two of `rank` axes span: a rotation has one angle for each."""
    return rank * (rank - 1) // 2


def rotation(angles: Iterable[float], rank: int) -> np.ndarray:
    """Returns the rotation matrix `(rank, rank)` that is the product of one rotation in each plane of two axes.

    Args:
        angles: One for each plane, in radians; the planes are those of axes (0, 1), (0, 2), …, (1, 2), ….
        rank: Number of axes.
    """
    matrix, angles = np.eye(rank), iter(angles)
    for first in range(rank):
        for second in range(first + 1, rank):
            angle = next(angles)
            plane = np.eye(rank)
            plane[[first, second], [first, second]] = np.cos(angle)
            plane[first, second], plane[second, first] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ plane
    return matrix


def source_places(
    window: Sequence[int], matrices: Tensor, centres: Tensor, displacements: Tensor | None = None
) -> list[Tensor]:
    """Returns the place in the source that each voxel of a window comes from: `centre + matrix @ offset`.

    Args:
        window: n sizes in voxels.
        matrices: `(batch, n, n)`, from voxels of the window to voxels of the source, both from the window's centre.
        centres: `(batch, n)`, the place of the window's centre in the source, in voxels.
        displacements: `(batch, n, *window)`, added to the places, in voxels of the source; or None.

    Returns:
        For each axis of the source a tensor `(batch, *window)`, in voxels.
    """
    # Sums instead of a matrix product, which some devices round to the ten bits of TF32: hundredths of a voxel.
    rank = len(window)
    offsets = [
        _along(axis, ops.arange(size, dtype="float32") - (size - 1) / 2, rank) for axis, size in enumerate(window)
    ]
    places = []
    for axis in range(rank):
        place = of_examples(centres[:, axis], rank)
        for other, offset in enumerate(offsets):
            place = place + of_examples(matrices[:, axis, other], rank) * offset
        places.append(place if displacements is None else place + displacements[:, axis])
    return places


def _along(axis, values, rank):
    """Returns a line of values in a shape that lies along one axis of a batch of windows."""
    return ops.reshape(values, (1,) * (axis + 1) + (-1,) + (1,) * (rank - axis - 1))

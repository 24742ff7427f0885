"""Volumes of structures."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StructureVolume:
    """How large a structure is, in voxels and in mm³."""

    name: str
    label: int
    voxels: int
    cubic_millimetres: float


def structure_volumes(labels, grid, structures):
    """Returns the `StructureVolume` of each structure, in their order.

    Args:
        labels: integer array of label numbers.
        grid: `recalib_keras.volumes.Grid` of the array.
        structures: sequence of things with an `id` and a `name`.
    """
    numbers, counts = np.unique(labels, return_counts=True)
    voxels = dict(zip(numbers.tolist(), counts.tolist()))
    return [
        StructureVolume(s.name, s.id, voxels.get(s.id, 0), voxels.get(s.id, 0) * grid.voxel_volume) for s in structures
    ]

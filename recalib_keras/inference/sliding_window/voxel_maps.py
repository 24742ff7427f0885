"""What is made of the sums of probabilities of each voxel: its label, and any further map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.core.scratch import release
from recalib_keras.zoo.decision import Decide, most_probable

# Labels and maps that lie in files leave the memory after this many voxels.
RELEASED_AFTER = 2**22
# From sums of probabilities `(…, channels)` to the values of a map, `(…)` or `(…, values)`.
Values = Callable[[np.ndarray], np.ndarray]


class VoxelMap(NamedTuple):
    """An array with one value, or several, for each voxel of the output grid.

    Args:
        array: `(X, Y, Z)` or `(X, Y, Z, values)`; the values are written into it. It may lie in a file.
        of: Returns the values of sums of probabilities.
    """

    array: np.ndarray
    of: Values

    def part(self, where: tuple[slice, ...]) -> VoxelMap:
        """Returns the map of some slices of the grid, which writes into this one's array."""
        return VoxelMap(self.array[where], self.of)


class VoxelMaps:
    """The labels of a grid, and further maps on it, all made from the same sums.

    Args:
        labels: Integer array of the grid's shape; the classes are written into it.
        decide: Returns the classes of sums of probabilities; where it gives several sums one class, it gives that to
            their means, too.
        further: Further maps of the same grid.
    """

    def __init__(self, labels: np.ndarray, decide: Decide = most_probable, further: Sequence[VoxelMap] = ()):
        self.labels, self.decide, self.further = labels, decide, tuple(further)
        self._voxels = 0  # since what lies in files was released

    def part(self, where: tuple[slice, ...]) -> VoxelMaps:
        """Returns the maps of some slices of the grid, which write into the arrays of these."""
        return VoxelMaps(self.labels[where], self.decide, [one.part(where) for one in self.further])

    def write(self, where: Any, sums: np.ndarray) -> None:
        """Writes labels and maps of some voxels.

        Args:
            where: An index of the grid, such as a row, or three arrays of voxel indices.
            sums: `(*voxels, channels)`, with the voxels that the index selects.
        """
        self.labels[where] = self.decide(sums)
        for one in self.further:
            one.array[where] = one.of(sums)
        self._voxels += math.prod(sums.shape[:-1])
        if self._voxels >= RELEASED_AFTER:
            for array in (self.labels, *(one.array for one in self.further)):
                release(array)
            self._voxels = 0

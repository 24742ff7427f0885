"""Whether a label map stands where its scan does."""

from recalib_keras.volumes.grid import Grid

# Voxels differ in place by no more than this share of the smallest voxel's edge: headers round, and no more than that.
SAME_PLACE = 0.01


def coincide(grid: Grid, expected: Grid) -> bool:
    """Tell whether two grids have the same shape and all voxels the same place, to a hundredth of a voxel.

    Example:
        >>> import numpy as np
        >>> nudged = np.eye(4)
        >>> nudged[0, 3] = 0.005
        >>> coincide(Grid((4, 4, 4), nudged), Grid((4, 4, 4), np.eye(4)))
        True
    """
    return grid.matches(expected, SAME_PLACE * min(expected.spacing))

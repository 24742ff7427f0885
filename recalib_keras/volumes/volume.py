"""A scan: its voxel values, their grid, and the header they were read with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.resampling import resample


@dataclass(frozen=True, eq=False)
class Volume:
    """One three-dimensional scan or label map.

    Args:
        array: Values of shape `grid.shape`.
        grid: The places of the voxels (mm, RAS+).
        header: The nibabel header it was read with, or None. Results take their orientation codes and units from it.
        source: The file or folder it was read from, or None.

    Raises:
        VolumeError: The shapes of `array` and `grid` differ.

    Example:
        >>> volume = Volume(np.zeros((4, 6, 8)), Grid((4, 6, 8), np.diag([1.0, 1.0, -2.0, 1.0])))
        >>> fine = volume.conform("RAS", spacing=1.0)
        >>> fine.array.shape, fine.grid.orientation
        ((4, 6, 16), 'RAS')
        >>> fine.on(volume.grid).array.shape
        (4, 6, 8)
    """

    array: np.ndarray
    grid: Grid
    header: Any = None
    source: Path | None = None

    def __post_init__(self):
        if tuple(self.array.shape) != self.grid.shape:
            raise VolumeError(
                expected=f"an array of the grid's shape {self.grid.shape}", received=str(tuple(self.array.shape))
            )

    def conform(
        self, orientation: str = "RAS", spacing: float | Sequence[float] | None = None, order: int = 1
    ) -> Volume:
        """Returns the scan with its axes along `orientation` and, if `spacing` is given, with voxels of that size.

        With a spacing, an oblique scan is turned to the axes of the world, see `Grid.conformed`.

        Args:
            orientation: Three letters, see `Grid.oriented`.
            spacing: Voxel size in mm along the axes of the new orientation, one number or three. None keeps the scan's.
            order: 1 for linear interpolation (images), 0 for the nearest voxel (labels).
        """
        return self.on(self.grid.conformed(orientation, spacing), order)

    def on(self, grid: Grid, order: int = 1) -> Volume:
        """Returns the scan on another grid, see `resample`. Voxels outside the scan get the value of its edge.

        Args:
            grid: The grid wanted.
            order: 1 for linear interpolation (images), 0 for the nearest voxel (labels).
        """
        try:
            return replace(self, array=resample(self.array, self.grid, grid, order), grid=grid)
        except VolumeError as error:
            raise error if self.source is None else error.at(self.source) from error.__cause__

    def aligned(self, grid: Grid, of: str = "its scan") -> Volume:
        """Returns a label map on the grid of its scan, with every voxel's value untouched.

        The label map may be stored with other axes than the scan (flipped, permuted), and its affine may be rounded.

        Args:
            grid: The grid of the scan.
            of: Whose grid it is, for messages.

        Raises:
            VolumeError: The voxels are not those of the scan: another shape, or places off by more than a quarter of a
                voxel. It then needs resampling, which changes labels.

        Example:
            >>> labels = Volume(np.arange(4).reshape(4, 1, 1), Grid((4, 1, 1), np.eye(4)))
            >>> labels.aligned(labels.grid.oriented("LAS")).array.ravel()
            array([3, 2, 1, 0])
        """
        if self.grid.coincides(grid):
            return replace(self, grid=grid)
        turned = self.grid.turned_like(grid)
        if not turned.coincides(grid):
            raise VolumeError(
                file=self.source,
                expected=f"the grid of {of}, {grid}",
                received=self.grid.difference(grid),
                remedy="resample it there with nearest-neighbour interpolation",
            )
        return replace(self, array=resample(self.array, self.grid, turned, order=0), grid=grid)

"""A scan as a network expects it, made window by window where that can be."""

import nibabel as nib
import numpy as np

from recalib_keras import volumes
from recalib_keras.inference.sliding_window.output_grid import lines_between


class ConformedScan:
    """A scan oriented, resampled and normalised as a network expects; slices of it are arrays.

    A scan whose voxels need only be turned is never copied as a whole: each slice is turned and normalised when it is
    asked for, by the statistics of the whole scan.

    Attributes:
        grid: `recalib_keras.volumes.Grid` of the voxels that the network looks at.
        turned: that of the scan's own voxels, oriented alike.
        lines: where the latter lie among the former, see `recalib_keras.inference.sliding_window.output_grid`; None if they are the same.

    Args:
        scan: `recalib_keras.volumes.Volume`.
        expects: `recalib_keras.zoo.Input`.
    """

    def __init__(self, scan, expects):
        self.turned = scan.grid.oriented(expects.orientation)
        self.grid = self.turned if expects.spacing is None else self.turned.resampled(expects.spacing)
        self.lines = lines_between(self.grid, self.turned)
        if self.lines is None:
            self._array = _turned(scan, expects.orientation)
        else:
            self._array = scan.on(self.grid).array
        self._normalize = volumes.normalizer(self._array, expects.normalization, scan.array, scan.source)

    @property
    def shape(self):
        """Three sizes in voxels."""
        return self._array.shape

    def __getitem__(self, part):
        """Returns the normalised part of the scan that three slices name."""
        return self._normalize(self._array[part])


def _turned(scan, orientation):
    """Returns the scan's array with its axes along `orientation`, as a view of it."""
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(scan.grid.affine), nib.orientations.axcodes2ornt(orientation)
    )
    return nib.orientations.apply_orientation(np.asarray(scan.array), turn)

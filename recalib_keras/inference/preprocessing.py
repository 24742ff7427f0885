"""A scan as a network expects it: oriented, resampled and normalised, window by window where possible."""

import nibabel as nib
import numpy as np

from recalib_keras import volumes
from recalib_keras.core.scratch import lies_in_file, pieces
from recalib_keras.inference.sliding_window.output_grid import output_grid
from recalib_keras.volumes import Channels, Grid, Volume
from recalib_keras.zoo import Input
from recalib_keras.zoo.preprocessing import check_channels, warn_if_tilted


class PreprocessedScan:
    """A scan oriented, resampled and normalised as a network expects; slices of it are arrays.

    If only the axes of a scan must change, it is never copied as a whole: each slice is turned and normalised when it
    is needed, by the statistics of the whole scan.

    An oblique scan is resampled to the axes of the world if the network expects a spacing, see `Grid.conformed`. Beyond
    its field of view, its edge is continued; the statistics are those of its own voxels.

    Attributes:
        grid: Grid that the network sees.
        oriented: Grid of the scan's own voxels in the orientation that the network expects.
        output_grid: Where the voxels of `oriented` lie among those of `grid`.

    Args:
        scan: The scan.
        expects: What the network expects.
        normalization: Of the intensities; defaults to that of the network's first channel.

    Warns:
        ScanWarning: The scan is tilted and the network expects no spacing; or see `volumes.normalizer`.
    """

    def __init__(self, scan: Volume, expects: Input, normalization: str | None = None):
        self.oriented: Grid = scan.grid.oriented(expects.orientation)
        self.grid: Grid = scan.grid.conformed(expects.orientation, expects.spacing)
        self.output_grid = output_grid(self.grid, self.oriented)
        if self.grid.matches(self.oriented):
            self._array = _oriented(scan, expects.orientation)
        else:
            self._array = scan.on(self.grid).array
        warn_if_tilted(scan.grid, expects, scan.source)
        own = scan.array if scan.grid.is_oblique else self._array
        method = normalization or expects.normalizations[0]
        self._normalize = volumes.normalizer(own, method, scan.array, scan.source)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three sizes in voxels."""
        return self._array.shape

    def __getitem__(self, part: tuple[slice, slice, slice]) -> np.ndarray:
        """Returns the normalised voxels of three slices."""
        voxels = self._array[part]
        if not lies_in_file(voxels):
            return self._normalize(voxels)
        values = np.empty(voxels.shape, np.float32)
        for piece in pieces(voxels):
            values[piece] = self._normalize(voxels[piece])
        return values


class PreprocessedChannels:
    """A scan of several channels as a network expects it; slices of it are arrays with the channels as last axis.

    Args:
        scan: The scan.
        expects: What the network expects.

    Attributes:
        grid: See `PreprocessedScan`, as `oriented` and `output_grid`.
    """

    def __init__(self, scan: Channels, expects: Input):
        pairs = zip(scan.volumes, expects.normalizations, strict=True)
        self._channels = [PreprocessedScan(volume, expects, method) for volume, method in pairs]
        first = self._channels[0]
        self.grid, self.oriented, self.output_grid = first.grid, first.oriented, first.output_grid

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three sizes in voxels."""
        return self._channels[0].shape

    def __getitem__(self, part: tuple[slice, slice, slice]) -> np.ndarray:
        """Returns the normalised voxels of three slices, `(x, y, z, channels)`."""
        return np.stack([channel[part] for channel in self._channels], axis=-1)


def as_seen(scan: Volume | Channels, expects: Input) -> PreprocessedScan | PreprocessedChannels:
    """Returns a scan as a network expects it, window by window where possible.

    Args:
        scan: The scan, with as many channels as the network sees.
        expects: What the network expects.

    Raises:
        VolumeError: The scan has another number of channels.
    """
    check_channels(scan, expects)
    return PreprocessedChannels(scan, expects) if isinstance(scan, Channels) else PreprocessedScan(scan, expects)


def turned_back(array: np.ndarray, grid: Grid, orientation: str) -> np.ndarray:
    """Returns an array whose axes are along `orientation` with the axes of a scan, as a view of it.

    Args:
        array: Values on `grid.oriented(orientation)`.
        grid: The scan's grid.
        orientation: Three letters, see `Grid.oriented`.
    """
    return _turned(array, nib.orientations.axcodes2ornt(orientation), nib.io_orientation(grid.affine))


def _oriented(scan, orientation):
    """Returns the scan's array with its axes along `orientation`, as a view of it."""
    return _turned(scan.array, nib.io_orientation(scan.grid.affine), nib.orientations.axcodes2ornt(orientation))


def _turned(array, given, wanted):
    """Returns an array in another of nibabel's orientations, as a view of it."""
    return nib.orientations.apply_orientation(np.asarray(array), nib.orientations.ornt_transform(given, wanted))

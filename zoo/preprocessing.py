"""A scan as a network sees it: oriented, resampled, normalised and cut into windows; and the way back."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np

from recalib_keras import volumes
from recalib_keras.core.errors import VolumeError, warn_of_scan
from recalib_keras.core.messages import listed
from recalib_keras.datasets.label_mapping import LabelMapping
from recalib_keras.volumes import Channels, Grid, Volume
from recalib_keras.volumes.windows import WindowGrid, cut, with_channel_axis
from recalib_keras.zoo.decision import decision_for, innermost, with_background
from recalib_keras.zoo.labels import Label
from recalib_keras.zoo.network import Input

Source = str | os.PathLike | nib.spatialimages.SpatialImage | Volume


@dataclass(frozen=True, eq=False)
class SeenScan:
    """A scan as a network sees it; `recalib_keras.zoo.preprocess` makes one.

    Args:
        scan: The scan as it was read.
        expects: What the network expects to see; its `window` says how large windows are.
        labels: The background and the structures of the network.
        has_sigmoid: Whether each structure has a probability of its own, so that the background has none.

    Attributes:
        image: The whole scan, oriented, resampled and normalised as the network expects: a `Volume` with `array`
            (float32) and `grid`, or the `Channels` of a scan of several. A `Segmenter` shows its network the same
            values.
    """

    scan: Volume | Channels
    expects: Input
    labels: tuple[Label, ...]
    has_sigmoid: bool = False
    image: Volume | Channels = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "image", preprocessed(self.scan, self.expects))

    @functools.cached_property
    def windows(self) -> np.ndarray:
        """What the network takes: `(windows, *spatial, channels)`, float32. Beyond the scan, its edge is repeated.

        The windows cover the scan as in a `Segmenter`, with half a window of overlap; those of a 2-D network are all
        slices. A scan that is no larger than a window is one window.
        """
        image, window, margin = self.image.array, self.expects.window, self.expects.margin
        cuts = [with_channel_axis(cut(image, place, window, margin)) for place in self._grid.places()]
        return as_network_sees(np.stack(cuts).astype("float32"), self.expects)

    def classes(self, label_map: Source, labels: Sequence[int] | None = None) -> np.ndarray:
        """Returns the ground truth of the windows: the class of each voxel, `(windows, *spatial)`.

        Args:
            label_map: Label map on the scan's grid: a file, an image or a `Volume`.
            labels: The number of each class in the label map, the background first. Defaults to those of the network's
                own labels.

        Raises:
            VolumeError: The label map cannot be read, or has another grid.
            ValueError: It has other numbers.
        """
        truth = label_map if isinstance(label_map, Volume) else volumes.read_labels(label_map)
        numbers = [label.id for label in self.labels] if labels is None else list(labels)
        classes = classes_on(truth.aligned(self.scan.grid), self.image.grid, numbers)
        window = self.expects.window
        cuts = np.stack([cut(classes, place, window, mode="constant") for place in self._grid.places()])
        axis = self.expects.slice_axis
        return cuts if axis is None else cuts.squeeze(axis + 1)

    def restore(self, prediction: np.ndarray) -> nib.Nifti1Image:
        """Returns the labels of a prediction as an image on the scan's own grid.

        Overlapping windows are averaged with Gaussian weights, then the probabilities are interpolated at the scan's
        voxels, and the most probable class gives the label; with a sigmoid, a structure must have more than one half,
        and one inside another counts. `recalib_keras.Segmenter` does the same for large scans in
        little memory, and leaves the air around the body out.

        Args:
            prediction: Probabilities of the windows, `(windows, *spatial, classes)`, such as `model.predict(windows)`;
                or of the voxels of `image`, `(X, Y, Z, classes)`. Those of a sigmoid have no background.

        Raises:
            ValueError: The prediction has another shape.
        """
        prediction, classes = np.asarray(prediction), len(self.labels) - self.has_sigmoid
        spatial = prediction.shape[:-1]
        is_whole = spatial == self.image.grid.shape
        if prediction.shape[-1:] != (classes,) or not (is_whole or spatial == self.windows.shape[:-1]):
            raise ValueError(
                f"expected probabilities of the windows, {(*self.windows.shape[:-1], classes)}, or of the voxels, "
                f"{(*self.image.grid.shape, classes)}, got {prediction.shape}; labels of another network are given by "
                "zoo.preprocess(…, labels=…)"
            )
        prediction = with_background(prediction) if self.has_sigmoid else prediction
        probabilities = prediction if is_whole else self._average(prediction)
        numbers = np.array([label.id for label in self.labels])
        found = numbers.astype(volumes.smallest_integer(numbers))[self._most_probable(probabilities)]
        return volumes.label_image(found, self.scan.first if isinstance(self.scan, Channels) else self.scan)

    def _average(self, prediction):
        axis = self.expects.slice_axis
        return self._grid.average(prediction if axis is None else np.expand_dims(prediction, axis + 1))

    def _most_probable(self, probabilities):
        """Returns the class of each voxel of the scan, one class at a time to save memory."""
        best, classes = None, np.zeros(self.scan.grid.shape, np.intp)
        is_nested = decision_for(self.labels) is innermost
        for index in range(probabilities.shape[-1]):
            here = volumes.resample(probabilities[..., index], self.image.grid, self.scan.grid)
            if best is None:
                best = here
                continue
            is_better = here > best
            classes[is_better] = index
            if not is_nested:
                np.maximum(best, here, out=best)
        return classes

    @functools.cached_property
    def _grid(self):
        return WindowGrid(self.image.grid.shape, self.expects.window)

    def __repr__(self):
        return f"<SeenScan {self.image.grid}, {self.expects.normalization}; windows of {self.expects.shape}>"


def read_scan(source: Any, expects: Input, volume: int | None = None) -> Volume | Channels:
    """Returns a scan with the channels that a network sees.

    Args:
        source: See `recalib_keras.volumes.read`, or for several channels `recalib_keras.volumes.read_channels`.
        expects: What the network expects.
        volume: Which volume of a 4-D scan to read for a network of one channel.

    Raises:
        VolumeError: The scan cannot be read, or lacks a channel.
    """
    if expects.num_channels == 1:
        return volumes.read(source, volume=volume, keep_integers=True)
    return volumes.read_channels(source, expects.channels, keep_integers=True)


def preprocessed(scan: Volume | Channels, expects: Input) -> Volume | Channels:
    """Returns a whole scan oriented, resampled and normalised as a network expects.

    Args:
        scan: The scan.
        expects: What the network expects.

    Raises:
        VolumeError: The scan has another number of channels than the network sees.

    Warns:
        ScanWarning: The scan is tilted and the network expects no spacing; or see `volumes.normalizer`.
    """
    check_channels(scan, expects)
    if isinstance(scan, Volume):
        return _preprocessed(scan, expects, expects.normalizations[0])
    pairs = zip(scan.volumes, expects.normalizations)
    return Channels(scan.names, tuple(_preprocessed(volume, expects, method) for volume, method in pairs))


def _preprocessed(scan, expects, method):
    warn_if_tilted(scan.grid, expects, scan.source)
    conformed = scan.conform(expects.orientation, expects.spacing)
    own = scan if scan.grid.is_oblique else conformed
    return dataclasses.replace(conformed, array=volumes.normalizer(own.array, method)(conformed.array))


def check_channels(scan: Volume | Channels, expects: Input) -> None:
    """Checks that a scan has as many channels as a network sees.

    Args:
        scan: The scan.
        expects: What the network expects.

    Raises:
        VolumeError: It has another number.
    """
    found = scan.names if isinstance(scan, Channels) else ("one",)
    if len(found) != expects.num_channels:
        wanted = "one channel" if expects.channels is None else f"the channels {listed(expects.channels)}"
        raise VolumeError(
            file=scan.source, expected=f"a scan of {wanted}", received=f"one of {len(found)} ({listed(found)})"
        )


def warn_if_tilted(grid: Grid, expects: Input, source: str | os.PathLike | None) -> None:
    """Warns if a network sees a scan tilted, because it expects no spacing.

    Args:
        grid: The scan's grid.
        expects: What the network expects.
        source: The scan's file, if it has one.

    Warns:
        ScanWarning: In this case.
    """
    if grid.is_oblique and expects.spacing is None:
        warn_of_scan(
            f"the axes of the scan are tilted by {grid.tilt:.0f} degrees; the network sees it tilted, because it "
            "expects no spacing, so that scans are not resampled",
            source,
        )


def as_network_sees(windows: np.ndarray, expects: Input) -> np.ndarray:
    """Returns windows as a network takes them, `(batch, *expects.shape)`: slices become channels.

    Args:
        windows: `(batch, *seen, channels)`; those of a 3-D network are returned unchanged.
        expects: What the network expects.
    """
    axis = expects.slice_axis
    if axis is None:
        return windows
    windows = np.moveaxis(windows, axis + 1, -1)  # the slices of a channel follow each other
    return np.ascontiguousarray(windows.reshape(*windows.shape[:3], -1))


def classes_on(truth: Volume, grid: Grid, numbers: Sequence[int]) -> np.ndarray:
    """Returns the class of each voxel of the grid that a network sees.

    Args:
        truth: Label map on its scan's grid.
        grid: The grid that the network sees.
        numbers: The number of each class in the label map, the background first. A further one, for voxels that nobody
            looked at, becomes a further class.

    Raises:
        ValueError: The label map has other numbers.
    """
    if truth.grid.is_oblique:
        truth = _with_rim(truth, numbers[0])
    return LabelMapping.to_classes(numbers)(truth.on(grid, order=0).array)


def _with_rim(volume, value):
    """Returns a volume with one more voxel of a value on all sides, which continues beyond its field of view."""
    affine = volume.grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    array = np.pad(volume.array, 1, constant_values=value)
    return dataclasses.replace(volume, array=array, grid=Grid(array.shape, affine))

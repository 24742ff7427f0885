"""A scan as a network sees it: oriented, resampled, normalised and cut into windows; and the way back."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from recalib_keras import volumes
from recalib_keras.core.errors import warn_of_scan
from recalib_keras.datasets.label_mapping import LabelMapping
from recalib_keras.volumes import Grid, Volume
from recalib_keras.volumes.windows import WindowGrid, cut
from recalib_keras.zoo.labels import Label
from recalib_keras.zoo.network import Input

Source = str | os.PathLike | nib.spatialimages.SpatialImage | Volume


@dataclass(frozen=True, eq=False)
class SeenScan:
    """A scan as a network sees it; `recalib_keras.zoo.preprocess` makes one.

    Args:
        scan: The scan as it was read.
        expects: What the network expects to see; its `window` says how large windows are.
        labels: The label of each class of the network.

    Attributes:
        image: The whole scan, oriented, resampled and normalised as the network expects: a `Volume` with `array`
            (float32) and `grid`. A `Segmenter` shows its network the same values.
    """

    scan: Volume
    expects: Input
    labels: tuple[Label, ...]
    image: Volume = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "image", preprocessed(self.scan, self.expects))

    @functools.cached_property
    def windows(self) -> np.ndarray:
        """What the network takes: `(windows, *spatial, channels)`, float32. Beyond the scan, its edge is repeated.

        The windows cover the scan as in a `Segmenter`, with half a window of overlap; those of a 2-D network are all
        slices. A scan that is no larger than a window is one window.
        """
        cuts = [cut(self.image.array, place, self.expects.window, self.expects.margin) for place in self._grid.places()]
        return as_network_sees(np.stack(cuts).astype("float32")[..., None], self.expects)

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
        voxels, and the most probable class gives the label. `recalib_keras.Segmenter` does the same for large scans in
        little memory, and leaves the air around the body out.

        Args:
            prediction: Probabilities of the windows, `(windows, *spatial, classes)`, such as `model.predict(windows)`;
                or of the voxels of `image`, `(X, Y, Z, classes)`.

        Raises:
            ValueError: The prediction has another shape.
        """
        prediction = np.asarray(prediction)
        spatial, classes = prediction.shape[:-1], len(self.labels)
        is_whole = spatial == self.image.grid.shape
        if prediction.shape[-1:] != (classes,) or not (is_whole or spatial == self.windows.shape[:-1]):
            raise ValueError(
                f"expected probabilities of the windows, {(*self.windows.shape[:-1], classes)}, or of the voxels, "
                f"{(*self.image.grid.shape, classes)}, got {prediction.shape}; labels of another network are given by "
                "zoo.preprocess(…, labels=…)"
            )
        probabilities = prediction if is_whole else self._average(prediction)
        numbers = np.array([label.id for label in self.labels])
        found = numbers.astype(volumes.smallest_integer(numbers))[self._most_probable(probabilities)]
        return volumes.label_image(found, self.scan)

    def _average(self, prediction):
        axis = self.expects.slice_axis
        return self._grid.average(prediction if axis is None else np.expand_dims(prediction, axis + 1))

    def _most_probable(self, probabilities):
        """Returns the class of each voxel of the scan, one class at a time to save memory."""
        best, classes = None, np.zeros(self.scan.grid.shape, np.intp)
        for index in range(probabilities.shape[-1]):
            here = volumes.resample(probabilities[..., index], self.image.grid, self.scan.grid)
            if best is None:
                best = here
                continue
            is_better = here > best
            classes[is_better] = index
            np.maximum(best, here, out=best)
        return classes

    @functools.cached_property
    def _grid(self):
        return WindowGrid(self.image.grid.shape, self.expects.window)

    def __repr__(self):
        return f"<SeenScan {self.image.grid}, {self.expects.normalization}; windows of {self.expects.shape}>"


def preprocessed(scan: Volume, expects: Input) -> Volume:
    """Returns a whole scan oriented, resampled and normalised as a network expects.

    Args:
        scan: The scan.
        expects: What the network expects.

    Warns:
        ScanWarning: The scan is tilted and the network expects no spacing; or see `volumes.normalizer`.
    """
    warn_if_tilted(scan.grid, expects, scan.source)
    conformed = scan.conform(expects.orientation, expects.spacing)
    own = scan if scan.grid.is_oblique else conformed
    return dataclasses.replace(conformed, array=volumes.normalizer(own.array, expects.normalization)(conformed.array))


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
        windows: `(batch, *seen, 1)`; those of a 3-D network are returned unchanged.
        expects: What the network expects.
    """
    axis = expects.slice_axis
    return windows if axis is None else np.ascontiguousarray(np.moveaxis(windows[..., 0], axis + 1, -1))


def classes_on(truth: Volume, grid: Grid, numbers: Sequence[int]) -> np.ndarray:
    """Returns the class of each voxel of the grid that a network sees.

    Args:
        truth: Label map on its scan's grid.
        grid: The grid that the network sees.
        numbers: The number of each class in the label map, the background first.

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

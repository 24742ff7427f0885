"""Segment a scan, on its own grid, with the networks of a preset."""

import dataclasses
import functools
import os
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np

from recalib_keras import volumes, zoo
from recalib_keras.core.scratch import pieces, scan_array
from recalib_keras.inference.engines import Engine, open_engine
from recalib_keras.inference.ensemble import NetworkEnsemble
from recalib_keras.inference.foreground import predict_foreground
from recalib_keras.inference.largest_component import LargestComponent, keep_largest_components, numbers_to_clean
from recalib_keras.inference.maps.making import MapMaker, MapRequest
from recalib_keras.inference.predictor import Predictor
from recalib_keras.inference.preprocessing import as_seen, turned_back
from recalib_keras.inference.quality_control import UnfamiliarScanWarning
from recalib_keras.inference.segmentation import Segmentation
from recalib_keras.inference.sliding_window.predict import Progress, SlidingWindow, View
from recalib_keras.inference.structure_choice import choose_structures
from recalib_keras.inference.uncertainty import Uncertainty
from recalib_keras.volumes import Channels, Volume
from recalib_keras.volumes.windows import Image
from recalib_keras.zoo import Label, OwnAsymmetry, ReferenceRange, WeightSet
from recalib_keras.zoo.decision import decision_for
from recalib_keras.zoo.preprocessing import read_scan

File = str | os.PathLike | nib.spatialimages.SpatialImage
Scan = File | Sequence[File] | Volume | Channels
Weights = str | Sequence[str] | Mapping[str, float]


class Segmenter:
    """Segments scans with a preset, or with a network of your own.

    Args:
        preset: One of `recalib_keras.zoo.names()`, the path of a folder with a `preset.json`, or a `WeightSet` that
            describes `model`.
        model: Only with a `WeightSet`: `keras.Model` of its input shape and classes, or an engine: any function from
            windows `(batch, *input_shape)` to their probabilities `(batch, *spatial, classes)`; with a sigmoid, those
            of the structures alone.
        flips: Whether to average each prediction with that of the left-right mirror image, for networks that were
            trained on both sides of the body. Takes twice the time.
        weights: Only with a preset: name of one of its weight sets or ensembles; or several weight sets, whose
            probabilities are averaged: a sequence of names, or a dict from names to shares such as
            `{"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}`. Defaults to the preset's first weight set, or to the
            ensemble that it is part of.
        engine: Only with a preset: `"keras"`, `"openvino"` or `"auto"`; see `recalib_keras.inference.open_engine`.
        precision: Only with a preset: `"float32"`, `"bfloat16"` or `"auto"`; see there.
        threads: Only with a preset: number of CPU threads, or None for all cores; see there.

    Attributes:
        name: The preset and its weight sets with the first digits of their SHA-256, in words.

    Raises:
        ValueError: For an unknown preset, weight set, engine or precision; for weight sets that cannot be averaged;
            and with `flips`, if labels of two sides do not name each other as `mirror`.
        TypeError: For a preset with a model, or a `WeightSet` without one.
        ImportError: If OpenVINO is asked for and not installed.

    Example:
        segmentation = Segmenter("densenet3d_pe")("scan.nii.gz")
        segmentation.image().to_filename("labels.nii.gz")
    """

    def __init__(
        self,
        preset: str | os.PathLike | WeightSet,
        model: Any = None,
        flips: bool = False,
        *,
        weights: Weights = "default",
        engine: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ):
        if isinstance(preset, WeightSet) == (model is None):
            raise TypeError(
                "expected the name or folder of a preset, or a `WeightSet` and its `model`, got "
                f"preset={_kind(preset)}, model={_kind(model)}; give names of weight sets as `weights=`"
            )
        if isinstance(preset, WeightSet):
            members = [(Predictor(preset, model, flips), 1.0)]
            name = f"{preset.title} {preset.sha256[:8]}".strip()
        else:
            described = zoo.info(preset)
            shares = described.shares(weights)
            engines = [open_engine(preset, each, engine, precision, threads) for each in shares]
            weight_sets = [zoo.weight_set(preset, each) for each in shares]
            networks = [Predictor(weight_set, opened, flips) for weight_set, opened in zip(weight_sets, engines)]
            members, name = list(zip(networks, shares.values())), _name(described, shares)
        self._set(NetworkEnsemble(members), name, flips)
        if not isinstance(preset, WeightSet):
            settings: dict[str, Any] = {"weights": weights, "flips": flips, "engine": engine, "precision": precision}
            self._opened_by = functools.partial(open_segmenter, str(preset), **settings, threads=threads)

    def _set(self, networks, name, flips):
        self._networks, self.name, self.flips, self._opened_by = networks, name, flips, None

    def __reduce__(self):
        """Lets another process open the same segmenter, instead of copying its networks."""
        if self._opened_by is None:
            raise TypeError(
                f"expected the segmenter of a preset, which other processes can open, got {self.name or 'one'} of a "
                "model; write its preset to a folder, or work without workers"
            )
        return self._opened_by, ()

    @classmethod
    def from_preset(
        cls,
        preset: str | os.PathLike,
        weights: Weights = "default",
        engine: str = "keras",
        precision: str = "float32",
        flips: bool = False,
        threads: int | None = None,
    ) -> "Segmenter":
        """Returns a segmenter that gives the same labels on every machine, up to rounding: Keras in float32.

        Args:
            preset: See `Segmenter`.
            weights: See `Segmenter`.
            engine: See `Segmenter`.
            precision: See `Segmenter`.
            flips: See `Segmenter`.
            threads: See `Segmenter`.
        """
        return cls(preset, flips=flips, weights=weights, engine=engine, precision=precision, threads=threads)

    @property
    def input(self) -> zoo.Input:
        """What the networks expect to see."""
        return self._networks.input

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels that it gives, one for each class, background first."""
        return self._networks.labels

    @property
    def members(self) -> list[tuple[Predictor, float]]:
        """Each network with its weight in the average."""
        return self._networks.members

    @property
    def engines(self) -> list[Engine]:
        """The engine of each network."""
        return [network.engine for network, _ in self.members]

    @property
    def engine(self) -> Engine:
        """The engine of the first network."""
        return self.engines[0]

    @property
    def reference_range(self) -> ReferenceRange | None:
        """What segmentations of validation scans are like; None if that is unknown."""
        return self._networks.reference_range

    @property
    def own_asymmetry(self) -> OwnAsymmetry | None:
        """The asymmetry that the network itself adds; None if that is unknown, as with flips."""
        return None if self.flips else self._networks.own_asymmetry

    @property
    def predictions(self) -> int:
        """How many predictions of a voxel are averaged: by each network, of the scan and of its mirror image."""
        return self._networks.predictions

    def __call__(
        self,
        scan: Scan,
        volume: int | None = None,
        progress: Progress | None = None,
        measure_uncertainty: bool = True,
        *,
        structures: Sequence[str | int] | None = None,
        probabilities: str | None = None,
        uncertainty_maps: bool = False,
        largest_component: LargestComponent = False,
        scratch: str | os.PathLike | None = None,
    ) -> Segmentation:
        """Segments a scan.

        Args:
            scan: Path of a NIfTI, MGZ or Analyze file or of a folder with one DICOM series, a nibabel image, or a
                `recalib_keras.volumes.Volume`. For a network of several channels, a 4-D file or image; a list with one
                of each channel, in the order of `input.channels`; one of nnU-Net's files `x_0000.nii.gz`; or
                `recalib_keras.volumes.Channels`.
            volume: Index of the volume to take from a 4-D file or image, for a network of one channel.
            progress: Function that wraps the sequence of windows to predict, such as a progress bar, or None.
            measure_uncertainty: Whether to measure the uncertainty of the labels, which takes a little time; without
                it, `Segmentation.warnings` cannot tell a scan that looks unlike those of training.
            structures: Names, numbers or patterns of the structures that are wanted, such as
                `["hippocampus", "*ventricle*"]`, without a side for both; None for all. See `Segmentation.only`.
            probabilities: `"uint8"`, `"uint16"` or `"float32"` to keep the probabilities too, stored like this; see
                `Segmentation.probabilities`.
            uncertainty_maps: Whether to keep `Segmentation.entropy` too, and `Segmentation.mutual_information` where
                several predictions are averaged.
            largest_component: True to keep of each structure only its largest connected component, on the scan's own
                grid; or the names, numbers or patterns of the structures that are to be cleaned like this. Voxels that
                touch at a corner are connected; others become background. Volumes and warnings are those of the
                cleaned labels; maps and entropies stay those of the networks. See `docs/maps_and_dicom.md`.
            scratch: Folder for labels and maps that are too large for the memory, in files without names; None for the
                folder of temporary files.

        Returns:
            The labels on the scan's own grid, with volumes, uncertainty and warnings.

        Raises:
            VolumeError: If the scan cannot be read, or lacks a channel.
            RecordError: If a structure is unknown, or cleaning changes none of those that are wanted.
            ValueError: For another way to store probabilities.
            WriteError: If there is no room for the maps.
        """
        request = MapRequest(probabilities, uncertainty_maps, structures)
        # A wrong name is an error before the work.
        shown = None if structures is None else choose_structures(self.labels, structures)
        cleaned = numbers_to_clean(self.labels, largest_component, shown)
        if not isinstance(scan, (Volume, Channels)):
            scan = read_scan(scan, self.input, volume)
        image = as_seen(scan, self.input)
        uncertainty = Uncertainty(self.labels, self._networks.has_sigmoid) if measure_uncertainty else None
        maker = MapMaker(request, self._networks, image.oriented, scratch)
        sliding_window = SlidingWindow(
            self._networks.views(image, maker.with_entropy),
            len(self.labels),
            output_grid=image.output_grid,
            observe=None if uncertainty is None else uncertainty.observe,
            decide=decision_for(self.labels),
            progress=progress,
        )
        numbers = self._numbers
        labels = scan_array(image.oriented.shape, numbers.dtype, scratch)
        predict_foreground(maker.joined(sliding_window), image, labels)
        for piece in pieces(labels):
            labels[piece] = numbers[labels[piece]]
        on_grid = turned_back(labels, scan.grid, self.input.orientation)
        keep_largest_components(on_grid, self.labels, cleaned)
        label_map = dataclasses.replace(scan.first if isinstance(scan, Channels) else scan, array=on_grid)
        segmentation = Segmentation(
            label_map,
            self.labels,
            uncertainty,
            self.reference_range,
            self.own_asymmetry,
            maps=maker.finished(label_map),
        )
        return segmentation if structures is None else segmentation.only(structures)

    def predict_classes(self, image: Image) -> np.ndarray:
        """Returns the class of each voxel of an image that is oriented, resampled and normalised as expected.

        Args:
            image: See `SlidingWindow.predict`.
        """
        sliding_window = SlidingWindow(self.views(image), len(self.labels), decide=decision_for(self.labels))
        return predict_foreground(sliding_window, image)

    def views(self, image: Image) -> list[View]:
        """Returns how each network looks at an image; engines that are not selected yet are selected by it.

        Args:
            image: See `SlidingWindow.predict`.
        """
        return self._networks.views(image)

    @property
    def _numbers(self):
        """The number of each class's label, in the smallest integer type."""
        numbers = np.array([label.id for label in self.labels])
        return numbers.astype(volumes.smallest_integer(numbers))


class Ensemble(Segmenter):
    """Several segmenters that segment a scan together, by the weighted average of their probabilities.

    QuickNAT looks at a scan slice by slice from three sides, with a 2-D network each, and averages axial and coronal
    probabilities with weight 0.4 and sagittal ones with 0.2:

        ensemble = Ensemble([(axial, 0.4), (coronal, 0.4), (sagittal, 0.2)])
        segmentation = ensemble("scan.nii.gz")

    A sagittal slice does not show which side is left. A network that therefore has one label for both sides counts for
    either: a label that a member lacks gets the probability of its counterpart. (Both sides get all of it, as in
    QuickNAT; the other views decide which side it is.)

    Args:
        members: Pairs of a segmenter and its weight, which is above 0. They expect scans of one orientation, spacing
            and normalisation; windows may differ. The labels of the one with the most labels, the first such one, are
            those of the result.
        stand_ins: From the number of a label to that of the label whose probability it gets from members that lack
            it. Defaults to the labels' `mirror`.

    Raises:
        ValueError: If there are no members, a weight is not above 0, or members expect different scans or give labels
            that do not fit together.

    Reference: Roy et al., "QuickNAT: A fully convolutional network for quick and accurate segmentation of
    neuroanatomy", NeuroImage 2019, section 2.3 (view aggregation).
    """

    def __init__(self, members: Iterable[tuple[Segmenter, float]], stand_ins: Mapping[int, int] | None = None):
        members = list(members)
        networks = [(network, weight * share) for one, weight in members for network, share in one.members]
        name = " + ".join(f"{one.name} × {weight:g}" for one, weight in members)
        self._set(NetworkEnsemble(networks, stand_ins), name, any(one.flips for one, _ in members))


# Engines reuse their output buffer, so only one scan is segmented at a time.
_one_at_a_time = threading.Lock()


def _free_lock_in_fork():
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):  # a lock that another thread holds would stay locked in a forked process
    os.register_at_fork(after_in_child=_free_lock_in_fork)


@functools.lru_cache(maxsize=1)
def _cached_segmenter(preset, weights, description, **settings):
    """Keeps the last segmenter between calls; the description changes when a preset's folder is written again."""
    return Segmenter(preset, weights=weights if isinstance(weights, str) else dict(weights), **settings)


def open_segmenter(preset: str | os.PathLike, weights: Weights = "default", **settings: Any) -> Segmenter:
    """Returns the segmenter of a preset; the same one as the last time, if nothing has changed.

    Args:
        preset: See `Segmenter`.
        weights: See `Segmenter`.
        settings: The other arguments of `Segmenter`, by name.

    Raises:
        ValueError: See `Segmenter`.
        ImportError: See `Segmenter`.
    """
    described = zoo.info(preset)
    key = weights if isinstance(weights, str) else tuple(described.shares(weights).items())
    return _cached_segmenter(str(preset), key, described.to_json(), **settings)


def segment(
    scan: File | Sequence[File],
    preset: str | os.PathLike,
    weights: Weights = "default",
    volume: int | None = None,
    engine: str = "auto",
    precision: str = "auto",
    flips: bool = False,
    largest_component: LargestComponent = False,
) -> nib.Nifti1Image:
    """Returns the labels of a scan, on its own grid.

    For volumes and uncertainty too, use a `Segmenter`.

    Args:
        scan: Path of a NIfTI, MGZ or Analyze file or of a folder with one DICOM series, or a nibabel image; for
            several channels see `Segmenter`.
        preset: One of `recalib_keras.zoo.names()`, or the path of a folder with a `preset.json`.
        weights: Name of one of the preset's weight sets or ensembles, or several weight sets to average; see
            `Segmenter`. Defaults to its first weight set, or to the ensemble that it is part of.
        volume: Index of the volume to take from a 4-D file.
        engine: `"keras"`, `"openvino"` or `"auto"`: OpenVINO where its labels are those of Keras.
        precision: `"float32"`, `"bfloat16"` or `"auto"`, selected with the engine.
        flips: Whether to average with the prediction of the left-right mirror image.
        largest_component: True to keep only the largest connected component of each structure, or names of structures;
            see `Segmenter.__call__`.

    Returns:
        Image of label numbers in the smallest integer type, with the scan's affine, codes and voxel sizes.

    Raises:
        VolumeError: If the scan cannot be read.
        RecordError: If a structure is unknown.
        ValueError: For an unknown preset, weight set, engine or precision; see `Segmenter`.
        EngineError: In a process that was forked after Keras has computed in its parent.

    Warns:
        UnfamiliarScanWarning: If nothing is found, or the scan looks unlike those that the network was trained on;
            see `Segmentation.warnings`.

    Example:
        image = recalib_keras.segment("scan.nii.gz", preset="densenet3d_pe")
        image.to_filename("labels.nii.gz")
    """
    first = next(iter(zoo.info(preset).shares(weights)))
    image = read_scan(scan, zoo.weight_set(preset, first).input, volume)
    with _one_at_a_time:
        segmenter = open_segmenter(preset, weights, engine=engine, precision=precision, flips=flips)
        segmentation = segmenter(image, largest_component=largest_component)
    if segmentation.warnings:
        name = f"{scan}: " if isinstance(scan, (str, os.PathLike)) else ""
        warnings.warn(name + "; ".join(segmentation.warnings), UnfamiliarScanWarning, stacklevel=2)
    return segmentation.image()


def _name(preset, shares):
    """Returns the preset's name, and the name, share and first digits of the SHA-256 of each of its weight sets."""
    parts = [
        f"{name} {preset.weight_sets[name].sha256[:8]}" + (f" × {share:g}" if len(shares) > 1 else "")
        for name, share in shares.items()
    ]
    return f"{preset.name} {' + '.join(parts)}"


def _kind(value):
    return repr(value) if isinstance(value, (str, os.PathLike)) else f"a {type(value).__name__}"

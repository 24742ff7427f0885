"""Measure a preset on scans that it was not trained on."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recalib_keras import datasets, zoo
from recalib_keras.datasets.channels import choose_channels
from recalib_keras.datasets.label_mapping import renumber
from recalib_keras.evaluation import Case, Report, evaluate, gate_figure, read_structures
from recalib_keras.evaluation.cases import without_ignored
from recalib_keras.inference import Segmenter
from recalib_keras.inference.gates import gate_maps, shown_blocks
from recalib_keras.inference.largest_component import LargestComponent, numbers_to_clean
from recalib_keras.training.validation import held_out, unseen_parts

if TYPE_CHECKING:
    import keras

    from recalib_keras.inference import Ensemble, Segmenter
    from recalib_keras.zoo import Label

Weights = str | Sequence[str] | Mapping[str, float]


@dataclass(frozen=True)
class PresetEvaluation:
    """A preset, the scans to measure it on, and the structures to measure. Nothing is segmented before it is needed.

    Args:
        preset: Name or folder of the preset.
        weights: Its weights.
        segmenter: Segments the scans.
        cases: The scans, with their segmentations to come.
        structures: Structures of the preset that the scans can have.
        missing: Structures of the preset for which another data set has no label.
    """

    preset: str | os.PathLike
    weights: Weights
    segmenter: Segmenter | Ensemble
    cases: list[Case]
    structures: Sequence[Label]
    missing: Sequence[Label] = ()

    @classmethod
    def prepare(
        cls,
        preset: str | os.PathLike,
        weights: Weights = "default",
        *,
        data_root: str | os.PathLike = ".",
        part: str | None = None,
        dataset: str | None = None,
        folder: str | os.PathLike | None = None,
        volume: int | None = None,
        label_names: str | os.PathLike | None = None,
        flips: bool = False,
        largest_component: LargestComponent = False,
    ) -> PresetEvaluation:
        """Returns what `evaluate_preset` measures.

        Args:
            preset: See `evaluate_preset`.
            weights: See `evaluate_preset`.
            data_root: See `evaluate_preset`.
            part: See `evaluate_preset`.
            dataset: See `evaluate_preset`.
            folder: See `evaluate_preset`.
            volume: See `evaluate_preset`.
            label_names: See `evaluate_preset`.
            flips: See `evaluate_preset`.
            largest_component: See `evaluate_preset`.

        Raises:
            ValueError: See `evaluate_preset`.
        """
        segmenter = Segmenter.from_preset(preset, weights, flips=flips)
        numbers_to_clean(segmenter.labels, largest_component)  # a wrong name is an error before the work
        labels = segmenter.labels[1:]
        structures = labels
        if dataset is not None:
            channels = segmenter.input.channels
            scans, structures = _other_scans(dataset, folder, labels, volume, label_names, part, channels)
            cases = [_case(scan, segmenter, structures, largest_component) for scan in scans]
        elif part == "test":
            cases = [
                _case(scan, segmenter, structures, largest_component)
                for scan in held_out(preset, weights, data_root, part)
            ]
        else:
            cases = _unseen_cases(preset, weights, segmenter, data_root, part or "validation", flips, largest_component)
        missing = [label for label in labels if label not in structures]
        return cls(preset, weights, segmenter, cases, structures, missing)

    def evaluate(self, on_failure: Callable[[Case, Exception], object] | None = None) -> Report:
        """Returns the report of all scans.

        Args:
            on_failure: See `recalib_keras.evaluation.evaluate`.

        Raises:
            VolumeError: If a scan cannot be read.
        """
        return evaluate(self.cases, self.structures, on_failure)

    def check_gates(self) -> None:
        """Checks that the preset is a single network with recalibration blocks.

        Raises:
            ValueError: If it is not.
        """
        shown_blocks(self._network)

    def draw_gates(self, case: Case, path: str | os.PathLike) -> Path:
        """Writes a figure of the gates of the first encoder and the last decoder for a scan, as a PNG file.

        Args:
            case: One of `cases`.
            path: The file to create or replace.

        Returns:
            `path` as a `Path`.

        Raises:
            ValueError: If the preset is not a single network with recalibration blocks.
            ImportError: If matplotlib is not installed.
            WriteError: If the file cannot be written.
        """
        scan = (case.read_scan or case.read_image)()
        seen = gate_maps(self._network, self.segmenter.input, scan, case.read_maps()[1].array)
        title = f"{case.name}: what the network saw, true structures outlined"
        return gate_figure(seen.image, seen.blocks, path, seen.labels, self.segmenter.labels[1:], title)

    @functools.cached_property
    def _network(self) -> keras.Model:
        """The network whose gates are drawn: the one that segments, or the first of the default ensemble."""
        engines: Sequence[Any] = self.segmenter.engines  # those of Keras have a `model`
        if len(engines) == 1:
            return engines[0].model
        if self.weights == "default":
            return zoo.load(self.preset, next(iter(zoo.info(self.preset).weight_sets)))
        members = ", ".join(zoo.info(self.preset).shares(self.weights))
        raise ValueError(f"expected a single network to show gates of, got several: {members}; choose one by `weights`")


def evaluate_preset(
    preset: str | os.PathLike,
    weights: Weights = "default",
    *,
    data_root: str | os.PathLike = ".",
    part: str | None = None,
    dataset: str | None = None,
    folder: str | os.PathLike | None = None,
    volume: int | None = None,
    label_names: str | os.PathLike | None = None,
    flips: bool = False,
    largest_component: LargestComponent = False,
    on_failure: Callable[[Case, Exception], object] | None = None,
) -> Report:
    """Returns how well a preset segments scans that it was not trained on, as `recalib evaluate --preset` does.

    Without `dataset` these are the validation scans of its training, or the official test part of its data set. Of the
    folds of a cross-validation, each segments the scans that it held out, and the report has the scans of all.

    Args:
        preset: Name of a preset, or the folder of one.
        weights: Weight set or ensemble, or several weight sets; see `recalib_keras.inference.Segmenter`.
        data_root: Folder that contains the data folder of the preset's recipe.
        part: `"validation"` (default) or `"test"`. With `dataset`: `"test"`, or None for all scans.
        dataset: Another data set, one of `recalib_keras.datasets.names()`. Its labels are matched by name.
        folder: Folder of that data set.
        volume: Volume to take of 4-D images in that data set, from 0.
        label_names: File with the names of the labels of that data set; see `recalib_keras.evaluation.read_structures`.
            None for its own names.
        flips: Whether to average with the left-right mirror image.
        largest_component: Of which structures to keep only the largest component; see `Segmenter.__call__`.
        on_failure: See `recalib_keras.evaluation.evaluate`.

    Raises:
        ValueError: If the preset, the weights, the part or the data set is unknown, or its scans have no structure of
            the preset.
        DatasetError: If files of the other data set have problems.
        VolumeError: If a scan cannot be read.
    """
    prepared = PresetEvaluation.prepare(
        preset,
        weights,
        data_root=data_root,
        part=part,
        dataset=dataset,
        folder=folder,
        volume=volume,
        label_names=label_names,
        flips=flips,
        largest_component=largest_component,
    )
    return prepared.evaluate(on_failure)


def _unseen_cases(preset, weights, segmenter, data_root, part, flips, largest_component):
    """Returns the validation scans; of folds, those of each with its own segmenter, which is loaded when needed."""
    parts, structures = unseen_parts(preset, weights), segmenter.labels[1:]
    if len(parts) == 1:
        return [
            _case(scan, segmenter, structures, largest_component) for scan in held_out(preset, weights, data_root, part)
        ]
    load = functools.lru_cache(1)(lambda index: Segmenter.from_preset(preset, parts[index], flips=flips))
    return [
        _case(scan, segmenter, structures, largest_component, functools.partial(load, index))
        for index, one in enumerate(parts)
        for scan in held_out(preset, one, data_root, part)
    ]


def _case(scan, segmenter, structures, largest_component, load=None):
    """Returns a scan to measure; `load` returns its own segmenter, if that is another one of the same input."""

    def read_maps():
        image, truth = scan.read()
        segment = load() if load else segmenter
        found = segment(image, measure_uncertainty=False, largest_component=largest_component).label_map
        return without_ignored(found, truth, scan.ignore)

    def read_scan():
        return scan.read()[0]

    known = {label.id for label in structures if scan.knows(label.id)}
    known = known if len(known) < len(structures) else None
    if segmenter.input.num_channels == 1:
        return Case(scan.name, read_maps, read_scan, known)
    return Case(scan.name, read_maps, lambda: read_scan().first, known, read_scan)


def _other_scans(dataset, folder, labels, volume, label_names, part, channels):
    """Returns the scans of a data set with the preset's label numbers, and the labels that they can have."""
    if folder is None:
        raise ValueError(f"expected the folder of {dataset!r}, got None; name it by `folder`")
    found = datasets.survey(Path(folder), dataset, volume)
    if found.problems:
        raise datasets.DatasetError(found.problems)
    scans = [
        scan for scan in choose_channels(found.scans, channels, Path(folder)) if part != "test" or scan.part == "test"
    ]
    if not scans:
        raise ValueError(f"expected an official test part in {folder}, got none; leave `part` out to measure all scans")
    return renumber(scans, _names(found, folder, label_names), labels)


def _names(found, folder, label_names):
    """Returns the name of each label number of a data set, from the given file or from the data set itself."""
    if label_names is not None:
        return {structure.id: structure.name for structure in read_structures(label_names)}
    if found.labels is None:
        remarks = f" ({'; '.join(map(str, found.remarks))})" if found.remarks else ""
        raise ValueError(
            f"expected names of the label numbers in {folder}, got none{remarks}; give a file by `label_names` "
            "(--label-names FILE), or add the file of names to the folder: see recalib datasets NAME"
        )
    return found.labels

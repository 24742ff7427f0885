"""Which scans a training learns from, and which ones validate it."""

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recalib_keras import datasets
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import counted, listed
from recalib_keras.datasets import Contents, DatasetError, LabelledScan, stratified_folds
from recalib_keras.datasets.channels import choose_channels
from recalib_keras.datasets.problems import noted
from recalib_keras.synthesis import GeneratedScan
from recalib_keras.synthesis.label_maps import find_label_maps
from recalib_keras.training.recipe import Recipe
from recalib_keras.volumes.names import stem


@dataclass(frozen=True)
class Split:
    """The scans of a recipe's data: `training, validation = find_split(recipe, data_root)`.

    Args:
        training: The training scans; for generated scans, the label maps to generate them from.
        validation: The validation scans.
        mixed_in: The label maps from which scans are generated among the training scans; see `Mixture`.
    """

    training: list[LabelledScan]
    validation: list[LabelledScan]
    mixed_in: Sequence[LabelledScan] = ()

    def __iter__(self) -> Iterator[list[LabelledScan]]:
        return iter((self.training, self.validation))


def find_split(
    recipe: Recipe,
    data_root: str | os.PathLike,
    on_scan: Callable[[int, int], object] = lambda done, count: None,
) -> Split:
    """Returns the scans of a recipe's data, split into training and validation scans.

    From each label map that is held out, two scans are generated: one varies as in the first epoch of training, the
    other as in the last.

    Args:
        recipe: The recipe; its table `[data]` says which patients are held out.
        data_root: Folder that the recipe's data folder is relative to. It is searched at each call.
        on_scan: Called with `(done, count)` after each scan whose label map is read to deal out folds.

    Returns:
        The split. Its `training` is empty if all scans are held out.

    Raises:
        FileNotFoundError: The folder is missing, or does not hold this data set.
        DatasetError: Scans and label maps do not match by their names; lists every problem.
        ValueError: The data set is unknown, a patient to hold out is missing, or no fold is chosen.
        RecordError: The recipe has a label that the data set calls `ignore`.
    """
    data = recipe.data
    scans = _find_all(recipe, data_root)
    training, validation = _split(scans, data, on_scan)
    validation = _to_validate(validation, recipe, data_root)
    if data.training_scans is not None:
        chosen = np.linspace(0, len(training), min(data.training_scans, len(training)), endpoint=False, dtype=int)
        training = [training[index] for index in chosen]
    return Split(training, validation, _find_mixed_in(recipe, data_root, scans, training))


def _find_mixed_in(recipe, data_root, scans, training):
    """Returns the label maps to generate scans from.

    Of those in the folder of the data, these are the ones of training scans; of those elsewhere, the ones without the
    name of another scan or patient, such as of one that is held out.
    """
    if recipe.mixture is None:
        return []
    root, learned = Path(data_root), {scan.labels.resolve() for scan in training}
    data = (root / recipe.data.folder).resolve()
    maps = [path.resolve() for path in find_label_maps([root / recipe.mixture.folder])]
    known = {name for scan in training for name in (scan.name, scan.patient)}
    others = {name for scan in scans for name in (scan.name, scan.patient)} - known
    maps = [path for path in maps if path in learned or not (path.is_relative_to(data) or stem(path) in others)]
    if not maps:
        raise RecordError(
            part="mixture",
            expected=f"label maps of training scans in {recipe.mixture.folder}",
            received="only those of other scans",
            remedy="name another `folder`",
        )
    return [_label_map(path) for path in maps]


def _label_map(path):
    return LabelledScan(stem(path), path, path)


def _split(scans, data, on_scan):
    if not data.holds_out:
        return [scan for scan in scans if scan.part != "test"], []
    if data.folds is None:
        return datasets.split(scans, data.validate_every, data.held_out)
    if data.fold is None:
        raise ValueError(
            f"expected one of the {data.folds} folds, got none; choose it by --fold K/{data.folds}, or train all by "
            "--folds all"
        )
    scans = [scan for scan in scans if scan.part != "test"]
    folds = stratified_folds(_labels_of_patients(scans, on_scan), data.folds)
    return (
        [scan for scan in scans if folds[scan.patient] != data.fold],
        [scan for scan in scans if folds[scan.patient] == data.fold],
    )


def _labels_of_patients(scans, on_scan):
    contents, found, problems = Contents(), {}, []
    for done, scan in enumerate(scans, start=1):
        labels = found.setdefault(scan.patient, set())
        with noted(problems, scan.image):
            labels |= contents.labels_in(scan)
        on_scan(done, len(scans))
    contents.save()
    if problems:
        raise DatasetError(problems)
    return found


def find_patients(recipe: Recipe, patients: Sequence[str], data_root: str | os.PathLike) -> list[LabelledScan]:
    """Returns the scans of some patients of a recipe's data, such as those that its training held out.

    Args:
        recipe: The recipe.
        patients: Names of the patients.
        data_root: Folder that the recipe's data folder is relative to.

    Raises:
        ValueError: None of the patients is there.

    Warns:
        UserWarning: Some of them are missing.
    """
    folder, scans = Path(data_root) / recipe.data.folder, _find_all(recipe, data_root)
    missing = sorted({*patients} - {scan.patient for scan in scans})
    if len(missing) == len({*patients}):
        raise ValueError(
            f"{folder}: expected the {counted(len(missing), 'held-out patient')} {listed(missing)}, got none of them "
            f"among {counted(len(scans), 'scan')}; check --data"
        )
    if missing:
        warnings.warn(
            f"{folder}: {len(missing)} of {counted(len({*patients}), 'held-out patient')} are missing, so this is the "
            f"score of the other {len({*patients}) - len(missing)} alone: {listed(missing)}",
            stacklevel=2,
        )
    return _to_validate([scan for scan in scans if scan.patient in {*patients}], recipe, data_root)


def find_test_scans(recipe: Recipe, data_root: str | os.PathLike) -> list[LabelledScan]:
    """Returns the scans of the official test part of a recipe's data, which no training uses.

    Args:
        recipe: The recipe.
        data_root: Folder that the recipe's data folder is relative to.

    Raises:
        ValueError: The data set has no test part.
    """
    found = [scan for scan in _find_all(recipe, data_root) if scan.part == "test"]
    if not found:
        raise ValueError(
            f"expected an official test part in {Path(data_root) / recipe.data.folder}, got none; name its scans in "
            "scans.csv there (columns name, patient, part), or measure on the validation scans"
        )
    return found


def _to_validate(held_out, recipe, data_root):
    """Returns the validation scans: the scans that are held out, or those generated from the label maps."""
    if not recipe.is_synthetic:
        return held_out
    folder = Path(data_root) / recipe.data.folder
    return [scan for label_map in held_out for scan in _generated(label_map, recipe, folder)]


def _find_all(recipe, data_root):
    """Returns all labelled scans, or label maps, in the folder of a recipe's data."""
    data, folder = recipe.data, Path(data_root) / recipe.data.folder
    if not recipe.is_synthetic:
        found = datasets.find_scans(folder, data.dataset, data.volume)
        found = choose_channels(found, recipe.input.channels, folder)
        _check_ignored(found, recipe)
    else:
        found = [_label_map(path) for path in find_label_maps([folder])]
    merge = tuple((int(number), other) for number, other in data.merge.items())
    found = [dataclasses.replace(scan, merge=merge) for scan in found]
    if data.ignore_label is None:
        return found
    return [dataclasses.replace(scan, ignore=data.ignore_label) for scan in found]


def _check_ignored(scans, recipe):
    """Checks that the label of voxels that nobody looked at, as the set names it, is none of the recipe's."""
    ignored = {scan.ignore for scan in scans} & {label.id for label in recipe.labels}
    if ignored and recipe.data.ignore_label is None:
        raise RecordError(
            expected="`labels` without the one that the data set calls `ignore`, for voxels that nobody looked at",
            received=f"its number {min(ignored)} among them",
            remedy="take it out of `labels`, or give it another name in the set's own list",
        )


def _generated(label_map, recipe, folder):
    """Yields the validation scans that are generated from a label map."""
    for number, settings in enumerate((recipe.synthesis_start or recipe.synthesis, recipe.synthesis)):
        yield GeneratedScan(
            f"{label_map.name}_{number}",
            label_map.image,
            label_map.labels,
            label_map.patient,
            merge=label_map.merge,
            table=folder,
            itself=tuple(label.id for label in recipe.labels),
            settings=settings,
            seed=number,
        )

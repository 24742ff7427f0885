"""Scores of a network on scans that training held out."""

import dataclasses
import glob
from pathlib import Path

import numpy as np

from recalib_keras import datasets, zoo
from recalib_keras.evaluation import dice
from recalib_keras.inference import Segmenter
from recalib_keras.synthesis import GeneratedScan
from recalib_keras.synthesis.label_maps import find_label_maps
from recalib_keras.training.recipe import Recipe
from recalib_keras.volumes.names import stem

PARTS = ("validation", "test")


def validate(segmenter, scans, show=None, seen=None):
    """Returns the mean Dice over scans: of each structure, of all, and the deviation of the latter between scans.

    Args:
        segmenter: `recalib_keras.inference.Segmenter` or `Ensemble`.
        scans: list of `recalib_keras.datasets.LabelledScan`.
        show: function called with the first scan, a `recalib_keras.volumes.Volume`, and its predicted labels.
        seen: list that gets the `recalib_keras.inference.SegmentationStatistics` of each scan's segmentation, or None.

    Returns:
        Dict of `"dice"`, `"dice_sd"` and `"dice_by_structure"`. A structure that is neither in a scan's truth nor in
        its prediction counts not, and a scan without any structure neither.
    """
    structures = segmenter.labels[1:]
    table = np.ma.masked_invalid(
        [
            _scan_dice(scan, segmenter, structures, show if index == 0 else None, seen)
            for index, scan in enumerate(scans)
        ]
    )
    by_scan = table.mean(axis=1).compressed()
    by_structure = zip(structures, table.mean(axis=0))
    return {
        "dice": round(float(by_scan.mean()) if by_scan.size else 0.0, 4),
        "dice_sd": round(float(by_scan.std(ddof=1)) if by_scan.size > 1 else 0.0, 4),
        "dice_by_structure": {label.name: round(float(v), 4) for label, v in by_structure if v is not np.ma.masked},
    }


def held_out(preset, weights, data_root, part="validation"):
    """Returns the labelled scans that the training of a preset's weights held out.

    Args:
        preset: name or folder of a preset.
        weights: name of a weight set, or of an ensemble whose members all held out the same; or `"default"`.
        data_root: path that the recipe's data folder is relative to.
        part: `"validation"` for the scans that the weights were chosen by, or `"test"` for the official test part of
            the set, which had no part in the training at all.

    Raises:
        ValueError: for an unknown preset, weight set or part, for a set without a test part if that is asked for, if
            a patient that was held out is no longer among the data, and if members of an ensemble held out different
            scans.
    """
    if part not in PARTS:
        raise ValueError(f"`part` must be one of {', '.join(PARTS)}. Received: {part!r}")
    find = _find_validation if part == "validation" else _find_test
    members = [zoo.weight_set(preset, name) for name in zoo.info(preset).shares(weights)]
    members.sort(key=lambda member: -len(member.labels))  # the truth is that of the one that has most
    first, *others = (find(member, preset, data_root) for member in members)
    if any([scan.as_stored for scan in scans] != [scan.as_stored for scan in first] for scans in others):
        raise ValueError(f"expected an ensemble whose members all held out the same scans, got {preset} {weights!r}")
    return first


def rescore(preset, weights, data_root):
    """Returns the score of a preset on the scans its training held out, as training measured it.

    Args: those of `held_out`, without the part.

    Returns:
        Dict as from `validate`, with `"scans"` in words.
    """
    validation = held_out(preset, weights, data_root)
    segmenter = Segmenter.from_preset(preset, weights)
    return {"scans": in_words(validation), **validate(segmenter, validation)}


def split(recipe, data_root):
    """Returns the scans to learn from and those held out; or the label maps, and scans generated from others.

    Of each label map that is held out, two scans are generated: one that varies as in the first epoch of training,
    one as in the last.

    Args:
        recipe: `Recipe`.
        data_root: path that the folder of its data is relative to.

    Returns:
        Two lists of `recalib_keras.datasets.LabelledScan`; the first is empty if all are held out.
    """
    data = recipe.data
    training, validation = datasets.split(_find_all(recipe, data_root), data.validate_every, data.held_out)
    if recipe.synthesis is not None:
        folder = Path(data_root) / data.folder
        validation = [scan for held_out in validation for scan in _generated(held_out, recipe, folder)]
    if data.training_scans is not None:
        chosen = np.linspace(0, len(training), min(data.training_scans, len(training)), endpoint=False, dtype=int)
        training = [training[index] for index in chosen]
    return training, validation


def _find_all(recipe, data_root):
    """Returns all labelled scans, or label maps, in the folder of a recipe's data."""
    data, folder = recipe.data, Path(data_root) / recipe.data.folder
    if recipe.synthesis is None:
        found = datasets.find_scans(folder, data.dataset, data.volume)
    else:
        found = [datasets.LabelledScan(stem(path), path, path) for path in find_label_maps([folder])]
    merge = tuple((int(number), other) for number, other in data.merge.items())
    return [dataclasses.replace(scan, merge=merge) for scan in found]


def _find_validation(described, preset, data_root):
    """Returns the scans of the patients that were held out, whoever else is among the data by now."""
    recipe = _recipe(described, preset)
    if described.held_out:
        patients = tuple(glob.escape(patient) for patient in described.held_out)
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, held_out=patients))
    return split(recipe, data_root)[1]


def _find_test(described, preset, data_root):
    recipe = _recipe(described, preset)
    found = [scan for scan in _find_all(recipe, data_root) if scan.part == "test"]
    if not found:
        raise ValueError(
            f"expected an official test part in {Path(data_root) / recipe.data.folder}, got none; name its scans in "
            "scans.csv there (columns name, patient, part), or measure on the validation scans"
        )
    return found


def in_words(validation) -> str:
    """Returns what the score was measured on, as cards say it."""
    if validation and isinstance(validation[0], GeneratedScan):
        maps = {scan.labels for scan in validation}
        return f"{len(validation)} scans generated from {len(maps)} held-out label maps"
    return f"{len(validation)} held-out validation scans"


def _generated(held_out, recipe, folder):
    """Yields the scans that are generated from a label map which training never sees."""
    for number, settings in enumerate((recipe.synthesis_start or recipe.synthesis, recipe.synthesis)):
        yield GeneratedScan(
            f"{held_out.name}_{number}",
            held_out.image,
            held_out.labels,
            held_out.patient,
            merge=held_out.merge,
            table=folder,
            itself=tuple(label.id for label in recipe.labels),
            settings=settings,
            seed=number,
        )


def _recipe(described, preset):
    return Recipe.read(zoo.info(preset).folder / f"{Path(described.file).stem}.toml")


def _scan_dice(labelled, segmenter, structures, show, seen):
    scan, truth = labelled.read()
    found = segmenter(scan, measure_uncertainty=seen is not None)
    if seen is not None:
        seen.append(found.statistics)
    if show is not None:
        show(scan, found.labels)
    return [dice(found.labels, truth.array, label.id) for label in structures]

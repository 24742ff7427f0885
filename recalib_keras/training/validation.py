"""Scores of a network on scans that training held out."""

from pathlib import Path

import numpy as np

from recalib_keras import datasets, zoo
from recalib_keras.evaluation import dice
from recalib_keras.inference import Segmenter
from recalib_keras.training.examples import merged
from recalib_keras.training.recipe import Recipe


def validate(segmenter, scans, merge=None, show=None):
    """Returns the mean Dice over scans: of each structure, of all, and the deviation of the latter between scans.

    Args:
        segmenter: `recalib_keras.inference.Segmenter`.
        scans: list of `recalib_keras.datasets.LabelledScan`.
        merge: labels of the truth that count as another, as in `recalib_keras.training.recipe.Data`.
        show: function called with the first scan, a `recalib_keras.volumes.Volume`, and its predicted labels.

    Returns:
        Dict of `"dice"`, `"dice_sd"` and `"dice_by_structure"`. A structure that is neither in a scan's truth nor in
        its prediction counts not, and a scan without any structure neither.
    """
    structures = segmenter.weight_set.labels[1:]
    table = np.ma.masked_invalid(
        [
            _scan_dice(scan, segmenter, structures, merge, show if index == 0 else None)
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


def held_out(preset, weights, data_root):
    """Returns the labelled scans that the training of a preset's weights held out.

    Args:
        preset: name or folder of a preset.
        weights: name of a weight set, or `"default"`.
        data_root: path that the recipe's data folder is relative to.
    """
    return split(_recipe(preset, weights).data, data_root)[1]


def rescore(preset, weights, data_root):
    """Returns the score of a preset on the scans its training held out, as training measured it.

    Args: those of `held_out`.

    Returns:
        Dict as from `validate`, with `"scans"` in words.
    """
    recipe = _recipe(preset, weights)
    _, validation = split(recipe.data, data_root)
    segmenter = Segmenter.from_preset(preset, weights)
    return {"scans": in_words(validation), **validate(segmenter, validation, recipe.data.merge)}


def split(data, data_root):
    """Returns the scans to learn from and those held out.

    Args:
        data: `recalib_keras.training.recipe.Data`.
        data_root: path that its folder is relative to.
    """
    found = datasets.find_scans(Path(data_root) / data.folder, data.dataset, data.volume)
    training, validation = datasets.split(found, data.validate_every)
    if data.training_scans is not None:
        chosen = np.linspace(0, len(training), min(data.training_scans, len(training)), endpoint=False, dtype=int)
        training = [training[index] for index in chosen]
    return training, validation


def in_words(validation):
    """Returns what the score was measured on, as cards say it."""
    return f"{len(validation)} held-out validation scans"


def _recipe(preset, weights):
    described = zoo.weight_set(preset, weights)
    return Recipe.read(zoo.info(preset).folder / f"{Path(described.file).stem}.toml")


def _scan_dice(labelled, segmenter, structures, merge, show):
    scan, truth = labelled.read()
    prediction = segmenter(scan)
    if show is not None:
        show(scan, prediction)
    truth = merged(truth.array, merge)
    return [dice(prediction, truth, label.id) for label in structures]

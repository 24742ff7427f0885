"""The score of a network on the validation scans, or on the test scans, of its training."""

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from recalib_keras import zoo
from recalib_keras.datasets import LabelledScan
from recalib_keras.evaluation import dice
from recalib_keras.evaluation.cases import without_ignored
from recalib_keras.inference import Ensemble, SegmentationStatistics, Segmenter
from recalib_keras.synthesis import GeneratedScan
from recalib_keras.training.data.split import find_patients, find_split, find_test_scans
from recalib_keras.training.recipe import Recipe
from recalib_keras.volumes import Channels, Volume

PARTS = ("validation", "test")


def validate(
    segmenter: Segmenter | Ensemble,
    scans: Sequence[LabelledScan],
    show: Callable[[Volume, np.ndarray], object] | None = None,
    seen: list[SegmentationStatistics] | None = None,
) -> dict[str, Any]:
    """Returns the mean Dice over scans: of all structures, with its standard deviation, and of each structure.

    Args:
        segmenter: The network, or several that segment together.
        scans: The scans.
        show: Called with the first scan and its predicted labels.
        seen: List that gets the statistics of each scan's segmentation.

    Returns:
        `"dice"`, `"dice_sd"` and `"dice_by_structure"`. A structure that is neither in a scan's ground truth nor in
        its prediction is left out of the means, and so are one that was not looked for, and a scan without any
        structure; if there are such scans, `"unmeasured"` is their number. Voxels that nobody looked at do not count.
    """
    structures = segmenter.labels[1:]
    rows = [
        _scan_dice(scan, segmenter, structures, show if index == 0 else None, seen) for index, scan in enumerate(scans)
    ]
    return _summary(rows, structures)


def _summary(rows, structures):
    """Returns the means of a table of the Dice of each structure (columns) in each scan (rows)."""
    table = np.ma.masked_invalid(rows)
    by_scan = table.mean(axis=1).compressed()
    by_structure = zip(structures, table.mean(axis=0))
    unmeasured = len(table) - by_scan.size
    return {
        "dice": round(float(by_scan.mean()) if by_scan.size else 0.0, 4),
        "dice_sd": round(float(by_scan.std(ddof=1)) if by_scan.size > 1 else 0.0, 4),
        "dice_by_structure": {label.name: round(float(v), 4) for label, v in by_structure if v is not np.ma.masked},
        **({"unmeasured": unmeasured} if unmeasured else {}),
    }


def held_out(
    preset: str | os.PathLike,
    weights: str | Sequence[str] | Mapping[str, float],
    data_root: str | os.PathLike,
    part: str = "validation",
) -> list[LabelledScan]:
    """Returns the labelled scans that the training of a preset's weights did not learn from.

    Args:
        preset: Name or folder of a preset.
        weights: Name of a weight set, or of an ensemble whose members have the same scans; or `"default"`; or names,
            or shares by name, of weight sets that have the same scans.
        data_root: Folder that the recipe's data folder is relative to.
        part: `"validation"` for the scans by which the best epoch was chosen, or `"test"` for the official test part
            of the data set, which the training did not use at all.

    Raises:
        ValueError: The preset, weight set or part is unknown; the data set has no test part; all patients of the
            validation scans are missing; or the members of an ensemble have different validation scans.

    Warns:
        UserWarning: Some patients of the validation scans are missing.
    """
    if part not in PARTS:
        raise ValueError(f"expected `part` to be one of {', '.join(map(repr, PARTS))}, got {part!r}")
    if part == "validation" and len(unseen_parts(preset, weights)) > 1:
        raise ValueError(
            f"expected weights that held out the same scans, got {preset} {weights!r}, whose folds each held out "
            "others; name one of them"
        )
    find = _find_validation if part == "validation" else _find_test
    members = [zoo.weight_set(preset, name) for name in zoo.info(preset).shares(weights)]
    members.sort(key=lambda member: -len(member.labels))  # the one with most labels decides the ground truth
    first, *others = (find(member, data_root) for member in members)
    if any([scan.as_stored for scan in scans] != [scan.as_stored for scan in first] for scans in others):
        raise ValueError(
            f"expected an ensemble whose members all have the same {part} scans, got {preset} {weights!r}; name one "
            "of its members instead"
        )
    return first


def rescore(preset: str | os.PathLike, weights: str, data_root: str | os.PathLike) -> dict[str, Any]:
    """Returns the score of a preset on its validation scans, measured as in training.

    Args:
        preset: Name or folder of a preset.
        weights: Name of a weight set or of an ensemble, or `"default"`.
        data_root: Folder that the recipe's data folder is relative to.

    Returns:
        The score as from `validate`, with `"scans"` in words.

    Raises:
        ValueError: See `held_out`.
    """
    rows, scans = [], []
    parts = unseen_parts(preset, weights)
    for part in parts:
        validation, segmenter = held_out(preset, part, data_root), Segmenter.from_preset(preset, part)
        rows += [_scan_dice(scan, segmenter, segmenter.labels[1:], None, None) for scan in validation]
        scans += validation
    score = _summary(rows, segmenter.labels[1:])
    of_folds = None if len(parts) == 1 else f"{len(scans)} scans, each held out by one of {len(parts)} folds"
    return {"scans": in_words(scans, score, of_folds), **score}


def unseen_parts(
    preset: str | os.PathLike, weights: str | Sequence[str] | Mapping[str, float]
) -> list[str | Sequence[str] | Mapping[str, float]]:
    """Returns the weights to measure, each on the scans that their training held out.

    Args:
        preset: Name or folder of a preset.
        weights: See `held_out`.

    Returns:
        The weights as they are given; of an ensemble of the folds of a cross-validation, those of each fold.
    """
    shares, folds = zoo.info(preset).shares(weights), {}
    if len(shares) == 1:
        return [weights]
    for name, share in shares.items():
        fold = Recipe.read(zoo.weight_set(preset, name).recipe_path).data.fold
        folds.setdefault(fold, {})[name] = share
    return [weights] if len(folds) == 1 or None in folds else [folds[fold] for fold in sorted(folds)]


def _find_validation(described, data_root):
    """Returns the scans of the patients that were held out, even if the data has other patients now."""
    recipe = _recipe(described)
    if described.held_out:
        return find_patients(recipe, described.held_out, data_root)
    if not recipe.data.holds_out:
        raise ValueError(
            f"{described.recipe_path}: expected a training that held out scans, got one that learned from all of them; "
            "measure on its test part (--part test) or on another data set (--dataset)"
        )
    return find_split(recipe, data_root).validation


def _find_test(described, data_root):
    return find_test_scans(_recipe(described), data_root)


def _recipe(described):
    path = described.recipe_path
    if not path.exists():
        raise ValueError(
            f"{path}: expected the recipe of these weights, which says on which scans to measure them, got no such "
            "file; measure them on a data set of yours: --dataset NAME FOLDER"
        )
    return Recipe.read(path)


def in_words(
    validation: Sequence[LabelledScan], score: Mapping[str, Any] = MappingProxyType({}), what: str | None = None
) -> str:
    """Returns what the score was measured on, as cards say it.

    Args:
        validation: The validation scans.
        score: As from `validate`, if they were measured already.
        what: What they are, if they are not simply the validation scans.
    """
    if what is None and validation and isinstance(validation[0], GeneratedScan):
        maps = {scan.labels for scan in validation}
        what = f"{len(validation)} scans generated from {len(maps)} held-out label maps"
    unmeasured = score.get("unmeasured", 0)
    without = f", {unmeasured} of them without any structure to measure" if unmeasured else ""
    return (what or f"{len(validation)} held-out validation scans") + without


def _scan_dice(labelled, segmenter, structures, show, seen):
    scan, truth = labelled.read()
    found = segmenter(scan, measure_uncertainty=seen is not None)
    if seen is not None:
        seen.append(found.statistics)
    if show is not None:
        show(scan.first if isinstance(scan, Channels) else scan, found.labels)
    predicted, wanted = (one.array for one in without_ignored(found.label_map, truth, labelled.ignore))
    return [dice(predicted, wanted, label.numbers) if labelled.knows(label.id) else np.nan for label in structures]

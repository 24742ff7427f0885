"""Which scans a training learns from, and which ones validate it."""

import dataclasses
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recalib_keras import datasets
from recalib_keras.datasets import LabelledScan
from recalib_keras.datasets.channels import choose_channels
from recalib_keras.synthesis import GeneratedScan
from recalib_keras.synthesis.label_maps import find_label_maps
from recalib_keras.training.recipe import Recipe
from recalib_keras.volumes.names import stem


class Split(NamedTuple):
    """The scans of a recipe's data.

    Args:
        training: The training scans; for generated scans, the label maps to generate them from.
        validation: The validation scans.
    """

    training: list[LabelledScan]
    validation: list[LabelledScan]


def find_split(recipe: Recipe, data_root: str | os.PathLike) -> Split:
    """Returns the scans of a recipe's data, split into training and validation scans.

    From each label map that is held out, two scans are generated: one varies as in the first epoch of training, the
    other as in the last.

    Args:
        recipe: The recipe; its table `[data]` says which patients are held out.
        data_root: Folder that the recipe's data folder is relative to. It is searched at each call.

    Returns:
        The split. Its `training` is empty if all scans are held out.

    Raises:
        FileNotFoundError: The folder is missing, or does not hold this data set.
        DatasetError: Scans and label maps do not match by their names; lists every problem.
        ValueError: The data set is unknown, or a patient to hold out is missing.
    """
    data = recipe.data
    training, validation = datasets.split(_find_all(recipe, data_root), data.validate_every, data.held_out)
    if recipe.synthesis is not None:
        folder = Path(data_root) / data.folder
        validation = [scan for label_map in validation for scan in _generated(label_map, recipe, folder)]
    if data.training_scans is not None:
        chosen = np.linspace(0, len(training), min(data.training_scans, len(training)), endpoint=False, dtype=int)
        training = [training[index] for index in chosen]
    return Split(training, validation)


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


def _find_all(recipe, data_root):
    """Returns all labelled scans, or label maps, in the folder of a recipe's data."""
    data, folder = recipe.data, Path(data_root) / recipe.data.folder
    if recipe.synthesis is None:
        found = datasets.find_scans(folder, data.dataset, data.volume)
        found = choose_channels(found, recipe.input.channels, folder)
    else:
        found = [LabelledScan(stem(path), path, path) for path in find_label_maps([folder])]
    merge = tuple((int(number), other) for number, other in data.merge.items())
    found = [dataclasses.replace(scan, merge=merge) for scan in found]
    if data.ignore_label is None:
        return found
    return [dataclasses.replace(scan, ignore=data.ignore_label) for scan in found]


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

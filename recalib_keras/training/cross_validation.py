"""Cross-validation: one training for each fold, whose networks become an ensemble with a score over all patients."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from recalib_keras.core.errors import RecordError
from recalib_keras.training.publish import publish_score
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.recipe_tables import Membership
from recalib_keras.training.validation import rescore


def fold_of(recipe: Recipe, fold: int, folds: int | None = None) -> Recipe:
    """Returns the recipe of one fold: its weights are named `WEIGHTS_foldK` and belong to the ensemble `WEIGHTS`.

    Args:
        recipe: The recipe.
        fold: Which fold is held out, from 1.
        folds: Number of folds; None for the recipe's own.

    Raises:
        RecordError: The recipe has no folds, other ones, or fewer than `fold`; or holds out patients by name.
    """
    own = recipe.data.folds
    if own is None and folds is None:
        raise RecordError(
            expected="the number of folds", received="none", remedy="give --fold K/N, or set `folds` in [data]"
        )
    if None not in (own, folds) and own != folds:
        raise RecordError(expected=f"{own} folds, as the recipe has it", received=str(folds))
    if recipe.data.fold is not None:
        raise RecordError(expected="a recipe of no fold", received=f"one of fold {recipe.data.fold}")
    return dataclasses.replace(
        recipe,
        weights=f"{recipe.weights}_fold{fold}",
        ensemble=Membership(ensemble_of(recipe), recipe.ensemble.share if recipe.ensemble else 1.0),
        data=dataclasses.replace(recipe.data, folds=folds or own, fold=fold),
    )


def ensemble_of(recipe: Recipe) -> str:
    """Returns the name of the ensemble of a recipe's folds.

    Args:
        recipe: The recipe, of no fold.
    """
    return recipe.ensemble.name if recipe.ensemble is not None else recipe.weights


def score_folds(preset: str | os.PathLike, recipe: Recipe, data_root: str | os.PathLike) -> dict[str, Any]:
    """Measures each scan by the fold that held it out, and adds the score over all of them to the preset.

    Args:
        preset: The preset's folder, with the weights of all folds.
        recipe: The recipe, of no fold.
        data_root: Folder that the recipe's data folder is relative to.

    Returns:
        The score; see `recalib_keras.training.rescore`.
    """
    score = rescore(preset, ensemble_of(recipe), data_root)
    publish_score(preset, ensemble_of(recipe), score)
    return score

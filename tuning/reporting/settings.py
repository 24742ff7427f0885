"""The settings that all trainings of a study share, for its report."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from recalib_keras.core.records import from_mapping
from recalib_keras.training import Recipe, find_split
from recalib_keras.training.validation import in_words

if TYPE_CHECKING:
    from recalib_keras.tuning.plan import Plan
    from recalib_keras.tuning.trials.trial import Trial

VARIED = "varied"


def settings(plan: Plan, trial: Trial, data_root: str | os.PathLike | None = None) -> dict[str, str]:
    """Returns the settings of each training as texts; `"varied"` for what the study varies.

    Args:
        plan: The study, worked out.
        trial: Any trial: only what it shares with the others is reported.
        data_root: Folder that the recipe's data folder is relative to, to count the scans; None if it is not available.
    """
    recipe = from_mapping(Recipe, plan.recipe(trial), f"trial {trial.id}")
    varied = {dimension.key for dimension in plan.space.dimensions}

    def of(key, write=str):
        return VARIED if key in varied else write(functools.reduce(getattr, key.split("."), recipe))

    return {
        "data": f"{of('data.source')} ({of('data.licence')})",
        "validation": VARIED if any(key.startswith("data.") for key in varied) else _validation(recipe, data_root),
        "network": of("network.architecture"),
        "input": f"windows of {of('input.window', _times)} voxels",
        "steps an epoch": of("schedule.steps_per_epoch", lambda steps: _steps(steps, recipe.schedule)),
        "batch": of("schedule.batch_size"),
        "precision": of("schedule.precision", _precision),
        "optimizer": f"{of('optimizer.name')}, learning rate {of('optimizer.learning_rate')}",
    }


def _precision(precision):
    """Returns a precision in words; each machine decides about bfloat16, see `training_precision`."""
    return f"{precision} (float32 where bfloat16 is slow)" if "bfloat16" in precision else precision


def _validation(recipe, data_root):
    """Returns which scans are validation scans, and how many there are if the data are available."""
    data = recipe.data
    by_name = ", ".join(data.held_out) if data.held_out else f"one of every {data.validate_every}"
    which = by_name if data.folds is None else f"fold {data.fold} of {data.folds}"
    if data_root is None:
        return f"validation scans: {which}"
    try:
        training, validation = find_split(recipe, data_root)
    except (ValueError, OSError):
        return f"validation scans: {which}"
    return f"{in_words(validation)} ({which}), {len(training)} training scans"


def _times(sizes):
    return " × ".join(map(str, sizes))


def _steps(steps, schedule):
    return str(steps) if steps is not None else f"one pass: {schedule.examples_per_scan} windows from each scan"

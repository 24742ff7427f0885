"""A study: everything that decides which trials run and how they are scored, in one file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recalib_keras.core.checks import shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.records import from_mapping, read_mapping, to_mapping
from recalib_keras.tuning.algorithms.pruning import RULES
from recalib_keras.tuning.trials.cost import COSTS

ALGORITHMS = ("random", "grid", "bayesian", "hyperband")
DEFAULT_TRIALS = 20
LARGEST_SEED = 2**32 - 1  # of NumPy's generators
# The range of each number of a study. The search's own seed is one below the largest: the oracles count from 1.
BOUNDS = {
    "trials": (1, 100_000),
    "epochs": (1, 1_000_000),
    "patience": (0, 1_000_000),
    "factor": (2, 1_000),
    "seed": (0, LARGEST_SEED - 1),
}
# Keys that change neither which trials there are nor what they score.
NOT_DECIDING = ("trials", "title", "baseline", "name", "folder", "file")


@dataclass(frozen=True)
class Study:
    """A search for a better recipe.

    Args:
        space: What varies: a dict from short names (`reduction_ratio`, `positions`, …) or keys of the recipe
            (`"augmentation.rotation"`) to a fixed value, a list of values, or a range such as
            `{min = 1e-3, max = 1e-2, scale = "log"}`.
        recipe: Path of the recipe to vary, relative to the study's file; or
        preset: Name or folder of the preset whose recipe to vary, and
        weights: Which of its weight sets.
        title: The question of the study, in words, for the report.
        algorithm: `"random"`, `"grid"`, `"bayesian"` or `"hyperband"`.
        trials: Largest number of trials; None for 20 (random, bayesian), or for all there are (grid, hyperband).
        seeds: Each trial trains once with each seed; empty for the recipe's own seed only.
        epochs: Epochs of each training; None for the recipe's.
        objective: `"dice"`, the mean over all structures on the validation scans, or the name of one structure.
        cost: A second objective, to be small: `"parameters"`, `"seconds"` (a scan) or `"memory"` (its peak); `""` for
            none. It does not guide the search; the report has the Pareto front.
        patience: A training ends early after this many validations without a better score; 0 for the recipe's.
        factor: For `"hyperband"` and pruning by `"halving"`: one of this many trials is trained this many times longer.
        pruning: How hopeless trials end early: `"none"`, `"median"` or `"halving"`; see `Pruner`.
        seed: Seed of the search itself.
        baseline: Values that the report compares all others of their dimension with; by default the best ones.

    Raises:
        RecordError: A value is not one of those that its key allows.
    """

    space: dict[str, Any]
    recipe: str | None = None
    preset: str | None = None
    weights: str = "default"
    title: str = ""
    algorithm: str = "random"
    trials: int | None = None
    seeds: tuple[int, ...] = ()
    epochs: int | None = None
    objective: str = "dice"
    cost: str = ""
    patience: int = 0
    factor: int = 3
    pruning: str = "none"
    seed: int = 0
    baseline: dict[str, Any] = field(default_factory=dict)
    name: str = field(default="study", init=False, compare=False)
    folder: Path = field(default=Path(), init=False, compare=False)
    file: Path | None = field(default=None, init=False, compare=False)

    def __post_init__(self):
        if (self.recipe is None) == (self.preset is None):
            raise RecordError(
                expected="either a recipe or a preset to vary", received="neither" if self.recipe is None else "both"
            )
        if self.algorithm not in ALGORITHMS:
            hint = did_you_mean(self.algorithm, ALGORITHMS) or None
            names = ", ".join(map(repr, ALGORITHMS))
            raise RecordError(expected=f"algorithm to be one of {names}", received=shown(self.algorithm), remedy=hint)
        if self.cost not in ("", *COSTS):
            hint = did_you_mean(self.cost, COSTS) or None
            expected = f"cost to be one of {', '.join(map(repr, COSTS))}"
            raise RecordError(expected=expected, received=shown(self.cost), remedy=hint)
        if self.pruning not in RULES:
            hint = did_you_mean(self.pruning, RULES) or None
            expected = f"pruning to be one of {', '.join(map(repr, RULES))}"
            raise RecordError(expected=expected, received=shown(self.pruning), remedy=hint)
        if self.pruning != "none" and self.algorithm == "hyperband":
            raise RecordError(
                expected="no pruning beside 'hyperband', which ends trials by itself",
                received=repr(self.pruning),
                remedy="remove one of the two",
            )
        for key, (least, most) in BOUNDS.items():
            _check_bounds(key, getattr(self, key), least, most)
        for seed in self.seeds:
            _check_bounds("seeds", seed, 0, LARGEST_SEED)
        if len(set(self.seeds)) < len(self.seeds):
            raise RecordError(expected="seeds to be different numbers", received=shown(list(self.seeds)))

    @classmethod
    def read(cls, path: str | os.PathLike) -> Study:
        """Returns the study of a TOML file.

        Args:
            path: The file.

        Raises:
            RecordError: The file is missing, not TOML, or its keys and values are not those of a study.
        """
        path = Path(path)
        study = from_mapping(cls, read_mapping(path, "study", "TOML"), str(path))
        object.__setattr__(study, "name", path.stem)
        object.__setattr__(study, "folder", path.parent)
        object.__setattr__(study, "file", path)
        return study

    @property
    def where(self) -> str:
        """The file of the study, or its name, for messages."""
        return self.name if self.file is None else str(self.file)

    @property
    def question(self) -> dict[str, Any]:
        """The keys and values that decide which trials there are and what they score."""
        decides = {key: value for key, value in to_mapping(self).items() if key not in NOT_DECIDING}
        if self.pruning == "none":  # states of earlier versions know neither pruning nor costs
            del decides["pruning"]
        if not self.cost:
            del decides["cost"]
        return decides

    @property
    def fingerprint(self) -> str:
        """Short text that two studies share only if they ask the same question."""
        return fingerprint(self.question)

    @property
    def most_trials(self) -> int | None:
        """The largest number of trials, or None."""
        has_end = self.algorithm in ("grid", "hyperband")
        return self.trials if self.trials is not None or has_end else DEFAULT_TRIALS

    def base_recipe(self) -> tuple[dict[str, Any], Path]:
        """Returns the mapping of the recipe to vary, and the path of its file.

        Raises:
            RecordError: The recipe cannot be read.
            ValueError: There is no such preset.
        """
        from recalib_keras.training.recipe import read_toml

        path = self.folder / self.recipe if self.recipe is not None else preset_recipe(self.preset, self.weights)
        key = "recipe" if self.recipe is not None else "preset"
        return read_toml(path, f"check `{key}` in {self.where}"), path


def preset_recipe(preset: str | os.PathLike, weights: str = "default") -> Path:
    """Returns the path of the recipe of a preset's weights.

    Args:
        preset: Name or folder of a preset.
        weights: Name of its weight set.
    """
    from recalib_keras import zoo

    return zoo.weight_set(preset, weights).recipe_path


def fingerprint(mapping: Mapping[str, Any]) -> str:
    """Returns a short text that identifies a mapping as TOML or JSON hold it.

    Args:
        mapping: The mapping. The order of its keys does not matter.
    """
    return hashlib.sha256(json.dumps(mapping, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _check_bounds(key, value, least, most):
    if value is not None and not least <= value <= most:
        raise RecordError(expected=f"{key} from {least} to {most}", received=_shortened(value))


def _shortened(number):
    """Returns a number as text; of an integer beyond all floats, its size alone."""
    return str(number) if abs(number) < 10**20 else f"an integer of {number.bit_length()} bits"

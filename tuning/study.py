"""What a study is: everything that decides which trials are run and how they are scored, in one file."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, read_mapping, to_mapping

ALGORITHMS = ("random", "grid", "bayesian", "hyperband")
DEFAULT_TRIALS = 20


@dataclass(frozen=True)
class Study:
    """A search for a better recipe.

    Args:
        space: what varies: a dict from short names (`reduction_ratio`, `positions`, …) or keys of the recipe
            (`"augmentation.rotation"`) to a fixed value, a list of values, or a range such as
            `{min = 1e-3, max = 1e-2, scale = "log"}`.
        recipe: path of the recipe that is varied, relative to the study's file; or
        preset: name or folder of the preset whose recipe is varied, and
        weights: which of its weight sets.
        title: what is asked, in words, for the report.
        algorithm: `"random"`, `"grid"`, `"bayesian"` or `"hyperband"`.
        trials: how many at most; None for 20 (random, bayesian), or as many as there are (grid, hyperband).
        seeds: each trial is trained once with each; empty for the recipe's own seed alone.
        epochs: of each training; None for the recipe's.
        objective: `"dice"`, the mean over all structures on the validation scans, or the name of one structure.
        patience: a training ends early after so many validations without a new best one; 0 for the recipe's.
        factor: of `"hyperband"`: of so many trials one is trained so many times longer.
        seed: of the search itself.
        baseline: values that the report compares all others of their dimension with; by default the best.
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
    patience: int = 0
    factor: int = 3
    seed: int = 0
    baseline: dict[str, Any] = field(default_factory=dict)
    name: str = field(default="study", init=False, compare=False)
    folder: Path = field(default=Path(), init=False, compare=False)

    def __post_init__(self):
        if (self.recipe is None) == (self.preset is None):
            raise RecordError("a study must have either a recipe or a preset to vary")
        if self.algorithm not in ALGORITHMS:
            raise RecordError(f"algorithm must be one of {', '.join(map(repr, ALGORITHMS))}, not {self.algorithm!r}")
        for key, least in (("trials", 1), ("epochs", 1), ("patience", 0), ("factor", 2), ("seed", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise RecordError(f"{key} must be at least {least}, not {value}")
        if len(set(self.seeds)) < len(self.seeds):
            raise RecordError(f"seeds must be different numbers, not {list(self.seeds)}")

    @classmethod
    def read(cls, path):
        """Returns the study of a TOML file.

        Raises:
            RecordError: if the file is missing, not TOML, or its keys and values are not those of a study.
        """
        path = Path(path)
        study = from_mapping(cls, read_mapping(path, "study", "TOML"), str(path))
        object.__setattr__(study, "name", path.stem)
        object.__setattr__(study, "folder", path.parent)
        return study

    @property
    def fingerprint(self):
        """Short text that two studies share only if they ask the same.

        How many trials, and what only the report reads, are no part of it.
        """
        left_out = ("trials", "title", "baseline", "name", "folder")
        return fingerprint({key: value for key, value in to_mapping(self).items() if key not in left_out})

    @property
    def most_trials(self):
        """The largest number of trials, or None."""
        has_end = self.algorithm in ("grid", "hyperband")
        return self.trials if self.trials is not None or has_end else DEFAULT_TRIALS

    def base_recipe(self):
        """Returns the mapping of the recipe that is varied, and the path of its file.

        Raises:
            RecordError: if there is no such recipe.
            ValueError: if there is no such preset.
        """
        from recalib_keras.training.recipe import read_toml

        path = self.folder / self.recipe if self.recipe is not None else preset_recipe(self.preset, self.weights)
        return read_toml(path), path


def preset_recipe(preset, weights="default"):
    """Returns the path of the recipe of a preset's weights."""
    from recalib_keras import zoo

    return zoo.weight_set(preset, weights).recipe_path


def fingerprint(mapping):
    """Returns a short text that stands for a mapping as JSON can hold it."""
    return hashlib.sha256(json.dumps(mapping, sort_keys=True).encode()).hexdigest()[:16]

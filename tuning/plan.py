"""A study worked out: the recipe it varies, its space, and what each trial has to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from recalib_keras.core.checks import shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.records import from_mapping
from recalib_keras.training import Recipe
from recalib_keras.tuning.space import constraints
from recalib_keras.tuning.space.dimensions import label
from recalib_keras.tuning.space.space import Space
from recalib_keras.tuning.study import Study, fingerprint
from recalib_keras.tuning.trials.trial import Trial

EPOCHS, VALIDATE_EVERY = "schedule.epochs", "schedule.validate_every"


class Plan:
    """A study worked out.

    Args:
        study: The study.

    Attributes:
        study: The study.
        base: Mapping of the recipe that the study varies, as its file has it.
        space: The study's `Space`.
        seeds: One for each training of a trial.
        epochs: Epochs of a training that runs to its end.
        fingerprint: Text that identifies the recipe that the study varies.

    Raises:
        RecordError: The study does not fit its recipe: a key or a value that a recipe cannot have, or that the study
            decides itself, an unknown argument of the network, an objective that is not a structure.
    """

    def __init__(self, study: Study):
        self.study = study
        self.base, path = study.base_recipe()
        recipe = from_mapping(Recipe, self.base, str(path))
        self.fingerprint = fingerprint(self.base)
        self.space = Space(study.space, self.base, f"{study.where}: space")
        self.seeds = study.seeds or (recipe.seed,)
        self.epochs = study.epochs or self.space.base["schedule"]["epochs"]
        self._check(recipe)

    @property
    def validates_once(self) -> bool:
        """Whether a training is scored by its last epoch only, and not by the best of several."""
        every: Sequence[Any] = [self.space.base["schedule"].get("validate_every", 1)]
        for dimension in self.space.dimensions:
            if dimension.key == VALIDATE_EVERY:
                every = dimension.options or [dimension.range.min]
        return self.study.algorithm != "hyperband" and min(every) >= self.epochs

    def recipe(self, trial: Trial) -> dict[str, Any]:
        """Returns the recipe of a trial, a mapping, as `recalib train` takes it.

        Args:
            trial: The trial.
        """
        recipe = self.space.recipe(trial.values)
        recipe["schedule"]["epochs"] = self.epochs
        if self.study.patience:
            recipe["schedule"]["patience"] = self.study.patience
        recipe["seed"] = self.seeds[0]
        return recipe

    def task(self, trial: Trial) -> dict[str, Any]:
        """Returns what a worker needs to know to run a trial; JSON can hold it.

        Args:
            trial: The trial.
        """
        recipe = self.recipe(trial)
        patience = recipe["schedule"].pop("patience", 0)  # which a worker applies to the study's objective, not to Dice
        is_hyperband = self.study.algorithm == "hyperband"
        if is_hyperband:
            recipe["schedule"]["validate_every"] = 1  # since its rounds may end with any epoch
        return {
            "trial": trial.id,
            "recipe": recipe,
            "seeds": list(self.seeds),
            "epochs": trial.epochs,
            "objective": self.study.objective,
            "cost": self.study.cost,
            "patience": patience,
            "past": trial.past,
            "keep_checkpoints": is_hyperband,
        }

    def _check(self, recipe):
        """Checks every option by itself, so that a study does not fail at the first trial that draws a bad one."""
        where = f"{self.study.where}: space"
        self._check_schedule(where)
        self._check_objective([label.name for label in recipe.labels[1:]])
        for seed in self.seeds:
            from_mapping(Recipe, {**self.base, "seed": seed}, f"{self.study.where}: seeds")
        for values in self._samples():
            mapping = self.space.recipe(values)
            from_mapping(Recipe, mapping, f"{where}: {values}" if values else where)
            try:
                _check_network(mapping)
            except (TypeError, ValueError) as error:
                raise RecordError(f"{where}: {error}") from None
        self._check_baseline()

    def _check_objective(self, structures):
        objective = self.study.objective
        if objective not in ("dice", *structures):
            raise RecordError(
                file=self.study.where,
                expected=f"objective to be 'dice' or one of {structures}",
                received=shown(objective),
                remedy=did_you_mean(objective, structures) or None,
            )

    def _check_baseline(self):
        options = {dimension.name: [*map(label, dimension.options or ())] for dimension in self.space.dimensions}
        for name, value in self.study.baseline.items():
            if label(value) not in options.get(name, ()):
                expected = f"baseline to give one of the options {options}"
                raise RecordError(file=self.study.where, expected=expected, received=f"{name} = {shown(value)}")

    def _check_schedule(self, where):
        """Checks that the study does not vary what it decides itself."""
        if EPOCHS in [dimension.key for dimension in self.space.dimensions]:
            raise RecordError(
                file=where,
                expected=f"{EPOCHS} to be the same for all",
                received="several, and trainings of different lengths cannot be compared",
                remedy="give the study its `epochs`, or use the algorithm 'hyperband'",
            )
        if EPOCHS in self.study.space and self.study.epochs is not None:
            expected = f"{EPOCHS} or the study's `epochs`"
            raise RecordError(file=where, expected=expected, received="both", remedy="remove one of the two")
        if VALIDATE_EVERY in self.study.space and self.study.algorithm == "hyperband":
            raise RecordError(
                file=where,
                expected=f"no {VALIDATE_EVERY} beside 'hyperband', which validates each epoch",
                received="one",
                remedy="remove it, or choose another algorithm",
            )

    def _samples(self) -> Iterator[dict[str, Any]]:
        """Yields mixes that have every option once, options of the network once with every block."""
        varied = next((dimension for dimension in self.space.dimensions if dimension.name == "recalibration"), None)
        blocks: list[dict[str, Any]] = [{varied.name: option} for option in varied.options] if varied else [{}]
        for block in blocks:
            yield block
            for dimension in self.space.dimensions:
                if block is blocks[0] or dimension.key.startswith("network."):
                    for option in dimension.options or (dimension.range.min, dimension.range.max):
                        yield {**block, dimension.name: option}


def _check_network(recipe):
    """Checks the values of the block's arguments without building the network. A recipe checks all others."""
    arguments = recipe["network"]["arguments"]
    block = constraints.block(recipe)
    if block is not None:
        constraints.positions(recipe)
        block(**arguments.get("recalibration_args", {}))  # checks its own arguments, but not against the channels

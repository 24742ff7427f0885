"""A study worked out: the recipe it varies, its space, and what each trial has to do."""

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping
from recalib_keras.models.architecture import NORMALIZATIONS, SKIPS, UPSAMPLINGS
from recalib_keras.training import Recipe
from recalib_keras.tuning import constraints as possible
from recalib_keras.tuning.dimensions import label
from recalib_keras.tuning.space import Space
from recalib_keras.tuning.study import fingerprint

CHOICES = {"skip": SKIPS, "normalization": NORMALIZATIONS, "upsampling": UPSAMPLINGS}
EPOCHS, VALIDATE_EVERY = "schedule.epochs", "schedule.validate_every"


class Plan:
    """A study worked out.

    Args:
        study: `Study`.

    Attributes:
        study: the same.
        space: `Space`.
        seeds: tuple of integers, one for each training of a trial.
        epochs: integer, of a training that runs to its end.
        fingerprint: text that stands for the recipe that is varied.

    Raises:
        RecordError: if the study does not fit its recipe: a key or a value that a recipe cannot have, or that the
            study decides itself, an unknown argument of the network, an objective that is no structure.
    """

    def __init__(self, study):
        self.study = study
        base, path = study.base_recipe()
        recipe = from_mapping(Recipe, base, str(path))
        self.fingerprint = fingerprint(base)
        self.space = Space(study.space, base, f"{study.name}: space")
        self.seeds = study.seeds or (recipe.seed,)
        self.epochs = study.epochs or self.space.base["schedule"]["epochs"]
        self._check(recipe)

    @property
    def validates_once(self):
        """Whether a training is scored by its last epoch alone, and not by the best of several."""
        every = [self.space.base["schedule"].get("validate_every", 1)]
        for dimension in self.space.dimensions:
            if dimension.key == VALIDATE_EVERY:
                every = dimension.options or [dimension.range.min]
        return self.study.algorithm != "hyperband" and min(every) >= self.epochs

    def recipe(self, trial):
        """Returns the recipe of a trial, a mapping, as `recalib train` takes it."""
        recipe = self.space.recipe(trial.values)
        recipe["schedule"]["epochs"] = self.epochs
        if self.study.patience:
            recipe["schedule"]["patience"] = self.study.patience
        recipe["seed"] = self.seeds[0]
        return recipe

    def task(self, trial):
        """Returns what a worker needs to know to run a trial; JSON can hold it."""
        recipe = self.recipe(trial)
        patience = recipe["schedule"].pop("patience", 0)  # a worker has it with the study's objective, not with Dice
        is_hyperband = self.study.algorithm == "hyperband"
        if is_hyperband:
            recipe["schedule"]["validate_every"] = 1  # its rounds may end with any epoch
        return {
            "trial": trial.id,
            "attempt": trial.attempt,
            "recipe": recipe,
            "seeds": list(self.seeds),
            "epochs": trial.epochs,
            "objective": self.study.objective,
            "patience": patience,
            "past": trial.past,
            "keep_checkpoints": is_hyperband,
        }

    def _check(self, recipe):
        """Checks every option by itself, so that a study does not fail at the first trial that draws a bad one."""
        where = f"{self.study.name}: space"
        self._check_schedule(where)
        structures = [label.name for label in recipe.labels[1:]]
        if self.study.objective not in ("dice", *structures):
            raise RecordError(
                f"{self.study.name}: objective must be 'dice' or one of {structures}, not {self.study.objective!r}"
            )
        for values in self._samples():
            mapping = self.space.recipe(values)
            from_mapping(Recipe, mapping, f"{where}: {values}" if values else where)
            try:
                _check_network(mapping)
            except (TypeError, ValueError) as error:
                raise RecordError(f"{where}: {error}") from None
        options = {dimension.name: [*map(label, dimension.options or ())] for dimension in self.space.dimensions}
        for name, value in self.study.baseline.items():
            if label(value) not in options.get(name, ()):
                raise RecordError(f"{self.study.name}: baseline has {name} = {value!r}, which is none of {options}")

    def _check_schedule(self, where):
        """Checks that the study varies nothing that it decides itself."""
        if EPOCHS in [dimension.key for dimension in self.space.dimensions]:
            raise RecordError(
                f"{where} must not vary {EPOCHS}, since trainings of different lengths cannot be compared; give the "
                "study its `epochs`, or let the algorithm 'hyperband' choose"
            )
        if EPOCHS in self.study.space and self.study.epochs is not None:
            raise RecordError(f"{where} gives {EPOCHS}, and the study its `epochs`; take one away")
        if VALIDATE_EVERY in self.study.space and self.study.algorithm == "hyperband":
            raise RecordError(
                f"{where} must not give {VALIDATE_EVERY}, since 'hyperband' validates each epoch; take it out, or "
                "choose another algorithm"
            )

    def _samples(self):
        """Yields mixes that have every option once with every block."""
        blocks = [dimension for dimension in self.space.dimensions if dimension.name == "recalibration"]
        for block in [{blocks[0].name: option} for option in blocks[0].options] if blocks else [{}]:
            yield block
            for dimension in self.space.dimensions:
                for option in dimension.options or (dimension.range.min, dimension.range.max):
                    yield {**block, dimension.name: option}


def _check_network(recipe):
    """Checks the values of the network's arguments without building it; a recipe checks their names."""
    arguments = recipe["network"]["arguments"]
    for name, choices in CHOICES.items():
        if arguments.get(name) not in (None, *choices):
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {arguments[name]!r}")
    block = possible.block(recipe)
    if block is not None:
        possible.positions(recipe)
        block(**arguments.get("recalibration_args", {}))  # checks its own arguments, but not against the channels

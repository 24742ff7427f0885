"""The space of a study as a plain `keras_tuner.HyperModel`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras_tuner

from recalib_keras.core.records import from_mapping
from recalib_keras.training import DiceCrossEntropy, Recipe
from recalib_keras.training.network import build_network
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.recipe import read_toml
from recalib_keras.tuning.space.space import Space
from recalib_keras.tuning.study import preset_recipe

if TYPE_CHECKING:
    import keras


class RecipeHyperModel(keras_tuner.HyperModel):
    """Networks of a recipe, for any of keras-tuner's tuners.

    Each dimension is a conditional hyperparameter. So tuners never draw a reduction ratio above the number of
    channels, an aggregation for another block than scSE, or levels that the window does not allow.

    Args:
        recipe: Name or folder of a preset, path of a recipe (`.toml`), or a recipe's mapping.
        space: Dict from short names or keys of the recipe to values, see `recalib_keras.tuning.Space`.
        steps_per_epoch: Steps of an epoch in the tuner's training. The learning rate depends on it.

    Raises:
        RecordError: The space does not fit the recipe.
        ValueError: There is no such preset.

    Example:
        >>> from recalib_keras.tuning import RecipeHyperModel
        >>> import keras_tuner
        >>> space = {"recalibration": ["cse", "scse"], "reduction_ratio": [2, 4, 32], "aggregation": ["max", "add"]}
        >>> hypermodel = RecipeHyperModel("sdnet3d", space, steps_per_epoch=10)
        >>> hyperparameters = keras_tuner.HyperParameters()
        >>> hypermodel.declare_hyperparameters(hyperparameters)
        >>> [(hp.name, hp.values) for hp in hyperparameters.space][:2]
        [('recalibration', ['cse', 'scse']), ('reduction_ratio', [2, 4])]
    """

    def __init__(self, recipe: str | os.PathLike | Mapping, space: Mapping[str, Any], steps_per_epoch: int = 100):
        super().__init__(name="recipe")
        if not isinstance(recipe, Mapping):
            recipe = read_toml(recipe if str(recipe).endswith(".toml") else preset_recipe(recipe))
        self.space = Space(space, recipe)
        self.steps_per_epoch = steps_per_epoch

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Adds the whole space to keras-tuner's hyperparameters.

        Args:
            hp: What to add it to.
        """
        self.space.declare(hp)

    def recipe(self, hp: keras_tuner.HyperParameters) -> Recipe:
        """Returns the recipe of chosen hyperparameters.

        Args:
            hp: The hyperparameters; those that are missing are added.

        Raises:
            keras_tuner.errors.FailedTrialError: No such network can be built.
        """
        self.space.declare(hp)
        values = self.space.values(hp.values)
        problem = self.space.problem(values)
        if problem:
            raise keras_tuner.errors.FailedTrialError(problem)
        return from_mapping(Recipe, self.space.recipe(values), "recipe")

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Returns a compiled model with fresh weights, with the recipe's optimizer and loss.

        Its inputs are images `(batch, *spatial, channels)`, its targets integer classes `(batch, *spatial, 1)`. The
        loss has no class weights, since these are counted in the training scans.

        Args:
            hp: The hyperparameters.
        """
        recipe = self.recipe(hp)
        model = build_network(recipe)
        optimizer = make_optimizer(recipe, self.steps_per_epoch)
        model.compile(optimizer, DiceCrossEntropy.of(recipe), metrics=["accuracy"])
        return model

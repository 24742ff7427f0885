"""The space of a study as a plain `keras_tuner.HyperModel`."""

import keras_tuner

from recalib_keras.core.records import from_mapping
from recalib_keras.training import DiceCrossEntropy, Recipe
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.recipe import read_toml
from recalib_keras.tuning.space import Space
from recalib_keras.tuning.study import preset_recipe


class RecipeHyperModel(keras_tuner.HyperModel):
    """Networks of a recipe, for any of keras-tuner's tuners.

    Reduction ratios above the number of channels, aggregations of other blocks than scSE, levels that the window does
    not allow and the like are never drawn, since each dimension is a conditional hyperparameter.

    Args:
        recipe: name or folder of a preset, path of a recipe (`.toml`), or a recipe's mapping.
        space: dict from short names or keys of the recipe to values, see `recalib_keras.tuning.Space`.
        steps_per_epoch: integer, of the training that the tuner will run, which its learning rate depends on.

    Raises:
        RecordError: if the space does not fit the recipe.
        ValueError: if there is no such preset.

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

    def __init__(self, recipe, space, steps_per_epoch=100):
        super().__init__(name="recipe")
        if not isinstance(recipe, dict):
            recipe = read_toml(recipe if str(recipe).endswith(".toml") else preset_recipe(recipe))
        self.space = Space(space, recipe)
        self.steps_per_epoch = steps_per_epoch

    def declare_hyperparameters(self, hp) -> None:
        """Adds the whole space to a `keras_tuner.HyperParameters`."""
        self.space.declare(hp)

    def recipe(self, hp):
        """Returns the `Recipe` of chosen hyperparameters.

        Raises:
            keras_tuner.errors.FailedTrialError: if no such network can be built.
        """
        self.space.declare(hp)
        values = self.space.values(hp.values)
        problem = self.space.problem(values)
        if problem:
            raise keras_tuner.errors.FailedTrialError(problem)
        return from_mapping(Recipe, self.space.recipe(values), "recipe")

    def build(self, hp):
        """Returns a compiled `keras.Model` with fresh weights, with the recipe's optimizer and loss.

        Its inputs are images `(batch, *spatial, 1)`, its targets integer classes of the same shape. Class weights of
        the loss, which are counted in the training scans, are left out.
        """
        recipe = self.recipe(hp)
        model = recipe.network.build(recipe.input.shape, len(recipe.labels), dtype=recipe.schedule.precision)
        loss = DiceCrossEntropy(recipe.loss.dice, recipe.loss.cross_entropy)
        model.compile(make_optimizer(recipe, self.steps_per_epoch), loss, metrics=["accuracy"])
        return model

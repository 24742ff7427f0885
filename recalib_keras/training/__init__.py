"""Train a network by a recipe, and publish what comes out as a preset."""

from recalib_keras.training.publishing import publish
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.trainer import TrainingError, rescore, train, validate

__all__ = ["Recipe", "TrainingError", "publish", "rescore", "train", "validate"]

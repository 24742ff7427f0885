"""Train a network by a recipe."""

from recalib_keras.training.recipe import Recipe
from recalib_keras.training.trainer import train

__all__ = ["Recipe", "train"]

"""The network of a recipe, in the precision that it is trained in here."""

import keras

from recalib_keras.core.processor import has_bfloat16
from recalib_keras.training.distributed.strategy import accelerator
from recalib_keras.training.recipe import Recipe


def is_fast_in_bfloat16() -> bool:
    """Returns whether this machine computes in bfloat16 as fast as in float32: by a GPU, or by its processor."""
    return accelerator() is not None or has_bfloat16()


def training_precision(recipe: Recipe) -> str:
    """Returns the dtype policy that a recipe's network is trained in on this machine.

    It is the recipe's. But a processor that does not compute in bfloat16 trains in float32 instead, where a step takes
    a fraction of the time.

    Args:
        recipe: The recipe.
    """
    return recipe.schedule.precision if is_fast_in_bfloat16() else "float32"


def build_network(recipe: Recipe) -> keras.Model:
    """Returns the network of a recipe with fresh weights, in its training precision.

    Args:
        recipe: The recipe.
    """
    num_classes = recipe.network.num_classes(recipe.labels)
    return recipe.network.build(recipe.input.shape, num_classes, dtype=training_precision(recipe))

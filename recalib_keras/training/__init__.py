"""Train a network by a recipe, and publish what comes out as a preset."""

from recalib_keras.core.errors import TrainingError
from recalib_keras.training.losses import DiceCrossEntropy, class_weights
from recalib_keras.training.preset_evaluation import PresetEvaluation, evaluate_preset
from recalib_keras.training.publish import publish
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.trainer import train
from recalib_keras.training.validation import held_out, rescore, validate

__all__ = [
    "DiceCrossEntropy",
    "PresetEvaluation",
    "Recipe",
    "TrainingError",
    "class_weights",
    "evaluate_preset",
    "held_out",
    "publish",
    "rescore",
    "train",
    "validate",
]

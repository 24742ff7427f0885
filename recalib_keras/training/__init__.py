"""Training of a network by a recipe, and publication of its weights as a preset."""

from recalib_keras.core.errors import DivergedError, TrainingError
from recalib_keras.training.data.split import Split, find_split
from recalib_keras.training.early_stopping import has_stalled
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy, class_weights
from recalib_keras.training.losses.metrics import MeanDice
from recalib_keras.training.preset_evaluation import PresetEvaluation, evaluate_preset
from recalib_keras.training.publish import publish
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.trainer import train
from recalib_keras.training.validation import held_out, rescore, validate

__all__ = [
    "DiceCrossEntropy",
    "DivergedError",
    "MeanDice",
    "PresetEvaluation",
    "Recipe",
    "Split",
    "TrainingError",
    "class_weights",
    "evaluate_preset",
    "find_split",
    "has_stalled",
    "held_out",
    "publish",
    "rescore",
    "train",
    "validate",
]

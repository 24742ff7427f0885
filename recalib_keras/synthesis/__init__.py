"""Training data without scans: heads of random shape, contrast and quality, generated from label maps."""

from recalib_keras.synthesis.examples import GeneratedExamples
from recalib_keras.synthesis.generated_scan import GeneratedScan
from recalib_keras.synthesis.label_maps import LabelMaps
from recalib_keras.synthesis.label_table import GenerationLabel, IntensityPrior, LabelTable
from recalib_keras.synthesis.random_scan import Draw, RandomScan
from recalib_keras.synthesis.settings import MILD, VARIED, Synthesis

__all__ = [
    "MILD",
    "VARIED",
    "Draw",
    "GeneratedExamples",
    "GeneratedScan",
    "GenerationLabel",
    "IntensityPrior",
    "LabelMaps",
    "LabelTable",
    "RandomScan",
    "Synthesis",
]

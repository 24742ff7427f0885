"""Scans with their label maps, for training and evaluation.

Plain Python finds and reads the files of a set. `recalib_keras.datasets.builders` offers the same scans to `tfds.load`;
it needs TensorFlow Datasets, so it is not imported here.
"""

from recalib_keras.datasets.checking import Review, check, review
from recalib_keras.datasets.contents import Contents
from recalib_keras.datasets.folds import stratified_folds
from recalib_keras.datasets.label_mapping import LabelMapping
from recalib_keras.datasets.problems import DatasetError, Problem
from recalib_keras.datasets.registry import describe, find_scans, names, survey
from recalib_keras.datasets.scan import Inspection, LabelledScan
from recalib_keras.datasets.source import Description, Survey
from recalib_keras.datasets.splitting import split

__all__ = [
    "Contents",
    "DatasetError",
    "Description",
    "Inspection",
    "LabelMapping",
    "LabelledScan",
    "Problem",
    "Review",
    "Survey",
    "check",
    "describe",
    "find_scans",
    "names",
    "review",
    "split",
    "stratified_folds",
    "survey",
]

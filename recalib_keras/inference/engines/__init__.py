"""What computes a network's probabilities: Keras on its backend, or OpenVINO; chosen by a probe, and remembered."""

from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines.base import ENGINES, PRECISIONS, Candidate
from recalib_keras.inference.engines.factory import open_engine
from recalib_keras.inference.engines.keras_engine import KerasEngine
from recalib_keras.inference.engines.selection import Undecided

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Candidate",
    "EngineError",
    "KerasEngine",
    "Undecided",
    "open_engine",
]

"""What computes a network's probabilities: Keras on its backend, or OpenVINO; selected by a scan, and remembered."""

from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines.base import ENGINES, PRECISIONS, Candidate, Engine, named
from recalib_keras.inference.engines.keras_engine import KerasEngine
from recalib_keras.inference.engines.selection import Undecided, open_engine

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Candidate",
    "Engine",
    "EngineError",
    "KerasEngine",
    "Undecided",
    "named",
    "open_engine",
]

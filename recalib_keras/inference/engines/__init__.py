"""What computes a network's probabilities: Keras on its backend, or OpenVINO; chosen by a probe, and remembered."""

from recalib_keras.inference.engines.candidates import ENGINES, PRECISIONS, Candidate, EngineError
from recalib_keras.inference.engines.keras_engine import KerasEngine
from recalib_keras.inference.engines.opening import open_engine
from recalib_keras.inference.engines.undecided import Undecided

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Candidate",
    "EngineError",
    "KerasEngine",
    "Undecided",
    "open_engine",
]

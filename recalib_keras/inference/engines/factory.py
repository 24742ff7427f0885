"""Open the engines of a weight set, and keep what OpenVINO compiles."""

import functools
import os

import numpy as np

from recalib_keras import zoo
from recalib_keras.core.errors import EngineError
from recalib_keras.core.messages import STEPS
from recalib_keras.inference.engines import keras_engine, openvino_engine
from recalib_keras.inference.engines.base import REFERENCE, Candidate, Engine
from recalib_keras.inference.engines.cache import Cache
from recalib_keras.inference.engines.reference_run import ReferenceRun, run_reference


class EngineFactory:
    """Opens the engines of one weight set on this machine.

    Args:
        preset: See `open_engine`.
        weights: See `open_engine`.
        threads: See `open_engine`.

    Attributes:
        cache: What is remembered of the weight set on this machine.
    """

    def __init__(self, preset: str | os.PathLike, weights: str = "default", threads: int | None = None):
        self.preset, self.weights, self.threads = preset, weights, threads
        self.weight_set = zoo.weight_set(preset, weights)
        self.cache = Cache(self.weight_set)
        self.keras = functools.cache(functools.partial(keras_engine.load, preset, weights, threads=threads))

    @property
    def title(self) -> str:
        """What the weight set segments, in words."""
        return f"{os.path.basename(self.preset)} ({self.weight_set.title})"

    def open_ready(self, candidate: Candidate) -> Engine | None:
        """Returns an engine that is ready to open, or None if OpenVINO must compile the network first."""
        if candidate.engine == "keras":
            return self.keras(candidate.precision)
        compiled = self.cache.read(_file(candidate))
        if compiled is None:
            return None
        # The compiled network holds the weights; those beside preset.json must be the same, as they must for Keras.
        self.weight_set.read_weights()
        try:
            return openvino_engine.OpenVINOEngine(compiled, candidate.precision, self.threads)
        except EngineError:
            return None

    def compile(self, candidate: Candidate) -> Engine:
        """Returns an engine of OpenVINO, for which the network is compiled and kept.

        Raises:
            EngineError: If OpenVINO cannot compile the network.
        """
        STEPS.info("compiling %s for %s %s (once for this machine)", self.title, *candidate)
        model = self.keras(REFERENCE.precision).model
        compiled = openvino_engine.convert(model, [candidate.precision])[candidate.precision]
        self.cache.write(_file(candidate), compiled)
        return openvino_engine.OpenVINOEngine(compiled, candidate.precision, self.threads)

    def reference_run(self, windows: np.ndarray, candidates: list[Candidate]) -> ReferenceRun:
        """Returns what Keras in float32 makes of windows, and keeps the networks that OpenVINO compiled meanwhile.

        Args:
            windows: `(batch, *spatial, channels)`.
            candidates: Engines of OpenVINO to compile for.
        """
        STEPS.info("selecting the engine of %s by its labels in keras float32 (once for this machine)", self.title)
        precisions = [candidate.precision for candidate in candidates]
        run = run_reference(self.preset, self.weights, precisions, windows, self.threads)
        for precision, compiled in run.compiled.items():
            self.cache.write(_file(Candidate("openvino", precision)), compiled)
        return run

    def open(self, candidate: Candidate, run: ReferenceRun) -> Engine:
        """Returns an engine; that of OpenVINO from the network that a reference run compiled, or compiled now."""
        if candidate.engine == "keras":
            return self.keras(candidate.precision)
        if candidate.precision not in run.compiled:
            return self.compile(candidate)
        return openvino_engine.OpenVINOEngine(run.compiled[candidate.precision], candidate.precision, self.threads)


def _file(candidate):
    return f"{candidate}.blob"

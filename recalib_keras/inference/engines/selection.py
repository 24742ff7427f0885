"""Select the engine of a weight set: the one that is asked for, the one that is remembered, or the one a scan selects.

The order of decisions:

1. A request for one engine and precision is granted at once.
2. Else, the engine that was selected before on this machine is opened.
3. Else, Keras in float32 is taken where OpenVINO cannot compete: on another backend than TensorFlow, and on a GPU.
4. Else, the first scan selects: `Undecided.decided`.
"""

import functools
import os

import numpy as np

from recalib_keras.core.errors import EngineError
from recalib_keras.core.messages import STEPS
from recalib_keras.inference.engines import keras_engine
from recalib_keras.inference.engines.base import (
    REFERENCE,
    Agreement,
    Candidate,
    Engine,
    agreement,
    candidates,
    found_labels,
    seconds_of,
)
from recalib_keras.inference.engines.factory import EngineFactory
from recalib_keras.inference.engines.openvino_engine import fastest_first
from recalib_keras.inference.sliding_window.window_rows import Prediction


def open_engine(
    preset: str | os.PathLike,
    weights: str = "default",
    engine: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> Engine:
    """Returns what computes the probabilities of a preset's network.

    On TensorFlow without a GPU, `"auto"` selects among Keras and OpenVINO, in float32 and bfloat16 (Keras in bfloat16
    only where the processor computes in it). The first scan selects the engine, among those that give the labels of
    Keras in float32, OpenVINO before Keras; see `Undecided`. The selection is remembered for this network and machine,
    with the network that OpenVINO compiled. Elsewhere `"auto"` is Keras in float32.

    Args:
        preset: One of `recalib_keras.zoo.names()`, or the path of a folder with a `preset.json`.
        weights: Name of one of its weight sets.
        engine: `"auto"`, `"keras"` or `"openvino"`.
        precision: `"auto"`, `"float32"` or `"bfloat16"`.
        threads: Number of CPU threads, or None for all cores. Keras obeys it on TensorFlow and PyTorch if this call
            starts it.

    Returns:
        A function from `(batch, *spatial, channels)` to probabilities; `Undecided` if a scan must select it.

    Raises:
        ValueError: For an unknown preset, weight set, engine or precision.
        WeightsError: If the weights are not those that the preset describes.
        EngineError: If OpenVINO cannot be used.
        ImportError: If OpenVINO is asked for and not installed.
    """
    choices = candidates(engine, precision)
    factory = EngineFactory(preset, weights, threads)
    known = choices[0] if len(choices) == 1 else factory.cache.read_choice(choices)
    opened = None if known is None else factory.open_ready(known)
    if opened is not None:
        return opened
    if all(choice.engine == "openvino" for choice in choices):
        keras_engine.check_tensorflow()
    elif not keras_engine.runs_on_tensorflow_cpu():
        return factory.keras(choices[0].precision)
    return factory.compile(choices[0]) if len(choices) == 1 else Undecided(factory, choices)


class Undecided:
    """Takes the place of an engine until a scan selects it; computes with Keras in float32 until then.

    OpenVINO is selected if it gives the same labels, in bfloat16 if the processor computes in it: it needs no Keras,
    which takes gigabytes, and longer to start than most scans take to segment. Only what is tried is compiled.
    Otherwise the faster precision of Keras is selected.

    Args:
        factory: Opens the engines.
        choices: The candidates.
    """

    name, precision = REFERENCE

    def __init__(self, factory: EngineFactory, choices: list[Candidate]):
        self.choices, self._factory = choices, factory

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Returns the probabilities of windows; see `Engine`."""
        return self._factory.keras(REFERENCE.precision)(windows)

    def in_rows(self, windows: np.ndarray) -> Prediction:
        """Returns the probabilities of windows row by row, if they are large; see `Engine`."""
        return self._factory.keras(REFERENCE.precision).in_rows(windows)

    def decided(self, windows: np.ndarray) -> Engine:
        """Returns the engine that the windows select; its labels are those of Keras in float32.

        Args:
            windows: `(batch, *spatial, channels)` of a scan, best from its middle.

        Returns:
            The selected engine; or this object, if the windows show hardly any structure.

        Raises:
            EngineError: If the labels of all candidates differ from those of Keras in float32.
        """
        by_openvino = fastest_first(self._choices_of("openvino"))
        run = self._factory.reference_run(windows, by_openvino[:1])
        if not run.shows_structures:
            return self
        if run.refusal is not None:
            if not self._choices_of("keras"):
                raise EngineError(run.refusal)
            by_openvino = []
        found: dict[Candidate, Agreement] = {}
        agreeing = functools.partial(self._agreeing, windows, run, found)
        best = next(filter(None, map(agreeing, by_openvino)), None) or self._fastest_keras(agreeing, windows, run)
        if best is None:
            raise _disagreement(found)
        self._factory.cache.write_choice(self.choices, Candidate(best.name, best.precision))
        STEPS.info("%s %s gives the same labels; this machine remembers it", best.name, best.precision)
        return best

    def _choices_of(self, engine):
        return [choice for choice in self.choices if choice.engine == engine]

    def _agreeing(self, windows, run, found, choice):
        """Returns a candidate's engine if it gives the labels of the run, else None; notes how far it agrees.

        One that does not agree is closed before the next one: those of large windows take gigabytes each.
        """
        STEPS.info("trying %s %s (once for this machine)", *choice)
        engine = self._factory.open(choice, run)
        found[choice] = agreement(engine, windows, run.labels, run.has_sigmoid)
        return engine if found[choice].agrees else None

    def _fastest_keras(self, agreeing, windows, run):
        """Returns the faster engine of Keras among those that agree, or None."""
        engines = [engine for engine in map(agreeing, self._choices_of("keras")) if engine is not None]
        if len(engines) < 2:
            return next(iter(engines), None)
        return min(engines, key=lambda engine: seconds_of(lambda: found_labels(engine, windows, run.has_sigmoid)))


def _disagreement(found):
    shares = ", ".join(f"{choice} {agreement.same_labels:.2%}" for choice, agreement in found.items())
    return EngineError(
        expected="the labels of Keras in float32",
        received=f"this share of them: {shares}",
        remedy="use the engine 'keras' with precision 'float32'",
    )

"""What an engine is, which ones there are, and when one agrees with Keras in float32."""

import importlib.util
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from recalib_keras.core.errors import missing_package
from recalib_keras.core.processor import has_bfloat16
from recalib_keras.inference.sliding_window.window_rows import changed, predicted, whole
from recalib_keras.zoo.decision import innermost, most_probable, with_background

ENGINES = ("auto", "keras", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16")
# At least this share of the labels must be those of Keras in float32 …
SAME_LABELS = 0.995
# … and of those voxels that either of the two calls a structure, since most of a scan is background.
SAME_STRUCTURES = 0.98
# An engine is timed in this many rounds, or in fewer if together they take longer than this many seconds.
ROUNDS, MOST_SECONDS = 5, 2.0


class Engine(Protocol):
    """Computes the probabilities of a network.

    One that has a method `in_rows` too, with the same arguments, may give the probabilities of large windows as
    `WindowRows`, which stay valid: see `sliding_window.window_rows.predicted`.

    Attributes:
        name: `"keras"` or `"openvino"`.
        precision: `"float32"` or `"bfloat16"`.
    """

    name: str
    precision: str

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Returns probabilities `(batch, *spatial, classes)`, which the next call may overwrite.

        Args:
            windows: `(batch, *spatial, channels)`, float32.
        """


class Candidate(NamedTuple):
    """An engine in one precision.

    Args:
        engine: `"keras"` or `"openvino"`.
        precision: `"float32"` or `"bfloat16"`.
    """

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine}-{self.precision}"


REFERENCE = Candidate("keras", "float32")


class Agreement(NamedTuple):
    """How far an engine gives the labels of Keras in float32 for the windows of a scan.

    Args:
        same_labels: Share of voxels with the same label, from 0 to 1.
        same_structures: The same, among voxels that either of the two does not call background.
    """

    same_labels: float
    same_structures: float

    @property
    def agrees(self) -> bool:
        """Whether the labels are those of Keras in float32, up to rounding."""
        return self.same_labels >= SAME_LABELS and self.same_structures >= SAME_STRUCTURES


def candidates(engine: str, precision: str) -> list[Candidate]:
    """Returns the engines and precisions that a request allows.

    Keras is not tried in bfloat16 on a processor that does not compute in it: this takes many times as long as float32.

    Args:
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`.

    Raises:
        ValueError: For an unknown engine or precision.
        ImportError: If OpenVINO is asked for and not installed.
    """
    _check("engine", engine, ENGINES)
    _check("precision", precision, PRECISIONS)
    is_installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not is_installed:
        raise missing_package('the engine "openvino"', "OpenVINO", 'pip install "recalib-keras[openvino]"')
    engines = [engine] if engine != "auto" else ["keras", "openvino"] if is_installed else ["keras"]
    precisions = [precision] if precision != "auto" else ["float32", "bfloat16"]
    allowed = [Candidate(engine, precision) for engine in engines for precision in precisions]
    is_slow = precision == "auto" and not has_bfloat16()
    return [choice for choice in allowed if not (is_slow and choice == Candidate("keras", "bfloat16"))]


def agreement(engine: Engine, windows: np.ndarray, reference: np.ndarray, has_sigmoid: bool = False) -> Agreement:
    """Returns how far an engine gives the labels of Keras in float32.

    Args:
        engine: The engine.
        windows: `(batch, *spatial, channels)`.
        reference: Labels `(batch, *spatial)` by Keras in float32.
        has_sigmoid: Whether each structure has a probability of its own.
    """
    labels = found_labels(engine, windows, has_sigmoid)
    same, structures = labels == reference, (labels != 0) | (reference != 0)
    return Agreement(float(same.mean()), float(same[structures].mean()) if structures.any() else 1.0)


def found_labels(engine: Engine, windows: np.ndarray, has_sigmoid: bool = False) -> np.ndarray:
    """Returns the labels that an engine finds in windows, `(batch, *spatial)`.

    Args:
        engine: The engine.
        windows: `(batch, *spatial, channels)`.
        has_sigmoid: Whether each structure has a probability of its own.
    """
    decide = (lambda sums: innermost(with_background(sums))) if has_sigmoid else most_probable
    return whole(changed(decide, predicted(engine, windows)))


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the least number of seconds that a call takes, in several rounds if they are short."""
    seconds, end = [], time.perf_counter() + MOST_SECONDS
    while len(seconds) < ROUNDS and (not seconds or time.perf_counter() <= end):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def named(engine: Callable[..., np.ndarray]) -> tuple[str, str | None]:
    """Returns the name and the precision of an engine; a function that a user gave as one has no precision.

    Args:
        engine: An engine or any other function of windows.
    """
    return getattr(engine, "name", "a function"), getattr(engine, "precision", None)


def _check(argument, value, choices):
    if value not in choices:
        raise ValueError(f"expected {argument} to be one of {', '.join(choices)}, got {value!r}")

"""The engines there are, and the choice among them."""

import importlib.util
from typing import NamedTuple

ENGINES = ("auto", "keras", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16")
# At least this share of the labels of a probe must be those of Keras in float32 …
SAME_LABELS = 0.995
# … and of those voxels that either of the two calls a structure, since most of a scan is background.
SAME_STRUCTURES = 0.98


class Candidate(NamedTuple):
    """An engine in one precision."""

    engine: str
    precision: str

    def __str__(self):
        return f"{self.engine}-{self.precision}"


class Measurement(NamedTuple):
    """How a candidate did in a probe.

    Args:
        seconds: that the probe took.
        same_labels: share of voxels with the label that Keras gives in float32.
        same_structures: the same, among voxels that either of the two calls something else than background.
    """

    seconds: float
    same_labels: float
    same_structures: float

    @property
    def agrees(self):
        """Whether the labels are those of Keras, but for rounding."""
        return self.same_labels >= SAME_LABELS and self.same_structures >= SAME_STRUCTURES


REFERENCE = Candidate("keras", "float32")


def candidates(engine, precision):
    """Returns what a request leaves to choose from.

    Raises:
        ValueError: for an unknown engine or precision.
        ImportError: if OpenVINO is asked for and not installed.
    """
    _check("engine", engine, ENGINES)
    _check("precision", precision, PRECISIONS)
    is_installed = importlib.util.find_spec("openvino") is not None
    if engine == "openvino" and not is_installed:
        raise ImportError(
            'the engine "openvino" needs OpenVINO, which is not installed; run: pip install "recalib-keras[openvino]"'
        )
    engines = [engine] if engine != "auto" else ["keras", "openvino"] if is_installed else ["keras"]
    precisions = [precision] if precision != "auto" else ["float32", "bfloat16"]
    return [Candidate(engine, precision) for engine in engines for precision in precisions]


def fastest(measured):
    """Returns the fastest candidate that agrees with Keras in float32, or None where none does.

    Args:
        measured: dict of `Measurement` by `Candidate`.
    """
    agreeing = [candidate for candidate, measurement in measured.items() if measurement.agrees]
    return min(agreeing, key=lambda candidate: measured[candidate].seconds, default=None)


def _check(argument, value, choices):
    if value not in choices:
        raise ValueError(f"expected {argument} to be one of {', '.join(choices)}, got {value!r}")

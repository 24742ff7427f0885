"""Choose an engine by what it makes of a scan's own windows."""

from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines.base import REFERENCE, Measurement, fastest
from recalib_keras.inference.engines.reference_run import seconds_of

# What is timed on a busy machine varies by more than this factor.
HARDLY_SLOWER = 1.25


class Undecided:
    """Stands for an engine until a scan decides which one it is to be; computes with Keras in float32 so far.

    OpenVINO is taken where it is faster than Keras in float32, or hardly slower: it needs no Keras, which takes
    gigabytes, and longer to start than most scans take to segment. Else the fastest of all is.

    Args:
        choices: list of `Candidate` that may be chosen.
        open_reference: function that returns the engine Keras in float32, always the same one.
        try_out: function from windows to their `Trial`.
        make: function that returns, for some of the choices and a `Trial`, as far as they can be used here, functions
            that open their engines, by `Candidate`.
        remember: function called with the `Candidate` that was chosen.
    """

    name, precision = REFERENCE

    def __init__(self, choices, open_reference, try_out, make, remember):
        self.choices, self._open_reference = choices, open_reference
        self._try_out, self._make, self._remember = try_out, make, remember

    def __call__(self, windows):
        """Returns the probabilities of a batch of windows, as a NumPy array."""
        return self._open_reference()(windows)

    def decided(self, windows):
        """Returns the engine to go on with; its labels are those of Keras in float32.

        Args:
            windows: `(batch, *spatial, channels)` of a scan, best from its middle.

        Returns:
            One of the engines; or this object, where the windows show hardly any structure.

        Raises:
            EngineError: if the labels of all differ from those of Keras in float32.
        """
        trial = self._try_out(windows)
        if not trial.is_telling:
            return self
        by_openvino, by_keras = (
            [choice for choice in self.choices if choice.engine == engine] for engine in ("openvino", "keras")
        )
        openers, measured = {}, {}
        for choices, rivals in ((by_openvino, by_keras), (by_keras, [])):
            found = self._make(choices, trial) if choices else {}
            openers |= found
            measured |= measure(found, windows, trial.labels)
            chosen = fastest(measured)
            if chosen and (not rivals or measured[chosen].seconds < HARDLY_SLOWER * trial.seconds):
                self._remember(chosen)
                return openers[chosen]()
        shares = ", ".join(f"{choice} {measurement.same_labels:.2%}" for choice, measurement in measured.items())
        raise EngineError(
            f"expected the labels of Keras in float32, got this share of them: {shares}; use the engine 'keras' with "
            "precision 'float32'"
        )


def measure(openers, windows, reference):
    """Returns how engines do on windows, as a dict of `Measurement`.

    One engine is open at a time: those of large windows take gigabytes each.

    Args:
        openers: dict of functions that open an engine.
        windows: `(batch, *spatial, channels)`.
        reference: labels `(batch, *spatial)` by Keras in float32.
    """
    return {name: _measurement(open_engine(), windows, reference) for name, open_engine in openers.items()}


def _measurement(engine, windows, reference):
    agreement = _agreement(engine(windows).argmax(axis=-1), reference)  # the first call is not timed
    return Measurement(seconds_of(lambda: engine(windows)), *agreement)


def _agreement(labels, reference):
    same, structures = labels == reference, (labels != 0) | (reference != 0)
    return float(same.mean()), float(same[structures].mean()) if structures.any() else 1.0

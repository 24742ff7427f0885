"""Choose an engine by what it makes of a scan's own windows."""

import time

from recalib_keras.inference.engines.candidates import REFERENCE, EngineError, Measurement, fastest

# Engines are timed so often, and less often where that takes longer than so many seconds.
ROUNDS, MOST_SECONDS = 5, 2.0
# A probe that shows less than this share of structures says nothing about them.
LEAST_STRUCTURES = 0.001


class Undecided:
    """Stands for an engine until a scan decides which one it is to be; computes with Keras in float32 so far.

    OpenVINO is taken where it is faster than Keras in float32: it needs no Keras, which takes longer to start than most
    scans take to segment. Else the fastest precision of Keras is.

    Args:
        reference: engine, Keras in float32.
        choices: list of `Candidate` that may be chosen.
        make: function that returns, for some of the choices, as far as they can be used here, functions that open their
            engines, by `Candidate`.
        remember: function called with the `Candidate` that was chosen.
    """

    def __init__(self, reference, choices, make, remember):
        self.reference, self.choices, self._make, self._remember = reference, choices, make, remember
        self.name, self.precision = reference.name, reference.precision

    def __call__(self, windows):
        """Returns the probabilities of a batch of windows, as a NumPy array."""
        return self.reference(windows)

    def decided(self, windows):
        """Returns the engine to go on with; its labels are those of Keras in float32.

        Args:
            windows: `(batch, *spatial, 1)` of a scan, best from its middle.

        Returns:
            One of the engines; or this object, where the windows show hardly any structure.

        Raises:
            EngineError: if the labels of all differ from those of Keras in float32.
        """
        labels = self.reference(windows).argmax(axis=-1)
        if (labels != 0).mean() < LEAST_STRUCTURES:
            return self
        by_openvino, by_keras = (
            [choice for choice in self.choices if choice.engine == engine] for engine in ("openvino", "keras")
        )
        measured = {}
        for choices, rivals in ((by_openvino, by_keras), (by_keras, [])):
            if not choices:
                continue
            openers = self._make(choices)
            found = measure({**openers, REFERENCE: lambda: self.reference}, windows, labels)
            measured |= {choice: found[choice] for choice in openers}
            chosen = fastest({choice: found[choice] for choice in openers})
            if chosen and (not rivals or found[chosen].seconds < found[REFERENCE].seconds):
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
        windows: `(batch, *spatial, 1)`.
        reference: labels `(batch, *spatial)` by Keras in float32.
    """
    return {name: _measurement(open_engine(), windows, reference) for name, open_engine in openers.items()}


def _measurement(engine, windows, reference):
    # The first call, in which Keras compiles, is not timed.
    agreement = _agreement(engine(windows).argmax(axis=-1), reference)
    seconds, end = [], time.perf_counter() + MOST_SECONDS
    while len(seconds) < ROUNDS and (not seconds or time.perf_counter() <= end):
        start = time.perf_counter()
        engine(windows)
        seconds.append(time.perf_counter() - start)
    return Measurement(min(seconds), *agreement)


def _agreement(labels, reference):
    same, structures = labels == reference, (labels != 0) | (reference != 0)
    return float(same.mean()), float(same[structures].mean()) if structures.any() else 1.0

"""Choose an engine by what it makes of a scan's own windows."""

import time

from recalib_keras.inference.engines.candidates import REFERENCE, EngineError, Measurement, fastest

# Engines are timed so often, and less often where that takes longer than so many seconds.
ROUNDS, MOST_SECONDS = 5, 5.0
# A probe that shows less than this share of structures says nothing about them.
LEAST_STRUCTURES = 0.001


class Undecided:
    """Stands for an engine until a scan decides which one it is to be; computes with Keras in float32 so far.

    OpenVINO is taken where it is faster than Keras in float32: it needs no Keras, which takes longer to start than most
    scans take to segment. Else the fastest precision of Keras is.

    Args:
        reference: engine, Keras in float32.
        choices: list of `Candidate` that may be chosen.
        make: function that returns the engines of some of the choices, as far as they can be used here, by `Candidate`.
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
            engines = self._make(choices)
            in_turn = measure({REFERENCE: self.reference, **engines}, windows, labels)
            measured |= {choice: in_turn[choice] for choice in engines}
            chosen = fastest({choice: in_turn[choice] for choice in engines})
            if chosen and (not rivals or in_turn[chosen].seconds < in_turn[REFERENCE].seconds):
                self._remember(chosen)
                return engines[chosen]
        shares = ", ".join(f"{choice} {measurement.same_labels:.2%}" for choice, measurement in measured.items())
        raise EngineError(
            f"expected the labels of Keras in float32, got this share of them: {shares}; use the engine 'keras' with "
            "precision 'float32'"
        )


def measure(engines, windows, reference):
    """Returns how engines do on windows, as a dict of `Measurement`.

    Args:
        engines: dict of engines.
        windows: `(batch, *spatial, 1)`.
        reference: labels `(batch, *spatial)` by Keras in float32.
    """
    agreement, seconds = {}, {name: [] for name in engines}
    for name, engine in engines.items():  # the first call, in which Keras compiles, counts not
        agreement[name] = _agreement(engine(windows).argmax(axis=-1), reference)
    end = time.perf_counter() + MOST_SECONDS
    for turn in range(ROUNDS):  # in turn, so that whatever else the machine does falls on all alike
        if turn and time.perf_counter() > end:
            break
        for name, engine in engines.items():
            start = time.perf_counter()
            engine(windows)
            seconds[name].append(time.perf_counter() - start)
    return {name: Measurement(min(seconds[name]), *agreement[name]) for name in engines}


def _agreement(labels, reference):
    same, structures = labels == reference, (labels != 0) | (reference != 0)
    return float(same.mean()), float(same[structures].mean()) if structures.any() else 1.0

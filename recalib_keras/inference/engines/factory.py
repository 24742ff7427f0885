"""Open the engine of a weight set: the one that is remembered, or those that a scan must decide among."""

import functools

from recalib_keras import zoo
from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines import keras_engine, openvino_engine
from recalib_keras.inference.engines.base import REFERENCE, candidates
from recalib_keras.inference.engines.cache import Cache
from recalib_keras.inference.engines.reference_run import try_out
from recalib_keras.inference.engines.selection import Undecided


def open_engine(preset, weights="default", engine="auto", precision="auto", threads=None):
    """Returns what computes the probabilities of a preset's network.

    Keras and OpenVINO, in float32 and bfloat16, may be left to choose from, on TensorFlow without a GPU. The first
    scan then decides, among those that give the labels of Keras in float32: `Undecided` tells how. The choice is
    remembered for this network and machine, together with what OpenVINO has compiled. Elsewhere `"auto"` is Keras in
    float32.

    Args:
        preset, weights: as in `recalib_keras.zoo.load`, but weights by name only.
        engine: `"auto"`, `"keras"` or `"openvino"`.
        precision: `"auto"`, `"float32"` or `"bfloat16"`.
        threads: number of CPU threads, or None for all cores. Keras heeds it on TensorFlow and PyTorch, where this is
            what starts it.

    Returns:
        A function from `(batch, *spatial, 1)` to probabilities with `name` and `precision`; `Undecided` where a scan
        must decide.

    Raises:
        ValueError: for an unknown preset, weight set, engine or precision; `recalib_keras.zoo.WeightsError` for
            weights that are not those the preset describes; `EngineError` where OpenVINO cannot be used.
        ImportError: if OpenVINO is asked for and not installed.
    """
    opener = _Opener(preset, weights, candidates(engine, precision), threads)
    remembered = opener.remembered()
    if remembered is not None:
        engine = opener.open_remembered(remembered)
        if engine is not None:
            return engine
    return opener.open()


class _Opener:
    def __init__(self, preset, weights, choices, threads=None):
        self.preset, self.weights, self.choices, self.threads = preset, weights, choices, threads
        self.weight_set = zoo.weight_set(preset, weights)
        self.cache = Cache(self.weight_set)
        self.load = functools.cache(functools.partial(keras_engine.load, preset, weights, threads=threads))
        self.file = "choice-" + "-or-".join(map(str, choices))

    def remembered(self):
        """Returns the only choice, or the one that a probe made before; else None."""
        if len(self.choices) == 1:
            return self.choices[0]
        content = self.cache.read(self.file)
        return next((choice for choice in self.choices if str(choice).encode() == content), None)

    def remember(self, choice):
        self.cache.write(self.file, str(choice).encode())

    def compiled(self, choice):
        return self.cache.read(f"{choice}.blob")

    def open_remembered(self, choice):
        """Returns the engine, or None where OpenVINO must compile the network first."""
        if choice.engine == "keras":
            return self.load(choice.precision)
        compiled = self.compiled(choice)
        if compiled is None:
            return None
        # The weights themselves are inside; what lies beside preset.json must be the same, here as for Keras.
        self.weight_set.read_weights()
        try:
            return openvino_engine.OpenVINOEngine(compiled, choice.precision, self.threads)
        except EngineError:
            return None

    def open(self):
        """Returns the engine made anew, or those that a scan must decide among."""
        if all(choice.engine == "openvino" for choice in self.choices):
            _check_backend()
        elif not keras_engine.runs_on_tensorflow_cpu():
            return self.load(self.choices[0].precision)
        if len(self.choices) == 1:
            (choice,) = self.choices
            model = self.load(REFERENCE.precision).model
            return self._keep(choice, openvino_engine.convert(model, [choice.precision])[choice.precision])()
        open_reference = functools.partial(self.load, REFERENCE.precision)
        return Undecided(self.choices, open_reference, self.try_out, self.make, self.remember)

    def try_out(self, windows):
        """Returns the `Trial` of windows."""
        precisions = [choice.precision for choice in self.choices if choice.engine == "openvino"]
        return try_out(self.preset, self.weights, precisions, windows, self.threads)

    def make(self, choices, trial):
        """Returns functions that open engines, by `Candidate`; compiled networks are kept.

        Args:
            choices: candidates, all of one engine.
            trial: `Trial` of the network.
        """
        if choices[0].engine == "keras":
            return {choice: functools.partial(self.load, choice.precision) for choice in choices}
        if trial.refusal is None:
            return {choice: self._keep(choice, trial.compiled[choice.precision]) for choice in choices}
        if all(choice.engine == "openvino" for choice in self.choices):
            raise EngineError(trial.refusal)
        return {}

    def _keep(self, choice, compiled):
        """Keeps a network that OpenVINO has compiled, and returns what opens its engine."""
        self.cache.write(f"{choice}.blob", compiled)
        return functools.partial(openvino_engine.OpenVINOEngine, compiled, choice.precision, self.threads)


def _check_backend():
    if keras_engine.backend() != "tensorflow":
        raise EngineError(
            f"the engine 'openvino' takes networks from Keras's TensorFlow backend, got {keras_engine.backend()!r}; "
            "set KERAS_BACKEND=tensorflow, or use the engine 'keras'"
        )

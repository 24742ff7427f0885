"""Open the engine of a weight set: the one that is remembered, or those that a scan must decide among."""

import functools

from recalib_keras import zoo
from recalib_keras.inference.engines import keras_engine, openvino_engine
from recalib_keras.inference.engines.cache import Cache
from recalib_keras.inference.engines.candidates import REFERENCE, EngineError, candidates
from recalib_keras.inference.engines.undecided import Undecided
from recalib_keras.zoo import weights as zoo_weights


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
        threads: number of CPU threads for OpenVINO, or None for all cores.

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


def needs_keras(preset, weights="default", engine="auto", precision="auto"):
    """Returns whether `open_engine` with these arguments will import Keras: unless all is remembered for OpenVINO."""
    opener = _Opener(preset, weights, candidates(engine, precision))
    remembered = opener.remembered()
    return remembered is None or remembered.engine == "keras" or opener.compiled(remembered) is None


class _Opener:
    def __init__(self, preset, weights, choices, threads=None):
        self.preset, self.weights, self.choices, self.threads = preset, weights, choices, threads
        self.weight_set = zoo.weight_set(preset, weights)
        self.cache = Cache(self.weight_set)
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
            return keras_engine.load(self.preset, self.weights, choice.precision)
        compiled = self.compiled(choice)
        if compiled is None:
            return None
        # The weights themselves are inside; what lies beside preset.json must be the same, here as for Keras.
        zoo_weights.read(zoo.info(self.preset).folder / self.weight_set.file, self.weight_set.sha256)
        try:
            return openvino_engine.OpenVINOEngine(compiled, choice.precision, self.threads)
        except EngineError:
            return None

    def open(self):
        """Returns the engine made anew, or those that a scan must decide among."""
        if all(choice.engine == "openvino" for choice in self.choices):
            _check_backend()
        elif not keras_engine.runs_on_tensorflow_cpu():
            return keras_engine.load(self.preset, self.weights, self.choices[0].precision)
        reference = keras_engine.load(self.preset, self.weights, REFERENCE.precision)
        make = functools.partial(self.make, reference)
        if len(self.choices) == 1:
            return make(self.choices)[self.choices[0]]()
        return Undecided(reference, self.choices, make, self.remember)

    def make(self, reference, choices):
        """Returns functions that open engines, by `Candidate`; compiled networks are kept.

        Args:
            reference: `KerasEngine` in float32.
            choices: candidates, all of one engine.
        """
        if choices[0].engine == "keras":
            return {choice: functools.cache(functools.partial(self._load, reference, choice)) for choice in choices}
        try:
            return self._compile(reference.model, choices)
        except EngineError:
            if all(choice.engine == "openvino" for choice in self.choices):
                raise
            return {}

    def _load(self, reference, choice):
        return reference if choice == REFERENCE else keras_engine.load(self.preset, self.weights, choice.precision)

    def _compile(self, model, choices):
        compiled = openvino_engine.convert(model, [choice.precision for choice in choices])
        made = {}
        for choice in choices:
            content = compiled[choice.precision]
            made[choice] = functools.partial(openvino_engine.OpenVINOEngine, content, choice.precision, self.threads)
            self.cache.write(f"{choice}.blob", content)
        return made


def _check_backend():
    if keras_engine.backend() != "tensorflow":
        raise EngineError(
            f"the engine 'openvino' takes networks from Keras's TensorFlow backend, got {keras_engine.backend()!r}; "
            "set KERAS_BACKEND=tensorflow, or use the engine 'keras'"
        )

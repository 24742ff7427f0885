"""Probabilities by OpenVINO, from a network that Keras exported: as a whole, or its classifier apart."""

import io
import math
import sys
import tempfile
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines import classifier_split
from recalib_keras.inference.engines.base import Candidate
from recalib_keras.inference.sliding_window.window_rows import Prediction, whole

HINTS = {"float32": "f32", "bfloat16": "bf16"}
# OpenVINO is fast with batches of one fixed size, and they need not be large.
VOXELS_PER_BATCH = 2**14
LENGTH = 8  # bytes of the number before each compiled network


class OpenVINOEngine:
    """Runs a network that `convert` compiled for this machine's processor.

    Args:
        compiled: Bytes from `convert`.
        precision: `"float32"` or `"bfloat16"`, as it was compiled.
        threads: Number of CPU threads, or None for all cores.

    Raises:
        EngineError: If OpenVINO refuses the bytes, for example because another version compiled them.
    """

    name = "openvino"

    def __init__(self, compiled: bytes, precision: str, threads: int | None = None):
        settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": HINTS[precision]}  # the bytes do not hold it
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            self._network, *classifier = (_CompiledNetwork(part, settings) for part in _unpacked(compiled))
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                expected="a network compiled by this OpenVINO for this processor",
                received=f"one that it refuses ({error})",
                remedy="compile the network again",
            ) from None
        self.precision = precision
        self._classifier = classifier[0] if classifier else None
        self._probabilities = np.empty(0, "float32")

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Returns the probabilities of windows, in an array that the next call may overwrite; see `Engine`."""
        if self._classifier is not None:
            return whole(self.in_rows(windows))
        self._probabilities = self._network(windows, self._probabilities)
        return self._probabilities[: len(windows)]

    def in_rows(self, windows: np.ndarray) -> Prediction:
        """Returns the probabilities of windows row by row, if they are large; see `Engine`."""
        if self._classifier is None:
            return self(windows)
        features = self._network(windows)[: len(windows)]
        return classifier_split.in_rows(features, self._classifier, self._classifier)


class _CompiledNetwork:
    """A network that OpenVINO compiled for batches of one size."""

    def __init__(self, compiled: bytes, settings: dict[str, str | int]):
        network = import_openvino().Core().import_model(compiled, "CPU", settings)
        self.input_shape, self.output_shape = tuple(network.inputs[0].shape), tuple(network.outputs[0].shape)
        self._request = network.create_infer_request()
        self._batch = np.zeros(self.input_shape, "float32")
        self._request.set_input_tensor(import_openvino().Tensor(self._batch, shared_memory=True))

    def __call__(self, given: np.ndarray, result: np.ndarray | None = None) -> np.ndarray:
        """Returns what the network makes of inputs, and further values until the last batch is full.

        Args:
            given: `(batch, *input_shape[1:])`, of any number.
            result: An earlier result, which is overwritten if it has the right size; or None.
        """
        size = len(self._batch)
        shape = (-(-len(given) // size) * size, *self.output_shape[1:])
        if result is None or result.shape != shape:
            result = np.empty(shape, "float32")
        for start in range(0, len(given), size):
            part = given[start : start + size]
            self._batch[: len(part)] = part
            written = import_openvino().Tensor(result[start : start + size], shared_memory=True)
            self._request.set_output_tensor(written)
            self._request.infer()
        return result


def convert(model: Any, precisions: Sequence[str]) -> dict[str, bytes]:
    """Returns a Keras model compiled by OpenVINO for this machine's processor, as bytes by precision.

    Args:
        model: `keras.Model` on the TensorFlow backend with one input of known spatial sizes.
        precisions: `"float32"`, `"bfloat16"` or both.

    Raises:
        EngineError: If a layer of the network has no counterpart in OpenVINO.
    """
    networks = classifier_split.split(model)
    parts = [model] if networks is None else [_between_convolutions(networks.body), networks.classifier]
    try:
        compiled = [_compiled(part, precisions) for part in parts]
    except RuntimeError as error:
        raise EngineError(
            expected="a network that can be converted for OpenVINO",
            received=f"{model.name!r}, which cannot ({error})",
            remedy="use the engine 'keras'",
        ) from None
    return {precision: _packed([part[precision] for part in compiled]) for precision in precisions}


def fastest_first(choices: Sequence[Candidate]) -> list[Candidate]:
    """Returns candidates of OpenVINO, those in bfloat16 first if the processor computes in it, else last.

    Args:
        choices: Candidates of OpenVINO.
    """
    if len(choices) < 2:
        return list(choices)
    is_native = "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return sorted(choices, key=lambda choice: (choice.precision == "bfloat16") != is_native)


def _between_convolutions(body):
    """Returns the body of a split network, followed by a convolution that changes nothing.

    OpenVINO computes what follows the last convolution in float32, and here the classifier's convolution does follow.
    With this one the feature maps are rounded as they are in the whole network, and all probabilities are the same.
    """
    import keras

    maps = body.output_shape[-1]
    same = keras.layers.Conv3D(maps, 1, use_bias=False, data_format="channels_last", name="same", dtype="float32")
    result = keras.Model(body.input, same(body.output))
    same.set_weights([np.eye(maps, dtype="float32")[None, None, None]])
    return result


def _compiled(model, precisions):
    """Returns a Keras model compiled by OpenVINO, as bytes by precision."""
    shape = model.input_shape[1:]
    batch = max(1, VOXELS_PER_BATCH // math.prod(shape))
    core = import_openvino().Core()
    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow warns about itself
            model.export(folder, verbose=False)
        network = core.read_model(folder)
        network.reshape({network.inputs[0]: [batch, *shape]})
        return {precision: _exported(core, network, precision) for precision in precisions}


def _exported(core, network, precision):
    stream = io.BytesIO()
    core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision]}).export_model(stream)
    return stream.getvalue()


def _packed(parts):
    """Returns the bytes of compiled networks one after the other, each behind its length."""
    return b"".join(len(part).to_bytes(LENGTH, "little") + part for part in parts)


def _unpacked(content):
    """Returns the compiled networks of `_packed`."""
    parts = []
    while content or not parts:
        end = LENGTH + int.from_bytes(content[:LENGTH], "little")
        if not LENGTH < end <= len(content):
            raise ValueError(f"{len(content)} bytes that are not whole")
        parts.append(content[LENGTH:end])
        content = content[end:]
    return parts


def import_openvino() -> ModuleType:
    """Imports OpenVINO without its telemetry, which would report the import to a server."""
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    kept = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # OpenVINO works without it if it cannot be imported
    try:
        import openvino
    finally:
        del sys.modules["openvino_telemetry"]
        if kept is not None:
            sys.modules["openvino_telemetry"] = kept
    return openvino

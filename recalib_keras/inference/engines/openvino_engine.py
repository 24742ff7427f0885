"""Probabilities by OpenVINO, from a network that Keras exported."""

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

HINTS = {"float32": "f32", "bfloat16": "bf16"}
# OpenVINO is fast with batches of one fixed size, and they need not be large.
VOXELS_PER_BATCH = 2**14


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
            network = import_openvino().Core().import_model(compiled, "CPU", settings)
        except RuntimeError as error:
            raise EngineError(
                expected="a network compiled by this OpenVINO for this processor",
                received=f"one that it refuses ({error})",
                remedy="compile the network again",
            ) from None
        self.precision = precision
        self._request = network.create_infer_request()
        self._batch = np.zeros(tuple(network.inputs[0].shape), "float32")
        self._request.set_input_tensor(import_openvino().Tensor(self._batch, shared_memory=True))
        self._output_shape = tuple(network.outputs[0].shape)[1:]
        self._probabilities = np.empty((0, *self._output_shape), "float32")

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Returns the probabilities of windows, in an array that the next call overwrites; see `Engine`."""
        size, count = len(self._batch), -(-len(windows) // len(self._batch))
        if len(self._probabilities) != count * size:
            self._probabilities = np.empty((count * size, *self._output_shape), "float32")
        for start in range(0, len(windows), size):
            part = windows[start : start + size]
            self._batch[: len(part)] = part
            written = import_openvino().Tensor(self._probabilities[start : start + size], shared_memory=True)
            self._request.set_output_tensor(written)
            self._request.infer()
        return self._probabilities[: len(windows)]


def convert(model: Any, precisions: Sequence[str]) -> dict[str, bytes]:
    """Returns a Keras model compiled by OpenVINO for this machine's processor, as bytes by precision.

    Args:
        model: `keras.Model` on the TensorFlow backend with one input of known spatial sizes.
        precisions: `"float32"`, `"bfloat16"` or both.

    Raises:
        EngineError: If a layer of the network has no counterpart in OpenVINO.
    """
    spatial = model.input_shape[1:]
    batch = max(1, VOXELS_PER_BATCH // math.prod(spatial))
    core = import_openvino().Core()
    with tempfile.TemporaryDirectory() as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow warns about itself
            model.export(folder, verbose=False)
        try:
            network = core.read_model(folder)
            network.reshape({network.inputs[0]: [batch, *spatial]})
            return {precision: _compiled(core, network, precision) for precision in precisions}
        except RuntimeError as error:
            raise EngineError(
                expected="a network that can be converted for OpenVINO",
                received=f"{model.name!r}, which cannot ({error})",
                remedy="use the engine 'keras'",
            ) from None


def _compiled(core, network, precision):
    stream = io.BytesIO()
    core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision]}).export_model(stream)
    return stream.getvalue()


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

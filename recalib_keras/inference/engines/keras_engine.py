"""Probabilities by Keras, on the backend that it runs on."""

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core import backend as core_backend
from recalib_keras.core.errors import EngineError
from recalib_keras.core.messages import STEPS
from recalib_keras.core.spreading import devices
from recalib_keras.inference.engines import classifier_split
from recalib_keras.inference.engines.base import found_labels
from recalib_keras.inference.sliding_window.window_rows import Prediction
from recalib_keras.zoo.decision import THRESHOLD

# Devices of GPUs on Linux: of NVIDIA, of AMD, and of Windows that runs Linux.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# A GPU is faster with more voxels at a time, a CPU is not.
VOXELS_PER_BATCH = {"cpu": 2**16, "accelerator": 2**18}

# The process in which Keras computed first: backends start threads then, which a forked process does not have.
_process: int | None = None


class KerasEngine:
    """Calls a Keras model on batches of windows.

    Args:
        model: `keras.Model` from `(batch, *spatial, channels)` to probabilities `(batch, *spatial, classes)`.

    Attributes:
        precision: `"float32"` or `"bfloat16"`.
        voxels_per_batch: About how many voxels to compute at a time on this device.
    """

    name = "keras"

    def __init__(self, model: Any):
        check_process()
        self.model = model
        is_bfloat16 = any(layer.compute_dtype == "bfloat16" for layer in model.layers)
        self.precision = "bfloat16" if is_bfloat16 else "float32"
        self.voxels_per_batch = VOXELS_PER_BATCH["cpu" if _lies_on_cpu(model) else "accelerator"]

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Returns the probabilities of windows; see `Engine`.

        Raises:
            EngineError: In a process that was forked after Keras has computed in its parent.
        """
        from keras import ops  # here, so that another engine can do without Keras

        check_process()
        return ops.convert_to_numpy(self.model.predict_on_batch(windows))

    def in_rows(self, windows: np.ndarray) -> Prediction:
        """Returns the probabilities of windows row by row, if they are large; see `Engine`."""
        networks = self._split
        if networks is None:
            return self(windows)
        from keras import ops

        check_process()
        features = ops.convert_to_numpy(networks.body.predict_on_batch(windows))
        classify = networks.classifier.predict_on_batch
        return classifier_split.in_rows(
            features, networks.classifier, lambda maps: ops.convert_to_numpy(classify(maps))
        )

    @functools.cached_property
    def _split(self):
        """The network in two parts, or None; a GPU is faster with the whole."""
        return classifier_split.split(self.model) if _lies_on_cpu(self.model) else None


def check_process() -> None:
    """Checks that Keras can compute in this process; in a forked one it would wait forever for threads of its parent.

    Raises:
        EngineError: In a process that was forked after Keras has computed in its parent.
    """
    global _process
    if _process not in (None, os.getpid()):
        raise EngineError(
            expected=f"the process {_process}, in which Keras has computed already",
            received=f"the forked process {os.getpid()}, in which it would hang",
            remedy="start processes with multiprocessing.get_context(\"spawn\"), or use the engine 'openvino'",
        )
    _process = os.getpid()


def labels_of(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from windows `(batch, *spatial, channels)` to the labels `(batch, *spatial)` of a Keras model.

    The probabilities of a whole head are never in memory all at once, or stay in the backend: a copy would need as
    much again.
    """
    import keras

    engine = KerasEngine(model)
    if engine._split is not None:
        return lambda windows: found_labels(engine, windows, has_sigmoid(model))
    labels = keras.Model(model.input, _classes(model))
    return lambda windows: keras.ops.convert_to_numpy(labels.predict_on_batch(windows))


def has_sigmoid(model: Any) -> bool:
    """Returns whether a model gives each structure a probability of its own.

    Args:
        model: `keras.Model`; one that is not of `recalib_keras.models` does not.
    """
    architecture = getattr(model, "architecture", None)
    return architecture is not None and architecture.classifier_activation == "sigmoid"


def _classes(model):
    """Returns the symbolic classes of a model's output; with a sigmoid the last structure above one half, or 0."""
    from keras import ops

    if not has_sigmoid(model):
        return ops.argmax(model.output, axis=-1)
    exceeds = ops.cast(model.output > THRESHOLD, "int32")
    return ops.max(exceeds * ops.arange(1, exceeds.shape[-1] + 1, dtype="int32"), axis=-1)


def load(preset: str | os.PathLike, weights: str, precision: str, threads: int | None = None) -> KerasEngine:
    """Returns the engine of a preset's weight set; starts the backend if it has not been started.

    Args:
        preset: See `open_engine`.
        weights: See `open_engine`.
        precision: `"float32"` or `"bfloat16"`.
        threads: See `open_engine`.

    Raises:
        EngineError: In a process that was forked after Keras has computed in its parent.
    """
    check_process()
    if "keras" not in sys.modules:
        STEPS.debug("starting Keras on %s", backend())
        core_backend.start_backend(threads)
    from recalib_keras import zoo

    return KerasEngine(zoo.load(preset, weights, dtype={"bfloat16": "mixed_bfloat16"}.get(precision, precision)))


def backend() -> str:
    """Returns the name of the backend that Keras runs on, or would run on, without importing it."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    settings = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return json.loads(settings.read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def check_tensorflow() -> None:
    """Checks that Keras runs on TensorFlow, whose networks OpenVINO takes.

    Raises:
        EngineError: If it runs on another backend.
    """
    if backend() != "tensorflow":
        raise EngineError(
            expected="Keras's TensorFlow backend for the engine 'openvino', which takes networks from it",
            received=repr(backend()),
            remedy="set KERAS_BACKEND=tensorflow, or use the engine 'keras'",
        )


def may_have_gpu() -> bool:
    """Returns whether the machine has a device that could be a GPU and is not hidden, without importing a backend."""
    if devices.are_gpus_hidden():
        return False
    return not sys.platform.startswith("linux") or any(Path(device).exists() for device in GPU_DEVICES)


def runs_on_tensorflow_cpu() -> bool:
    """Returns whether Keras computes with TensorFlow, on a machine where TensorFlow sees no GPU.

    Imports TensorFlow, unless the machine has no device that could be a GPU.
    """
    if backend() != "tensorflow":
        return False
    if "tensorflow" not in sys.modules and not may_have_gpu():
        return True
    return core_backend.runs_on_tensorflow_cpu()


def _lies_on_cpu(model):
    """Returns whether a model's variables lie on a CPU; the devices of all backends tell it by their name."""
    return all("cpu" in str(variable.value.device).lower() for variable in model.variables[:1])

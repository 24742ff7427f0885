"""Probabilities by Keras, on whatever backend it runs."""

import json
import os
import sys
from pathlib import Path

from recalib_keras.core.backend import start_backend

# GPUs of NVIDIA, of AMD, and those of Windows below Linux, by what Linux calls them.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# A GPU wants more at a time than a CPU, which is no faster for it.
VOXELS_PER_BATCH = {"cpu": 2**16, "accelerator": 2**18}


class KerasEngine:
    """Calls a Keras model on batches of windows.

    Args:
        model: `keras.Model` from `(batch, *spatial, 1)` to probabilities `(batch, *spatial, classes)`.
    """

    name = "keras"

    def __init__(self, model):
        self.model = model
        is_bfloat16 = any(layer.compute_dtype == "bfloat16" for layer in model.layers)
        self.precision = "bfloat16" if is_bfloat16 else "float32"
        self.voxels_per_batch = VOXELS_PER_BATCH["cpu" if _lies_on_cpu(model) else "accelerator"]

    def __call__(self, windows):
        """Returns the probabilities of a batch of windows, as a NumPy array."""
        from keras import ops  # here, so that another engine can do without Keras

        return ops.convert_to_numpy(self.model.predict_on_batch(windows))


def _lies_on_cpu(model):
    """Returns whether a model's variables lie on a CPU; the devices of all backends say so by their name."""
    return all("cpu" in str(variable.value.device).lower() for variable in model.variables[:1])


def labels_of(model):
    """Returns a function from windows to the labels of a Keras model's network, an integer array.

    The probabilities stay in the backend: those of a whole head, copied, would take as much again.
    """
    import keras

    labels = keras.Model(model.input, keras.ops.argmax(model.output, axis=-1))
    return lambda windows: keras.ops.convert_to_numpy(labels.predict_on_batch(windows))


def load(preset, weights, precision, threads=None):
    """Returns the engine of a preset's weight set; starts the backend if nobody has."""
    if "keras" not in sys.modules:
        start_backend(threads)
    from recalib_keras import zoo

    return KerasEngine(zoo.load(preset, weights, dtype={"bfloat16": "mixed_bfloat16"}.get(precision, precision)))


def backend():
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


def may_have_gpu():
    """Returns whether the machine has a device that could be a GPU, without importing what would know."""
    return not sys.platform.startswith("linux") or any(Path(device).exists() for device in GPU_DEVICES)


def runs_on_tensorflow_cpu() -> bool:
    """Returns whether Keras computes with TensorFlow, on a machine where TensorFlow sees no GPU.

    Imports it, unless the machine has no device that could be one.
    """
    if backend() != "tensorflow":
        return False
    if "tensorflow" not in sys.modules and not may_have_gpu():
        return True
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")

"""Networks that do by hand-set weights what a trained one would have learnt: tell structures by their intensity."""

import importlib.util

import keras
import numpy as np
import pytest

from recalib_keras.inference import Segmenter
from recalib_keras.zoo import Input, Label, Network, WeightSet


@pytest.fixture(scope="session")
def openvino():
    """Skips the test where OpenVINO is not installed, or has nothing to take networks from."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("OpenVINO takes TensorFlow's networks")
    if importlib.util.find_spec("openvino") is None:  # not imported here: that would report to a server
        pytest.skip("OpenVINO is not installed")


def threshold_network(input_shape, thresholds, sharpness=20.0):
    """Returns a network whose class k is the most probable one between the thresholds k - 1 and k.

    The logit of class k is `sharpness · Σ (x - t)` over its thresholds and those below. Of several channels the one in
    the middle counts.
    """
    (*spatial, channels), count = input_shape, len(thresholds) + 1
    rank = len(spatial)
    convolution = getattr(keras.layers, f"Conv{rank}D")(count, 1, activation="softmax")
    model = keras.Sequential([keras.Input(input_shape), convolution])
    kernel = np.zeros((1,) * rank + (channels, count))
    kernel[..., channels // 2, :] = sharpness * np.arange(count)
    convolution.set_weights([kernel, -sharpness * np.cumsum([0, *thresholds])])
    return model


@pytest.fixture(scope="session")
def threshold_segmenter():
    """Returns a function that makes a segmenter that tells structures by intensity.

    Args of the function:
        window, ids, thresholds: sizes, label numbers (background first) and one threshold less.
        **expects: further arguments of `Input`.
    """

    def make(window=(16, 16, 16), ids=(0, 17, 53), thresholds=(0.5, 1.5), **expects):
        expects = Input(window, **{"normalization": "none", **expects})
        labels = tuple(Label(number, f"structure {number}") for number in ids)
        weight_set = WeightSet("by intensity", Network("UNet"), expects, labels, "none.safetensors", "", 0)
        return Segmenter(weight_set, threshold_network(expects.shape, thresholds))

    return make

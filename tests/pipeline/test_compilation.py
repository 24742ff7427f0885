import keras
import numpy as np
import pytest
from keras import ops

from recalib_keras.pipeline import compiled


def scaled_by(factor, traces):
    """Returns a function that has its code in common with all others made here, and counts how often it is traced."""

    def scaled(x):
        traces.append(factor)
        return x * factor

    return compiled(scaled)


def test_is_compiled_once_for_a_shape():
    traces = []
    scaled = scaled_by(3.0, traces)
    for value in (1.0, 2.0):
        assert np.array_equal(ops.convert_to_numpy(scaled(ops.full((4,), value))), np.full(4, 3 * value))
    assert len(traces) == (2 if keras.backend.backend() == "torch" else 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a warning of TensorFlow's")
def test_many_functions_with_the_same_code_give_no_retracing_warning(caplog, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    traces = []
    for factor in range(12):
        scaled_by(float(factor), traces)(ops.ones((4,)))
    assert len(traces) == 12
    assert "retracing" not in caplog.text

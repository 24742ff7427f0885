"""The one place that decides which functions TensorFlow runs fused by XLA."""

import functools

import keras


def fused(function):
    """Returns `function` compiled by XLA, alone inside TensorFlow's graph; on other backends the function itself.

    For element-wise work and small contractions: XLA makes one pass of what the graph would do in many. Never for
    convolutions, which XLA on CPU runs many times slower than the graph does (see benchmarks/README.md). JAX compiles
    whole models and needs no such help.

    Args:
        function: of tensors, and of constants such as axes or strings, to tensors. Values and gradients are the same
            either way, which `tests/layers/test_acceleration.py` shows.
    """

    @functools.cache
    def compiled():
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*args):
        return compiled()(*args) if keras.backend.backend() == "tensorflow" else function(*args)

    return call

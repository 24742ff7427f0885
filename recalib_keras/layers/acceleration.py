"""The one place that decides which functions TensorFlow runs fused by XLA."""

import functools

import keras


def fused(function):
    """Returns `function` compiled by XLA, alone inside TensorFlow's graph; on other backends the function itself.

    For element-wise work, reductions and small products: XLA makes one pass over a feature map of what the graph
    makes many. Never for convolutions, which XLA on CPU runs many times slower than the graph does (see
    benchmarks/README.md). Its gradient computes the function again rather than keep what lies between input and
    output, which is faster and halves the memory. JAX compiles whole models and needs no such help.

    Args:
        function: of tensors to a tensor or a tuple of tensors; it may read variables. Values and gradients are the
            same either way, as `tests/layers/test_acceleration.py` shows.
    """

    @functools.cache
    def compiled():
        return _compiled_with_gradient(function)

    @functools.wraps(function)
    def call(*tensors):
        return compiled()(*tensors) if _can_fuse() else function(*tensors)

    return call


def _can_fuse():
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy()  # a variable mirrored over devices cannot be read inside


def _compiled_with_gradient(function):
    import tensorflow as tf

    forward = tf.function(function, jit_compile=True, autograph=False)

    @tf.function(jit_compile=True, autograph=False)
    def backward(tensors, upstream, variables):
        with tf.GradientTape() as tape:
            tape.watch(_floating(tensors))
            outputs = tf.nest.flatten(function(*tensors))
        pairs = [(output, grad) for output, grad in zip(outputs, upstream) if output.dtype.is_floating]
        return tape.gradient(
            [output for output, _ in pairs],
            [_floating(tensors), variables],
            output_gradients=[grad for _, grad in pairs],
        )

    @tf.custom_gradient
    def call(*tensors):
        def gradient(*upstream, variables=()):
            of_floating, of_variables = backward(tensors, upstream, list(variables))
            of_floating = iter(of_floating)
            of_tensors = [next(of_floating) if tensor.dtype.is_floating else None for tensor in tensors]
            return (of_tensors, of_variables) if variables else of_tensors

        return forward(*tensors), gradient

    return call


def _floating(tensors):
    return [tensor for tensor in tensors if tensor.dtype.is_floating]

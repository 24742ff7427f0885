"""The one place that decides which functions TensorFlow runs fused by XLA."""

import functools

import keras


def fused(function):
    """Returns `function` compiled by XLA, alone inside TensorFlow's graph; on other backends the function itself.

    For element-wise work, reductions and small products: XLA makes one pass over a feature map of what the graph
    makes many. Never for convolutions, which XLA on CPU runs many times slower than the graph does (see
    benchmarks/README.md). Inside, bfloat16 tensors are float32 ones, rounded once at the end: finer, and faster than
    XLA's arithmetic in bfloat16 on CPU. The gradient computes the function again rather than keep what lies between
    input and output, which is faster and halves the memory. JAX compiles whole models and needs no such help.

    Args:
        function: of tensors, at least one of them floating, to a tensor or a tuple of tensors, the floating ones of
            the first one's type; it may read variables. Values and gradients are the same either way, as
            `tests/layers/test_acceleration.py` shows.
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

    @tf.function(jit_compile=True, autograph=False)
    def forward(*tensors):
        like = _floating(tensors)[0]
        return tf.nest.map_structure(lambda output: _narrowed(output, like), function(*map(_widened, tensors)))

    @tf.function(jit_compile=True, autograph=False)
    def backward(tensors, upstream, variables):
        wide = [_widened(tensor) for tensor in tensors]
        with tf.GradientTape() as tape:
            tape.watch(_floating(wide))
            outputs = tf.nest.flatten(function(*wide))
        pairs = [(output, grad) for output, grad in zip(outputs, upstream) if output.dtype.is_floating]
        of_floating, of_variables = tape.gradient(
            [output for output, _ in pairs],
            [_floating(wide), variables],
            output_gradients=[_widened(grad) for _, grad in pairs],
        )
        return [_narrowed(grad, tensor) for grad, tensor in zip(of_floating, _floating(tensors))], of_variables

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


def _widened(tensor):
    """Returns a bfloat16 tensor in float32, by moving bits: in reductions XLA on CPU is slow to convert it."""
    import tensorflow as tf

    if tensor.dtype != tf.bfloat16:
        return tensor
    bits = tf.cast(tf.bitcast(tensor, tf.uint16), tf.uint32)
    return tf.bitcast(tf.bitwise.left_shift(bits, tf.constant(16, tf.uint32)), tf.float32)


def _narrowed(tensor, like):
    """Returns a float32 tensor as bfloat16 if the other one is of that type."""
    import tensorflow as tf

    is_wide = tensor is not None and tensor.dtype == tf.float32 and like.dtype == tf.bfloat16
    return tf.cast(tensor, tf.bfloat16) if is_wide else tensor

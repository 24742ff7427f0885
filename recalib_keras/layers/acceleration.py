"""The one place that decides which functions TensorFlow runs fused by XLA."""

import functools

import keras


def fused(function, summarize=None, transpose=None):
    """Returns `function` compiled by XLA, alone inside TensorFlow's graph; on other backends the function itself.

    For element-wise work, reductions and small products: XLA makes one pass over a feature map of what the graph
    makes many. Never for convolutions, which XLA on CPU runs many times slower than the graph does (see
    benchmarks/README.md). Inside, bfloat16 tensors are float32 ones, rounded once at the end: finer, and faster than
    XLA's arithmetic in bfloat16 on CPU. The gradient computes the function again rather than keep what lies between
    input and output, which is faster and halves the memory. JAX compiles whole models and needs no such help.

    XLA makes one quick pass of reshapes, slices and choices, but slow copies of concatenations and of the padding that
    the gradient of a slice is: hence `transpose`.

    Args:
        function: of tensors, at least one of them floating, to a tensor or a tuple of tensors, the floating ones of
            the first one's type; it may read variables. Values and gradients are the same either way, as
            `tests/layers/test_acceleration.py` shows.
        summarize: of the same tensors, to a tensor or a tuple of them, all floating, that `function` is given after
            them: something small that takes a pass over the tensors, and so is kept for the gradient.
        transpose: of a function that only moves or adds floating values, to places that integer tensors among its
            inputs or outputs tell: from the gradient of its output and those integer tensors to that of its input.
    """

    @functools.cache
    def compiled():
        return _with_gradient(function, summarize) if transpose is None else _with_transpose(function, transpose)

    @functools.wraps(function)
    def call(*tensors):
        if can_fuse():
            return compiled()(*tensors)
        return function(*tensors) if summarize is None else function(*tensors, summarize(*tensors))

    return call


def can_fuse() -> bool:
    """Returns whether fused functions are compiled here, and bfloat16 tensors are float32 ones inside."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy()  # a variable mirrored over devices cannot be read inside


def _with_gradient(function, summarize):
    import tensorflow as tf

    def summary_of(tensors):
        return () if summarize is None else (summarize(*tensors),)

    @tf.function(jit_compile=True, autograph=False)
    def forward(*tensors):
        wide = [_widened(tensor) for tensor in tensors]
        summary = summary_of(wide)
        return _all_narrowed(function(*wide, *summary), tensors), summary

    @tf.function(jit_compile=True, autograph=False)
    def backward(tensors, summary, upstream, variables):
        wide = [_widened(tensor) for tensor in tensors]
        sources = [_floating(wide), variables]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([sources[0], summary])
            outputs = tf.nest.flatten(function(*wide, *summary))
            again = summary_of(wide)  # of which nothing but the gradient is computed
        pairs = [(output, _widened(grad)) for output, grad in zip(outputs, upstream) if output.dtype.is_floating]
        outputs, upstream = zip(*pairs)
        gradient = functools.partial(tape.gradient, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        of_sources, of_summary = gradient(outputs, [sources, summary], output_gradients=upstream)
        if summary:
            through_summary = gradient(again, sources, output_gradients=of_summary)
            of_sources = tf.nest.map_structure(tf.add, of_sources, through_summary)
        of_floating, of_variables = of_sources
        return [_narrowed(grad, tensor) for grad, tensor in zip(of_floating, _floating(tensors))], of_variables

    @tf.custom_gradient
    def call(*tensors):
        outputs, summary = forward(*tensors)

        def gradient(*upstream, variables=()):
            of_floating, of_variables = backward(tensors, summary, upstream, list(variables))
            of_tensors = _beside_none(of_floating, tensors)
            return (of_tensors, of_variables) if variables else of_tensors

        return outputs, gradient

    return call


def _with_transpose(function, transpose):
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def forward(*tensors):
        return _all_narrowed(function(*map(_widened, tensors)), tensors)

    @tf.function(jit_compile=True, autograph=False)
    def backward(upstream, integers):
        return _narrowed(transpose(_widened(upstream), *integers), upstream)

    @tf.custom_gradient
    def call(*tensors):
        outputs = forward(*tensors)
        integers = [tensor for tensor in (*tensors, *tf.nest.flatten(outputs)) if not tensor.dtype.is_floating]
        return outputs, lambda upstream, *_: _beside_none([backward(upstream, integers)], tensors)

    return call


def _beside_none(of_floating, tensors):
    """Returns a gradient for each tensor: None for the integers."""
    of_floating = iter(of_floating)
    return [next(of_floating) if tensor.dtype.is_floating else None for tensor in tensors]


def _all_narrowed(outputs, tensors):
    import tensorflow as tf

    like = _floating(tensors)[0]
    return tf.nest.map_structure(lambda output: _narrowed(output, like), outputs)


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
    """Returns a float32 tensor as bfloat16 if the other one is of that type: rounded to even, by moving bits too."""
    import tensorflow as tf

    if tensor is None or tensor.dtype != tf.float32 or like.dtype != tf.bfloat16:
        return tensor
    bits = tf.bitcast(tensor, tf.uint32)
    is_odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 16), 1)
    quiet = tf.bitwise.bitwise_or(bits, 0x400000)  # a NaN must not be rounded to infinity
    rounded = tf.where(tf.math.is_nan(tensor), quiet, bits + 0x7FFF + is_odd)
    return tf.bitcast(tf.cast(tf.bitwise.right_shift(rounded, 16), tf.uint16), tf.bfloat16)

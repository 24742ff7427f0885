"""Decides which functions TensorFlow compiles with XLA, as one fused operation."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import keras

Tensor = Any  # of the backend, or symbolic
# The module whose functions of these names trace a step of `fit`, `evaluate` or `predict`.
TRAINER, STEP = "keras.src.backend.tensorflow.trainer", "_step_on_"
# The modules that export for LiteRT and OpenVINO.
LITERT, OPENVINO = "keras.src.export.litert", "keras.src.export.openvino"
_is_inside_fused = ContextVar("_is_inside_fused", default=False)


def fused(
    function: Callable[..., Any],
    summarize: Callable[..., Any] | None = None,
    transpose: Callable[..., Tensor] | None = None,
) -> Callable[..., Any]:
    """Returns `function` compiled by XLA within TensorFlow's graph; on other backends `function` itself.

    Use it for element-wise work, reductions and small products: XLA reads a feature map once where the graph reads it
    many times. Do not use it for convolutions, which XLA on CPU computes many times slower than the graph (see
    benchmarks/README.md). Inside, bfloat16 tensors are converted to float32 and rounded once at the end: this is more
    precise, and faster than XLA's bfloat16 arithmetic on CPU. The gradient computes the function again instead of
    keeping intermediate tensors, which is faster and halves the memory. JAX compiles whole models and needs no such
    help.

    XLA computes reshapes, slices and choices in one fast pass, but copies slowly for concatenations and for the padding
    that is the gradient of a slice; `transpose` avoids that padding.

    Args:
        function: Takes tensors, at least one of them floating, and returns a tensor or a tuple of tensors. Floating
            outputs have the type of the first floating input. It may read variables. Values and gradients do not
            depend on the compilation; `tests/layers/test_acceleration.py` checks this.
        summarize: Takes the same tensors and returns a floating tensor or a tuple of them, which `function` then
            receives after its tensors. Use it for small results that take a pass over the tensors: they are kept for
            the gradient.
        transpose: For a function that only moves or adds floating values, to places given by integer tensors among its
            inputs or outputs. Takes the gradient of the output, then those integer tensors, and returns the gradient
            of the input.

    Returns:
        A function of the same tensors.
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
    """Returns whether fused functions are compiled here, and so compute in float32 where the type is bfloat16."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    # A variable mirrored over devices cannot be read inside.
    return not tf.distribute.has_strategy() and not is_traced_for_elsewhere()


def is_traced_for_elsewhere() -> bool:
    """Returns whether TensorFlow traces a graph now that may run elsewhere, where nobody compiles with XLA.

    So it is in every export: a SavedModel, ONNX, OpenVINO and LiteRT all start from a graph. Its operations must be
    those that other runtimes have. A graph stays here if Keras traces it to train, evaluate or predict, or if a
    gradient tape records it; and without a graph, everything does.
    """
    if keras.backend.backend() != "tensorflow" or _is_inside_fused.get():
        return False
    import tensorflow as tf

    return not (tf.executing_eagerly() or _is_step_of_keras() or _is_recorded())


def is_traced_for_litert() -> bool:
    """Returns whether a graph is traced that LiteRT will run, which has fewer operations than others."""
    return is_traced_for_elsewhere() and _is_called_by(LITERT)


def is_traced_for_openvino() -> bool:
    """Returns whether a graph is traced that OpenVINO will run, which has no loop that collects tensors."""
    return is_traced_for_elsewhere() and _is_called_by(OPENVINO)


def _is_called_by(module):
    return any(name == module for name, _ in _callers())


def _is_step_of_keras():
    return any(name == TRAINER and STEP in function for name, function in _callers())


def _callers():
    """Yields module and function of every call that led here, the innermost first."""
    frame = sys._getframe(1)
    while frame is not None:
        yield frame.f_globals.get("__name__"), frame.f_code.co_name
        frame = frame.f_back


def _is_recorded():
    from tensorflow.python.eager import record  # TensorFlow has no public name for it

    return record.could_possibly_record()


def _compiled(function):
    import tensorflow as tf

    # TensorFlow takes functions of one code, such as those of many layers, for one that it compiles again and again,
    # and warns; partials differ.
    return tf.function(functools.partial(_inside_fused, function), jit_compile=True, autograph=False)


def _inside_fused(function, *arguments):
    token = _is_inside_fused.set(True)
    try:
        return function(*arguments)
    finally:
        _is_inside_fused.reset(token)


def _with_gradient(function, summarize):
    import tensorflow as tf

    def summary_of(tensors):
        return () if summarize is None else (summarize(*tensors),)

    @_compiled
    def forward(*tensors):
        wide = [_widened(tensor) for tensor in tensors]
        summary = summary_of(wide)
        return _all_narrowed(function(*wide, *summary), tensors), summary

    @_compiled
    def backward(tensors, summary, upstream, variables):
        wide = [_widened(tensor) for tensor in tensors]
        sources = [_floating(wide), variables]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([sources[0], summary])
            outputs = tf.nest.flatten(function(*wide, *summary))
            again = summary_of(wide)  # only its gradient is computed
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

    @_compiled
    def forward(*tensors):
        return _all_narrowed(function(*map(_widened, tensors)), tensors)

    @_compiled
    def backward(upstream, integers):
        return _narrowed(transpose(_widened(upstream), *integers), upstream)

    @tf.custom_gradient
    def call(*tensors):
        outputs = forward(*tensors)
        integers = [tensor for tensor in (*tensors, *tf.nest.flatten(outputs)) if not tensor.dtype.is_floating]
        return outputs, lambda upstream, *_: _beside_none([backward(upstream, integers)], tensors)

    return call


def _beside_none(of_floating, tensors):
    """Returns a gradient for each tensor: None for an integer tensor."""
    of_floating = iter(of_floating)
    return [next(of_floating) if tensor.dtype.is_floating else None for tensor in tensors]


def _all_narrowed(outputs, tensors):
    import tensorflow as tf

    like = _floating(tensors)[0]
    return tf.nest.map_structure(lambda output: _narrowed(output, like), outputs)


def _floating(tensors):
    return [tensor for tensor in tensors if tensor.dtype.is_floating]


def _widened(tensor):
    """Returns a bfloat16 tensor as float32. It moves the bits, since XLA on CPU converts slowly in reductions."""
    import tensorflow as tf

    if tensor.dtype != tf.bfloat16:
        return tensor
    bits = tf.cast(tf.bitcast(tensor, tf.uint16), tf.uint32)
    return tf.bitcast(tf.bitwise.left_shift(bits, tf.constant(16, tf.uint32)), tf.float32)


def _narrowed(tensor, like):
    """Returns a float32 tensor as bfloat16, rounded to even, if `like` has that type. It moves the bits, too."""
    import tensorflow as tf

    if tensor is None or tensor.dtype != tf.float32 or like.dtype != tf.bfloat16:
        return tensor
    bits = tf.bitcast(tensor, tf.uint32)
    is_odd = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 16), 1)
    quiet = tf.bitwise.bitwise_or(bits, 0x400000)  # a NaN must not be rounded to infinity
    rounded = tf.where(tf.math.is_nan(tensor), quiet, bits + 0x7FFF + is_odd)
    return tf.bitcast(tf.cast(tf.bitwise.right_shift(rounded, 16), tf.uint16), tf.bfloat16)

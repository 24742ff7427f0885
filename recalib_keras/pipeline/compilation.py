"""Run a function of `keras.ops` compiled by whichever backend is in use."""

import functools

import keras


def compiled(function):
    """Returns a function without convolutions compiled by the backend, where it compiles functions; else as it is.

    Args:
        function: of tensors, or None in their place, to tensors.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # No convolution here, so XLA is fast on every device. Compiled anew for every shape. A function is known to
        # TensorFlow by its code: as a partial it is told from others, such as those of many layers, which would look
        # like one that is compiled again and again.
        return tf.function(functools.partial(function), jit_compile=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function

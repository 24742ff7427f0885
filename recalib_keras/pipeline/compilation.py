"""Run a function of `keras.ops` compiled by whichever backend is in use."""

import keras


def compiled(function):
    """Returns a function without convolutions compiled by the backend, where it compiles functions; else as it is.

    Args:
        function: of tensors, or None in their place, to tensors.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # No convolution here, so XLA is fast on every device. Compiled anew for every shape.
        return tf.function(function, jit_compile=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function

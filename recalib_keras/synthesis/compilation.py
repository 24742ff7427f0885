"""Run a function of `keras.ops` compiled by whichever backend is in use."""

import keras


def compiled(function):
    """Returns a function that has no convolutions compiled by the backend, if it compiles; else the function itself.

    Args:
        function: of tensors, or None in their place, to tensors.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # XLA makes one pass of many over each window, and keeps integers on a GPU. Compiled anew for every shape.
        return tf.function(function, jit_compile=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function

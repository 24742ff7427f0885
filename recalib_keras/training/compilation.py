"""Run a function of `keras.ops` compiled by whichever backend is in use."""

import keras


def compiled(function):
    """Returns `function` compiled by the backend, where it compiles functions; else the function itself.

    Args:
        function: of tensors, or None in their place, to tensors.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)  # traced anew for every shape: what it runs counts and loops over static shapes
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function

"""How tests run functions of `keras.ops`: as fast as the backend in use can."""

import keras

from recalib_keras.pipeline import compiled


def fast(function):
    """Returns a function compiled as a whole on JAX, which would else compile each operation; on others as it is."""
    return compiled(function) if keras.backend.backend() == "jax" else function

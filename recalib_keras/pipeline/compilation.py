"""Compile a function of `keras.ops` with the backend in use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function compiled by the backend, or as it is if the backend does not compile functions.

    Args:
        function: From tensors, or None in their place, to tensors; without convolutions.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Without convolutions XLA is fast on every device. It compiles again for every shape. TensorFlow identifies a
        # function by its code. As a partial it differs from others of the same code, such as those of many layers,
        # which would look like one function that is compiled again and again.
        return tf.function(functools.partial(function), jit_compile=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function

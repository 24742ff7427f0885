"""Fixtures for the tests of `recalib_keras.layers`."""

import contextlib

import keras
import pytest


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def double_precision():
    """Lets JAX compute in float64, which the other backends do by themselves."""
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        yield

"""Keras's own conformance test of a layer."""

import warnings

from keras.src.testing.test_case import TestCase


def check_conformance(layer_class, arguments, **expectations):
    """Checks config, symbolic and eager shapes, a compiled training step and mixed precision the way Keras does.

    Args:
        layer_class: the layer.
        arguments: dict for its constructor.
        **expectations: the further arguments of Keras's `TestCase.run_layer_test`.
    """
    with warnings.catch_warnings():
        # The test feeds `fit` from a generator, with the default shuffle=True that Keras 3.15 warns of.
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed", category=UserWarning)
        TestCase("run_layer_test").run_layer_test(layer_class, arguments, **expectations)

"""Gradients of layers on every backend, and of NumPy functions by finite differences."""

import keras
import numpy as np
from blocks import numpy


def layer_gradients(layer, inputs, cotangent, **call_arguments):
    """Returns the outputs' gradients, summed up with `cotangent` as weights.

    Args:
        layer: a built layer or model.
        inputs: array.
        cotangent: array of the outputs' shape.
        **call_arguments: of the layer, such as `training`.

    Returns:
        The gradient for the inputs, and a list of those for the trainable weights, as arrays.
    """
    by_backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    inputs, cotangent = (keras.ops.convert_to_tensor(array, dtype=array.dtype.name) for array in (inputs, cotangent))
    by_inputs, by_weights = by_backend(layer, inputs, cotangent, call_arguments)
    return numpy(by_inputs), [numpy(gradient) for gradient in by_weights]


def _weighted_sum(outputs, cotangent):
    return keras.ops.sum(keras.ops.cast(outputs, cotangent.dtype) * cotangent)


def _tensorflow(layer, inputs, cotangent, call_arguments):
    import tensorflow as tf

    weights = [weight.value for weight in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = _weighted_sum(layer(inputs, **call_arguments), cotangent)
    by_inputs, *by_weights = tape.gradient(total, [inputs, *weights])
    return by_inputs, by_weights


def _jax(layer, inputs, cotangent, call_arguments):
    import jax

    def total(inputs, weights):
        others = [weight.value for weight in layer.non_trainable_variables]
        outputs, _ = layer.stateless_call(weights, others, inputs, **call_arguments)
        return _weighted_sum(outputs, cotangent)

    weights = [weight.value for weight in layer.trainable_variables]
    return jax.jit(jax.grad(total, argnums=(0, 1)))(inputs, weights)


def _torch(layer, inputs, cotangent, call_arguments):
    import torch

    weights = [weight.value for weight in layer.trainable_variables]
    inputs = inputs.detach().requires_grad_()
    total = _weighted_sum(layer(inputs, **call_arguments), cotangent)
    by_inputs, *by_weights = torch.autograd.grad(total, [inputs, *weights])
    return by_inputs, by_weights


def finite_differences(function, array, step=1e-6):
    """Returns the gradient of a scalar `function` at a float64 `array`, by central differences, entry by entry."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        ahead, behind = array.copy(), array.copy()
        ahead[place] += step
        behind[place] -= step
        gradient[place] = (function(ahead) - function(behind)) / (2 * step)
    return gradient

"""Tiny networks for the tests: built in a fraction of a second, with every block in any place."""

import keras
import numpy as np
import pytest

from recalib_keras import models

NETWORKS = {"unet": models.UNet, "sdnet": models.SDNet, "densenet": models.DenseNet}
# Defaults of the blocks are for tens of maps; these fit four.
BLOCK_ARGUMENTS = {
    None: {},
    "cse": {"reduction_ratio": 2},
    "sse": {},
    "scse": {"reduction_ratio": 2},
    "pe": {"reduction_ratio": 2},
    "segse": {"reduction_ratio": 2, "expansion_factor": 2},
    "cbam": {"reduction_ratio": 2, "kernel_size": 3},
}

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
every_rank = pytest.mark.parametrize("spatial_rank", [2, 3])
# Where a rank more proves little: each network in one rank in every run, and in the other one in the slow tests.
every_network_in_a_rank = pytest.mark.parametrize(
    ("network", "spatial_rank"),
    [
        pytest.param(NETWORKS[name], rank, marks=pytest.mark.slow if is_slow else (), id=f"{name}-{rank}")
        for name, rank, is_slow in (
            *(("unet", 2, False), ("sdnet", 2, False), ("densenet", 3, False)),
            *(("unet", 3, True), ("sdnet", 3, True), ("densenet", 2, True)),
        )
    ],
)


def tiny(network, spatial_rank=2, size=8, recalibration=None, **arguments):
    """Returns a network of one level and four maps for one-channel images of `size` along every axis."""
    arguments = {
        "num_classes": 3,
        "levels": 1,
        "filters": 4,
        "kernel_size": 3,
        "recalibration": recalibration,
        "recalibration_args": BLOCK_ARGUMENTS.get(recalibration, {}),
        **arguments,
    }
    return network((size,) * spatial_rank + (1,), **arguments)


def image(spatial_rank=2, size=8, batch=2, seed=0):
    """Returns a random one-channel image."""
    return np.random.default_rng(seed).normal(size=(batch, *(size,) * spatial_rank, 1)).astype("float32")


def randomize(model, seed=1):
    """Gives every weight a random value, so that biases and gates have something to say."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.uniform(-0.5, 0.5, weight.shape) + 0.6 * ("norm" in weight.path) for weight in model.weights]
    )
    return model


def outputs_of(model, inputs, **call_arguments):
    return keras.ops.convert_to_numpy(model(inputs, **call_arguments))

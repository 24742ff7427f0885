"""All blocks as the tests see them: a layer, small arguments for it, and the formula it must follow."""

import functools
from dataclasses import dataclass, field

import formulas
import keras
import numpy as np
import pytest

from recalib_keras import layers

SIZES = (5, 4, 3)


@dataclass(frozen=True)
class Block:
    """A block and its formula.

    Args:
        layer_class: the layer.
        formula: function of `(inputs, weights, peak)`, see `formulas`.
        arguments: dict for the layer.
        widening: how many times as many channels come out as go in.
    """

    layer_class: type
    formula: callable
    arguments: dict = field(default_factory=dict)
    widening: int = 1

    def layer(self, **kwargs):
        return self.layer_class(**{**self.arguments, **kwargs})

    def randomized(self, input_shape, seed=3, **kwargs):
        """Returns the layer, built, with random weights and biases."""
        layer = self.layer(**kwargs)
        layer.build(input_shape)
        rng = np.random.default_rng(seed)
        layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.weights])
        return layer


def _concurrent(aggregation):
    formula = functools.partial(formulas.channel_spatial_se, aggregation=aggregation)
    widening = 2 if aggregation == "concat" else 1
    return Block(layers.ChannelSpatialSE, formula, {"aggregation": aggregation}, widening)


BLOCKS = {
    "cse": Block(layers.ChannelSE, formulas.channel_se),
    "sse": Block(layers.SpatialSE, formulas.spatial_se),
    "scse_max": _concurrent("max"),
    "scse_add": _concurrent("add"),
    "scse_multiply": _concurrent("multiply"),
    "scse_concat": _concurrent("concat"),
    "pe": Block(layers.ProjectExcite, formulas.project_excite),
    "segse": Block(
        layers.SegSE,
        functools.partial(formulas.seg_se, dilation_rate=1),
        {"reduction_ratio": 4, "expansion_factor": 2},
    ),
    "segse_without_recombination": Block(
        layers.SegSE,
        functools.partial(formulas.seg_se, dilation_rate=2, recombines=False),
        {"reduction_ratio": 2, "dilation_rate": 2, "expansion_factor": None},
    ),
    "cbam": Block(layers.CBAM, formulas.cbam, {"reduction_ratio": 2, "kernel_size": 3}),
}
# The two others cannot start as the identity.
IDENTITY_BLOCKS = {name: block for name, block in BLOCKS.items() if name not in ("scse_multiply", "scse_concat")}

every_block = pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
every_identity_block = pytest.mark.parametrize("block", IDENTITY_BLOCKS.values(), ids=IDENTITY_BLOCKS)
every_rank = pytest.mark.parametrize("spatial_rank", [pytest.param(1, marks=pytest.mark.slow), 2, 3])
every_data_format = pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])


def feature_map(spatial_rank, channels=8, batch=2, seed=7, dtype="float32"):
    """Returns a random map, channels last, with a different size along every axis."""
    return np.random.default_rng(seed).normal(size=(batch, *SIZES[:spatial_rank], channels)).astype(dtype)


def to_data_format(array, data_format):
    """Turns a channels-last array into one of `data_format`."""
    return array if data_format == "channels_last" else np.moveaxis(array, -1, 1)


def to_channels_last(array, data_format):
    """Turns an array of `data_format` into a channels-last one."""
    return array if data_format == "channels_last" else np.moveaxis(array, 1, -1)


def weights_of(layer):
    """Returns the weights as float64 arrays, by their path below the layer."""
    return {path_below(weight): numpy(weight).astype("float64") for weight in layer.weights}


def path_below(weight):
    return weight.path.split("/", 1)[1]


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)

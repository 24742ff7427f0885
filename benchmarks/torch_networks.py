"""The networks as plain PyTorch modules. Layers have the same names as ours, so weights can be copied."""

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import torch_blocks

BLOCKS = {"UNet": ("_1", "_2"), "SDNet": ("",), "DenseNet": ("_1", "_2", "_gather")}


class Network(nn.Module):
    """The PyTorch twin of one of our networks.

    Args:
        model: A `UNet`, `SDNet` or `DenseNet` of `recalib_keras.models` with max-unpooling or transposed convolutions,
            batch normalization or none, and blocks after encoders and decoders. Its weights are copied.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        self.config = model.get_config()
        self.kind = type(model).__name__
        self.rank = len(model.input_shape) - 2
        self.parts = nn.ModuleDict({layer.name: _twin(layer, self.rank) for layer in model.layers if layer.weights})
        self.eval()

    def forward(self, x):
        skips, indices = [], []
        pool = {2: F.max_pool2d, 3: F.max_pool3d}[self.rank]
        unpool = {2: F.max_unpool2d, 3: F.max_unpool3d}[self.rank]
        for level in range(1, self.config["levels"] + 1):
            x = self._recalibrate(self._block(x, f"encoder_{level}"), f"encoder_{level}")
            skips.append(x)
            x, index = pool(x, 2, return_indices=True)
            indices.append(index)
        x = self._block(x, "bottleneck")
        for level in range(self.config["levels"], 0, -1):
            name = f"decoder_{level}"
            if self.config["upsampling"] == "unpool":
                x = unpool(x, indices[level - 1], 2)
            else:
                x = self.parts[f"{name}_up"](x)
            x = self._block(torch.cat([x, skips[level - 1]], dim=1), name)
            x = self._recalibrate(x, name)
        return torch.softmax(self.parts["classifier"](x).float(), dim=1)

    def _block(self, x, name):
        if self.kind != "DenseNet":
            for suffix in BLOCKS[self.kind]:
                x = self._convolve(x, name, suffix)
            return x
        first = self._convolve(x, name, "_1")
        x = torch.cat([x, first], dim=1)
        x = torch.cat([x, self._convolve(x, name, "_2")], dim=1)
        return self._convolve(x, name, "_gather")

    def _convolve(self, x, name, suffix):
        x = self.parts[f"{name}_conv{suffix}"](x)
        norm = f"{name}_norm{suffix}"
        return torch.relu(self.parts[norm](x) if norm in self.parts else x)

    def _recalibrate(self, x, name):
        block = f"{name}_recalibration"
        return self.parts[block](x) if block in self.parts else x


def _twin(layer, rank):
    """Returns the PyTorch module of a Keras layer, with its weights."""
    weights = {v.path.split("/", 1)[1]: torch.from_numpy(np.array(v)) for v in layer.variables}
    kind = type(layer).__name__
    if kind.startswith("Conv"):
        return _convolution(layer, weights, rank)
    if kind == "BatchNormalization":
        module = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[rank](
            weights["gamma"].numel(), eps=layer.epsilon, momentum=1 - layer.momentum
        )
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        module.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()}, strict=False)
        return module
    return _block(layer, weights, rank, kind)


def _convolution(layer, weights, rank):
    kernel = weights["kernel"].movedim(-1, 0).movedim(-1, 1).contiguous()  # (first, second, *size)
    if type(layer).__name__.endswith("Transpose"):
        module = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[rank](kernel.shape[0], kernel.shape[1], 2, stride=2)
    else:
        use_bias = "bias" in weights
        module = {2: nn.Conv2d, 3: nn.Conv3d}[rank](
            kernel.shape[1], kernel.shape[0], kernel.shape[2], padding="same", bias=use_bias
        )
    module.load_state_dict({"weight": kernel, **({"bias": weights["bias"]} if "bias" in weights else {})})
    return module


def _block(layer, weights, rank, kind):
    module = {
        "ChannelSE": lambda: torch_blocks.ChannelSE(layer.channels, layer.reduction_ratio),
        "SpatialSE": lambda: torch_blocks.SpatialSE(layer.channels, rank),
        "ChannelSpatialSE": lambda: torch_blocks.ChannelSpatialSE(
            layer.channels, rank, layer.aggregation, layer.reduction_ratio
        ),
        "ProjectExcite": lambda: torch_blocks.ProjectExcite(layer.channels, rank, layer.reduction_ratio),
    }[kind]()
    state = {}
    for name, target in module.state_dict().items():
        path, leaf = name.rsplit(".", 1)
        value = weights[f"{path.replace('.', '/')}/{'kernel' if leaf == 'weight' else 'bias'}"]
        state[name] = value.T.reshape(target.shape) if leaf == "weight" else value
    module.load_state_dict(state)
    return module

"""The blocks as plain PyTorch modules, written from their formulas, for comparison with `recalib_keras.layers`."""

import torch
from torch import nn


class ChannelSE(nn.Module):
    """cSE: one gate for each channel, from the means of all channels."""

    def __init__(self, channels: int, reduction_ratio: int = 2):
        super().__init__()
        self.reduce = nn.Linear(channels, channels // reduction_ratio)
        self.expand = nn.Linear(channels // reduction_ratio, channels)

    def forward(self, x):
        spatial = tuple(range(2, x.ndim))
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean(spatial)))))
        return x * gate.reshape(*gate.shape, *(1 for _ in spatial))


class SpatialSE(nn.Module):
    """sSE: one gate for each position, from its channels."""

    def __init__(self, channels: int, rank: int):
        super().__init__()
        self.squeeze = _convolution(rank)(channels, 1, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.squeeze(x))


class ChannelSpatialSE(nn.Module):
    """scSE: joins cSE and sSE."""

    def __init__(self, channels: int, rank: int, aggregation: str = "max", reduction_ratio: int = 2):
        super().__init__()
        self.channel, self.spatial = ChannelSE(channels, reduction_ratio), SpatialSE(channels, rank)
        self.join = {
            "max": torch.max,
            "add": torch.add,
            "multiply": torch.mul,
            "concat": lambda a, b: torch.cat([a, b], dim=1),
        }[aggregation]

    def forward(self, x):
        return self.join(self.channel(x), self.spatial(x))


class ProjectExcite(nn.Module):
    """PE: adds the broadcast projections onto the spatial axes and applies two 1×1 convolutions."""

    def __init__(self, channels: int, rank: int, reduction_ratio: int = 2):
        super().__init__()
        self.reduce = _convolution(rank)(channels, channels // reduction_ratio, 1)
        self.expand = _convolution(rank)(channels // reduction_ratio, channels, 1)

    def forward(self, x):
        spatial = range(2, x.ndim)
        projections = [x.mean([other for other in spatial if other != axis], keepdim=True) for axis in spatial]
        summed = sum(projection.expand_as(x) for projection in projections)
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(summed))))


def _convolution(rank):
    return {2: nn.Conv2d, 3: nn.Conv3d}[rank]

"""The authors' networks in PyTorch, written from their description alone: what `zoo.import_authors` must agree with.

Modules are named as in the authors' state dicts. The decoders run in the order 4, 1, 2, 3.
"""

import pytest

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
NORMALIZATIONS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
DROPOUTS = {2: nn.Dropout2d, 3: nn.Dropout3d}
POOLS = {2: F.max_pool2d, 3: F.max_pool3d}
UNPOOLS = {2: F.max_unpool2d, 3: F.max_unpool3d}


class ChannelGate(nn.Module):
    def __init__(self, channels, rank, ratio=2):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // ratio)
        self.fc2 = nn.Linear(channels // ratio, channels)

    def forward(self, x):
        means = x.flatten(2).mean(2)
        gate = self.fc2(self.fc1(means).relu()).sigmoid()
        return x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))


class SpatialGate(nn.Module):
    def __init__(self, channels, rank):
        super().__init__()
        self.conv = CONVOLUTIONS[rank](channels, 1, 1)

    def forward(self, x):
        return x * self.conv(x).sigmoid()


class BothGates(nn.Module):
    def __init__(self, channels, rank):
        super().__init__()
        self.cSE = ChannelGate(channels, rank)
        self.sSE = SpatialGate(channels, rank)

    def forward(self, x):
        return torch.maximum(self.cSE(x), self.sSE(x))


class ProjectionGate(nn.Module):
    def __init__(self, channels, rank):
        super().__init__()
        self.conv_c = CONVOLUTIONS[rank](channels, channels // 2, 1)
        self.conv_cT = CONVOLUTIONS[rank](channels // 2, channels, 1)

    def forward(self, x):
        axes = range(2, x.ndim)
        projections = [x.mean([other for other in axes if other != axis], keepdim=True) for axis in axes]
        total = torch.zeros_like(x)
        for projection in projections:
            total = total + projection
        return x * self.conv_cT(self.conv_c(total).relu()).sigmoid()


GATES = {None: None, "cse": ChannelGate, "sse": SpatialGate, "scse": BothGates, "pe": ProjectionGate}


class DenseBlock(nn.Module):
    """Three convolutions, each behind a normalization and the block's one PReLU; the input comes first everywhere."""

    def __init__(self, channels, filters, rank, size, block):
        super().__init__()
        seen = (channels, channels + filters, channels + 2 * filters)
        self.conv1 = CONVOLUTIONS[rank](seen[0], filters, size, padding=size // 2)
        self.conv2 = CONVOLUTIONS[rank](seen[1], filters, size, padding=size // 2)
        self.conv3 = CONVOLUTIONS[rank](seen[2], filters, 1)
        self.batchnorm1, self.batchnorm2, self.batchnorm3 = map(NORMALIZATIONS[rank], seen)
        self.prelu = nn.PReLU()
        self.SELayer = block and GATES[block](filters, rank)
        self.dropout = DROPOUTS[rank](0.2)

    def convolved(self, x):
        first = self.conv1(self.prelu(self.batchnorm1(x)))
        second = self.conv2(self.prelu(self.batchnorm2(torch.cat([x, first], 1))))
        return self.conv3(self.prelu(self.batchnorm3(torch.cat([x, first, second], 1))))

    def forward(self, x):
        x = self.convolved(x)
        return self.dropout(x if self.SELayer is None else self.SELayer(x))


class SingleBlock(DenseBlock):
    """SD-Net's: a convolution, the PReLU, the normalization."""

    def __init__(self, channels, filters, rank, size, block):
        nn.Module.__init__(self)
        self.conv = CONVOLUTIONS[rank](channels, filters, size, padding=size // 2)
        self.prelu = nn.PReLU()
        self.batchnorm = NORMALIZATIONS[rank](filters)
        self.SELayer = block and GATES[block](filters, rank)
        self.dropout = DROPOUTS[rank](0.2)

    def convolved(self, x):
        return self.batchnorm(self.prelu(self.conv(x)))


class DoubleBlock(DenseBlock):
    """U-Net's: two convolutions, each with a ReLU; in decoders a transposed convolution, too."""

    def __init__(self, channels, filters, rank, size, block):
        nn.Module.__init__(self)
        self.conv1 = CONVOLUTIONS[rank](channels, filters, size, padding=size // 2)
        self.conv2 = CONVOLUTIONS[rank](filters, filters, size, padding=size // 2)
        self.SELayer = block and GATES[block](filters, rank)
        self.dropout = DROPOUTS[rank](0.2)

    def convolved(self, x):
        return self.conv2(self.conv1(x).relu()).relu()


BLOCKS = {"quicknat": DenseBlock, "sdnet": SingleBlock, "unet": DoubleBlock}


class Classifier(nn.Module):
    def __init__(self, filters, classes, rank):
        super().__init__()
        self.conv = CONVOLUTIONS[rank](filters, classes, 1)

    def forward(self, x):
        return self.conv(x)


class AuthorsNetwork(nn.Module):
    """Four encoders, a bottleneck without gates and dropout, and four decoders."""

    def __init__(self, kind="quicknat", block=None, rank=2, size=3, channels=1, filters=4, classes=3, levels=4):
        super().__init__()
        self.rank, self.levels = rank, levels
        for level in range(1, levels + 1):
            seen = channels if level == 1 else filters
            self.add_module(f"encode{level}", BLOCKS[kind](seen, filters, rank, size, block))
        self.bottleneck = BLOCKS[kind](filters, filters, rank, size, block)
        for level in range(1, levels + 1):
            decoder = BLOCKS[kind](2 * filters, filters, rank, size, block)
            if kind == "unet":
                transposed = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[rank]
                decoder.upconv = transposed(filters, filters, 2, stride=2)
            self.add_module(f"decode{level}", decoder)
        self.classifier = Classifier(filters, classes, rank)

    def forward(self, x):
        kept = []
        for level in range(1, self.levels + 1):
            x = getattr(self, f"encode{level}")(x)
            pooled, indices = POOLS[self.rank](x, 2, return_indices=True)
            kept.append((x, indices))
            x = pooled
        x = self.bottleneck.convolved(x)
        for number in (self.levels, *range(1, self.levels)):
            decoder = getattr(self, f"decode{number}")
            skip, indices = kept.pop()
            up = decoder.upconv(x) if hasattr(decoder, "upconv") else UNPOOLS[self.rank](x, indices, 2)
            x = decoder(torch.cat([skip, up], 1))
        return self.classifier(x)


def trained(seed=0, **arguments):
    """Returns a network with random weights and statistics, in evaluation mode."""
    torch.manual_seed(seed)
    network = AuthorsNetwork(**arguments)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.uniform_(-0.3, 0.3)
        elif name.endswith("running_var"):
            tensor.uniform_(1e-4, 0.5)  # small ones show the epsilon
        elif name.endswith("prelu.weight"):
            tensor.uniform_(0.05, 0.5)
    return network.eval()

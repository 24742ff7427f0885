"""The authors' networks in PyTorch: what the shapes of their tensors tell, and which weight of ours each of them is.

The encoders are named `encode1` … `encode4`, the decoders `decode1` … `decode4`; see `DECODERS` for their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recalib_keras.core.errors import WeightsError
from recalib_keras.core.messages import listed

NAMES = {"DenseNet": "a QuickNAT", "SDNet": "an SD-Net", "UNet": "a U-Net"}
DROPOUT = 0.2  # the authors' rate, which a checkpoint does not hold
# The convolutions of a block and, with `norm` for `conv`, its normalizations: their names and our suffixes.
CONVOLUTIONS = {
    "DenseNet": {"1": "_1", "2": "_2", "3": "_gather"},
    "SDNet": {"": ""},
    "UNet": {"1": "_1", "2": "_2"},
}
LAST = {"DenseNet": "conv3", "SDNet": "conv", "UNet": "conv2"}
NORMALIZATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
# The layers of each block and the sub-layers of ours.
BLOCKS = {
    "cse": {"fc1": "reduce", "fc2": "expand"},
    "sse": {"conv": "squeeze"},
    "scse": {"cSE.fc1": "channel/reduce", "cSE.fc2": "channel/expand", "sSE.conv": "spatial/squeeze"},
    "pe": {"conv_c": "reduce", "conv_cT": "expand"},
}
STAGE = re.compile(r"(encode|decode)(\d+)\.")
# Tensors that the authors' networks have but never use.
UNUSED = re.compile(r"bottleneck\.SELayer\.|.*\.num_batches_tracked$")
# The number of a single convolution, which some versions of SD-Net write.
SINGLE = re.compile(r"\.(conv|batchnorm)1\.")
TRANSPOSED = ("upconv", "up", "upsample", "deconv", "conv_transpose")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one of the authors' networks, and what their names and shapes tell.

    Args:
        tensors: By their names.

    Raises:
        WeightsError: The names are not those of a QuickNAT, SD-Net or U-Net, or the shapes contradict each other.
    """

    tensors: Mapping[str, np.ndarray]

    def __post_init__(self):
        if self.architecture == "SDNet":
            object.__setattr__(self, "tensors", {SINGLE.sub(r".\1.", n): t for n, t in self.tensors.items()})
        _ = self.levels, self.block, self.kernel_size, self.filters

    @property
    def architecture(self) -> str:
        """Our network: `"DenseNet"` for a QuickNAT, `"SDNet"` or `"UNet"`."""
        found = {name.split(".")[1] for name in self.tensors if name.startswith("encode1.")}
        if "conv3" in found:
            return "DenseNet"
        if "conv2" in found:
            return "UNet"
        if found & {"conv", "conv1"}:
            return "SDNet"
        raise WeightsError(
            expected="the tensors of a QuickNAT, SD-Net or U-Net, such as encode1.conv1.weight",
            received=listed(self.tensors) or "none",
        )

    @property
    def levels(self) -> int:
        """Number of encoders, as many as there are decoders."""
        numbers = {"encode": set(), "decode": set()}
        for found in filter(None, map(STAGE.match, self.tensors)):
            numbers[found[1]].add(int(found[2]))
        count = len(numbers["encode"])
        if any(found != set(range(1, count + 1)) for found in numbers.values()):
            raise WeightsError(
                expected="as many decoders as encoders, numbered from 1",
                received=", ".join(f"{name}{n}" for name, found in numbers.items() for n in sorted(found)),
            )
        return count

    @property
    def block(self) -> str | None:
        """Name of the recalibration block, or None."""
        start = "SELayer."
        found = {name.partition(start)[2].rpartition(".")[0] for name in self._of_stages() if start in name}
        if not found:
            return None
        for block, parts in BLOCKS.items():
            if found == parts.keys():
                return block
        raise WeightsError(
            expected="recalibration blocks of one kind, with " + "; or ".join(map(listed, BLOCKS.values())),
            received=listed(sorted(found)),
        )

    @property
    def positions(self) -> tuple[str, ...]:
        """The stages with a block, by our names."""
        stages = {STAGE.match(name)[0] for name in self._of_stages() if "SELayer." in name}
        kinds = [kind for kind in ("encode", "decode") if sum(s.startswith(kind) for s in stages) == self.levels]
        if len(kinds) * self.levels != len(stages):
            raise WeightsError(
                expected="recalibration blocks in all encoders, in all decoders, or in all of both",
                received=listed(sorted(stage.rstrip(".") for stage in stages)),
            )
        return tuple(f"{kind}r" for kind in kinds)

    @property
    def first(self) -> np.ndarray:
        """Kernel of the first convolution, (filters, channels, *size)."""
        return self._tensor("encode1.conv.weight" if self.architecture == "SDNet" else "encode1.conv1.weight")

    @property
    def kernel_size(self) -> int:
        """Of the convolutions."""
        sizes = set(self.first.shape[2:])
        if self.first.ndim not in (4, 5) or len(sizes) != 1 or min(sizes) % 2 == 0:
            raise WeightsError(
                expected="2-D or 3-D kernels of one odd size along all axes, as the networks here have them",
                received=f"the shape {self.first.shape} of the first",
            )
        return sizes.pop()

    @property
    def filters(self) -> int | tuple[int, ...]:
        """Feature maps of all blocks, or of each encoder and the bottleneck where they differ."""
        last = LAST[self.architecture]
        stages = [*(f"encode{number}" for number in range(1, self.levels + 1)), "bottleneck"]
        # A missing tensor is named later, with all others that do not fit.
        found = tuple(len(self.tensors.get(f"{stage}.{last}.weight", self.first)) for stage in stages)
        return found[0] if len(set(found)) == 1 else found

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return len(self._tensor("classifier.conv.weight"))

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of our network, without `input_shape` and `num_classes`."""
        found: dict[str, Any] = {"levels": self.levels, "filters": self.filters, "kernel_size": self.kernel_size}
        if self.architecture != "UNet":
            found |= {"convention": "authors"}
        if self.block is not None:
            found |= {"recalibration": self.block, "positions": self.positions}
            found |= {"recalibration_args": self._block_arguments()}
        return {**found, "dropout": DROPOUT}

    def _block_arguments(self):
        stage = "encode1" if "encoder" in self.positions else "decode1"
        first = next(iter(BLOCKS[self.block]))
        has_bias = {"use_bias": f"{stage}.SELayer.{first}.bias" in self.tensors}
        if self.block == "sse":
            return has_bias
        hidden, channels = self._tensor(f"{stage}.SELayer.{first}.weight").shape[:2]
        # The blocks have `channels // reduction_ratio` hidden channels.
        whole = channels // hidden
        return {"reduction_ratio": whole if channels // whole == hidden else channels / hidden, **has_bias}

    def _of_stages(self):
        return [name for name in self.tensors if STAGE.match(name)]

    def _tensor(self, name):
        if name not in self.tensors:
            near = [other for other in self.tensors if other.split(".")[0] == name.split(".")[0]]
            raise WeightsError(expected=f"a tensor {name}", received=listed(near or self.tensors))
        return self.tensors[name]


def default_decoders(levels: int) -> tuple[int, ...]:
    """Returns the numbers of the decoders from the deepest to the shallowest, in which the authors' code runs them.

    Example:
        >>> default_decoders(4)
        (4, 1, 2, 3)
    """
    return (levels, *range(1, levels))


@dataclass(frozen=True)
class Match:
    """A weight of ours and the authors' tensor that it is.

    Args:
        ours: Path of the variable.
        theirs: Name of the tensor.
        skipped: How many of the tensor's first channels are the map of the skip connection. The authors put it before
            the map from below, which has as many channels; we put it behind. 0 for a tensor without such channels.
    """

    ours: str
    theirs: str
    skipped: int = 0

    def shape(self, ours: Sequence[int], spatial_rank: int) -> tuple[int, ...]:
        """Returns the shape that the tensor must have.

        Args:
            ours: Shape of the variable.
            spatial_rank: 2 or 3.
        """
        if self._part == "alpha":
            return (1,)
        if self._part != "kernel":
            return tuple(ours)
        *size, second, first = ours
        if "SELayer." in self.theirs and ".fc" not in self.theirs:  # a convolution there, a product of matrices here
            size = [1] * spatial_rank
        return (first, second, *size)

    def value(self, tensor: np.ndarray, ours: Sequence[int]) -> np.ndarray:
        """Returns the value of the variable.

        Args:
            tensor: The authors' tensor.
            ours: Shape of the variable.
        """
        is_kernel = self._part == "kernel"
        if is_kernel:
            tensor = np.transpose(tensor, (*range(2, tensor.ndim), 1, 0))
        if self.skipped:
            axis = -2 if is_kernel else 0
            order = np.r_[self.skipped : 2 * self.skipped, : self.skipped, 2 * self.skipped : tensor.shape[axis]]
            tensor = np.take(tensor, order, axis=axis)
        return np.reshape(tensor, ours)

    @property
    def _part(self):
        return self.ours.rpartition("/")[2]


def matches(checkpoint: Checkpoint, decoders: Sequence[int]) -> Iterator[Match]:
    """Yields what each weight of our network is called in a checkpoint.

    Args:
        checkpoint: The checkpoint.
        decoders: Numbers of the authors' decoders, from the deepest to the shallowest.
    """
    levels, filters = checkpoint.levels, checkpoint.filters
    widths = (filters,) * levels if isinstance(filters, int) else filters
    for level in range(1, levels + 1):
        yield from _of_stage(checkpoint, f"encode{level}", f"encoder_{level}")
    yield from _of_stage(checkpoint, "bottleneck", "bottleneck")
    for level, number in zip(range(levels, 0, -1), decoders, strict=True):
        yield from _of_stage(checkpoint, f"decode{number}", f"decoder_{level}", widths[level - 1])
    yield from _layer("classifier.conv", "classifier")


def _of_stage(checkpoint, theirs, ours, skipped=0):
    architecture = checkpoint.architecture
    for number, suffix in CONVOLUTIONS[architecture].items():
        # All inputs of a dense block, but only the first convolution of the others, see the map of the skip connection.
        seen = skipped if architecture == "DenseNet" or number in ("", "1") else 0
        yield Match(f"{ours}_conv{suffix}/kernel", f"{theirs}.conv{number}.weight", seen)
        yield Match(f"{ours}_conv{suffix}/bias", f"{theirs}.conv{number}.bias")
        if architecture != "UNet":
            seen = skipped if architecture == "DenseNet" else 0
            for one, other in NORMALIZATION.items():
                yield Match(f"{ours}_norm{suffix}/{other}", f"{theirs}.batchnorm{number}.{one}", seen)
    if architecture != "UNet":
        yield Match(f"{ours}_prelu/alpha", f"{theirs}.prelu.weight")
    elif skipped:
        found = [name for name in TRANSPOSED if f"{theirs}.{name}.weight" in checkpoint.tensors]
        yield from _layer(f"{theirs}.{(found or TRANSPOSED)[0]}", f"{ours}_up")
    if checkpoint.block is not None and ours.partition("_")[0] in checkpoint.positions:
        for name, part in BLOCKS[checkpoint.block].items():
            has_bias = checkpoint.arguments()["recalibration_args"]["use_bias"]
            yield from _layer(f"{theirs}.SELayer.{name}", f"{ours}_recalibration/{part}", has_bias)


def _layer(theirs, ours, has_bias=True):
    yield Match(f"{ours}/kernel", f"{theirs}.weight")
    if has_bias:
        yield Match(f"{ours}/bias", f"{theirs}.bias")


def translated(checkpoint: Checkpoint, model: Any, decoders: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns the values of all weights of our network, by their paths.

    Args:
        checkpoint: The checkpoint.
        model: Our network, built for it.
        decoders: See `matches`.

    Raises:
        WeightsError: Tensors are missing, surplus or of another shape; all of them are named.
    """
    tensors, rank = checkpoint.tensors, model.architecture.spatial_rank
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    pairs = list(matches(checkpoint, decoders))
    expected = {pair.theirs: pair.shape(shapes[pair.ours], rank) for pair in pairs}
    problems = [
        *(f"{name} is missing" for name in expected if name not in tensors),
        *(
            f"{name} has the shape {tensors[name].shape}, not {shape}"
            for name, shape in expected.items()
            if name in tensors and tensors[name].shape != shape
        ),
        *(f"{name} is surplus" for name in tensors if name not in expected and not UNUSED.match(name)),
    ]
    if problems:
        raise WeightsError(expected=f"the tensors of {NAMES[checkpoint.architecture]}", received="; ".join(problems))
    return {pair.ours: pair.value(tensors[pair.theirs], shapes[pair.ours]) for pair in pairs}

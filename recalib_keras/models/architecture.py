"""What makes an architecture valid: the arguments of a network, their defaults, and the rules between them.

Everything that needs these rules takes them from here: the networks, presets, and the search over recipes. Keras is
imported only where a block's class is needed, so that descriptions can be read and checked without it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recalib_keras.core.messages import did_you_mean
from recalib_keras.models.sizes import (
    MOST_FILTERS,
    MOST_LEVELS,
    MOST_PATCH_SIZE,
    as_tuples,
    check_integer,
    check_kernel_size,
    check_pool_sizes,
    check_size,
    is_by_level,
)

NORMALIZATIONS = ("none", "batch", "group", "instance")
UPSAMPLINGS = ("transpose", "unpool", "nearest", "linear")
SKIPS = ("recalibrated", "raw")
ACTIVATIONS = ("softmax", "sigmoid", None)
# How a block is computed: as the papers write, or as the authors' published code does.
CONVENTIONS = ("paper", "authors")
# Names of the blocks, and of their classes in `recalib_keras.layers`.
BLOCKS = {
    "cse": "ChannelSE",
    "sse": "SpatialSE",
    "scse": "ChannelSpatialSE",
    "pe": "ProjectExcite",
    "segse": "SegSE",
    "cbam": "CBAM",
}
# Roy et al., TMI 2019, section II-D.
POSITIONS = {
    "P1": ("encoder",),
    "P2": ("decoder",),
    "P3": ("bottleneck",),
    "P4": ("classifier",),
    "P5": ("encoder", "decoder"),
    "P6": ("encoder", "decoder", "bottleneck", "classifier"),
}
"""The kinds of stages that have a block at each position of Roy et al., IEEE TMI 2019."""
SINGLE_STAGE = re.compile(r"(encoder|decoder)_([1-9]\d*)")
DEFAULT_FILTERS = {2: 64, 3: 32}  # by the number of spatial axes
VOLUMETRIC_KERNEL_SIZE = 3
# Names of arguments in earlier versions, which saved networks, presets and recipes still have.
FORMER_NAMES = {"stem": "patch_size"}


@dataclass(frozen=True)
class Architecture:
    """The arguments of a network, complete and checked. See `recalib_keras.models.EncoderDecoder` for each of them.

    Args:
        input_shape: `(height, width, channels)` or `(depth, height, width, channels)`.
        num_classes: Number of classes, including the background; with a sigmoid, number of structures.
        levels: Number of encoders and of decoders.
        filters: Feature maps of every block, or of each from the first encoder to the bottleneck.
        kernel_size: Of the blocks' convolutions: one size, one for each axis, or one or several for each level and the
            bottleneck; None for the network's own.
        normalization: One of `NORMALIZATIONS`; None for the network's own.
        upsampling: One of `UPSAMPLINGS`; None for the network's own.
        dropout: Rate from 0 to below 1.
        recalibration: Name of a block, a layer class, or None.
        recalibration_args: Arguments of the block.
        positions: Where the blocks are; `"P1"` … `"P6"` become the names of their places.
        skip: One of `SKIPS`.
        patch_size: Side of the patches of voxels that the first encoder sees as one voxel.
        head_filters: Feature maps of a hidden convolution before the classifier; 0 for none.
        classifier_activation: One of `ACTIVATIONS`; None for logits.
        pool_sizes: For each level the factor of its pooling along each axis, 1 or 2; None for 2 everywhere.
        data_format: `"channels_last"`.
        convention: One of `CONVENTIONS`.

    Raises:
        ValueError: For an argument outside its choices or its range, and for a size that the levels do not divide.
    """

    input_shape: Sequence[int | None]
    num_classes: int
    levels: int = 4
    filters: int | Sequence[int] | None = None
    kernel_size: int | Sequence[int | Sequence[int]] | None = None
    normalization: str | None = None
    upsampling: str | None = None
    dropout: float = 0.0
    recalibration: str | type | None = None
    recalibration_args: Mapping[str, Any] | None = None
    positions: str | Sequence[str] = POSITIONS["P5"]
    skip: str = "recalibrated"
    patch_size: int = 1
    head_filters: int = 0
    classifier_activation: str | None = "softmax"
    pool_sizes: Sequence[int | Sequence[int]] | None = None
    data_format: str = "channels_last"
    convention: str = "paper"

    def __post_init__(self):
        self._set(input_shape=tuple(self.input_shape))
        check_input_shape(self.input_shape)
        filters = DEFAULT_FILTERS[self.spatial_rank] if self.filters is None else self.filters
        self._set(
            filters=filters if isinstance(filters, int) else tuple(filters),
            recalibration_args=dict(self.recalibration_args or {}),
            positions=resolve_positions(self.positions),
            kernel_size=as_tuples(self.kernel_size),
            pool_sizes=as_tuples(self.pool_sizes),
        )
        self._check_choices()
        check_levels(self.levels)
        check_filters(self.filters, self.levels)
        check_positions(self.positions, self.levels)
        check_kernel_size(self.kernel_size, self.levels, self.spatial_rank)
        check_pool_sizes(self.pool_sizes, self.levels, self.spatial_rank)
        check_integer("num_classes", self.num_classes, 1)
        check_integer("patch_size", self.patch_size, 1, MOST_PATCH_SIZE)
        check_integer("head_filters", self.head_filters, 0, MOST_FILTERS)
        check_dropout(self.dropout)
        if self.num_classes == 1 and self.classifier_activation == "softmax":
            self._set(classifier_activation="sigmoid")  # the softmax of one logit beside the background's, which is 0
        check_size(self.input_shape[:-1], self.levels, self.patch_size, self.pool_sizes)

    def _set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_choices(self):
        for name, choices in (
            ("normalization", (*NORMALIZATIONS, None)),
            ("upsampling", (*UPSAMPLINGS, None)),
            ("skip", SKIPS),
            ("classifier_activation", ACTIVATIONS),
            ("convention", CONVENTIONS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"expected `{name}` to be one of {choices}, got {getattr(self, name)!r}")
        if self.data_format != "channels_last":
            raise ValueError(
                f"expected `data_format` to be 'channels_last', since TensorFlow convolves nothing else on a CPU, got "
                f"{self.data_format!r}; move the channels of your arrays to the end: numpy.moveaxis(images, 1, -1)"
            )
        block_class(self.recalibration)

    def completed(self, planar_kernel_size: int, normalization: str, upsampling: str) -> Architecture:
        """Returns the architecture with a network's own values where an argument is None.

        Args:
            planar_kernel_size: For a 2-D network; a 3-D one has kernels of size 3.
            normalization: One of `NORMALIZATIONS`.
            upsampling: One of `UPSAMPLINGS`.
        """
        own_size = VOLUMETRIC_KERNEL_SIZE if self.spatial_rank == 3 else planar_kernel_size
        return dataclasses.replace(
            self,
            kernel_size=self.kernel_size or own_size,
            normalization=self.normalization or normalization,
            upsampling=self.upsampling or upsampling,
        )

    @property
    def spatial_rank(self) -> int:
        """The number of spatial axes, 2 or 3."""
        return len(self.input_shape) - 1

    @property
    def widths(self) -> tuple[int, ...]:
        """The feature maps of each encoder from the first on, then those of the bottleneck."""
        return widths(self.filters, self.levels)

    def pool_size_at(self, level: int) -> int | tuple[int, ...]:
        """Returns the factor by which a level pools all axes, or those of each axis.

        Args:
            level: From 1.
        """
        pool_sizes: Any = self.pool_sizes
        return 2 if pool_sizes is None else pool_sizes[level - 1]

    def kernel_size_at(self, level: int) -> int | tuple[int, ...]:
        """Returns the kernel size of a level's blocks along all axes, or along each axis.

        Args:
            level: From 1; that of the bottleneck follows the last one.
        """
        kernel_size: Any = self.kernel_size
        return kernel_size[level - 1] if is_by_level(kernel_size) else kernel_size

    def block_at(self, position: str, stage: str) -> type | None:
        """Returns the class of the block at a stage such as `"encoder_1"`, or None.

        Args:
            position: What kind of stage it is, such as `"encoder"`.
            stage: Its name.
        """
        return block_class(self.recalibration) if {position, stage}.intersection(self.positions) else None

    def config(self) -> dict[str, Any]:
        """Returns the arguments by their names, as a saved network keeps them."""
        config = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if inspect.isclass(self.recalibration):
            import keras

            config["recalibration"] = keras.saving.get_registered_name(self.recalibration)
        return config


# What a preset or a recipe may say of a network; it is built with the other two.
ARGUMENTS = tuple(
    field.name for field in dataclasses.fields(Architecture) if field.name not in ("input_shape", "num_classes")
)


def with_current_names(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of a network with the names of this version instead of those of earlier ones.

    Example:
        >>> with_current_names({"levels": 3, "stem": 2})
        {'levels': 3, 'patch_size': 2}
    """
    renamed = {former: name for former, name in FORMER_NAMES.items() if name not in arguments}
    return {renamed.get(name, name): value for name, value in arguments.items()}


def block_class(recalibration: str | type | None) -> type | None:
    """Returns the layer class of a block.

    Args:
        recalibration: A name in `BLOCKS`, the name under which a class is registered with Keras, a class, or None.

    Raises:
        ValueError: For an unknown name.
    """
    if recalibration is None or inspect.isclass(recalibration):
        return recalibration
    import keras

    from recalib_keras import layers

    if recalibration in BLOCKS:
        return getattr(layers, BLOCKS[recalibration])
    found = keras.saving.get_registered_object(recalibration)
    if not inspect.isclass(found):  # while a model is loaded, it may still find a placeholder for a block of ours
        found = keras.saving.get_custom_objects().get(recalibration)
    if found is None:
        hint = did_you_mean(recalibration, BLOCKS)
        raise ValueError(
            f"expected `recalibration` to be None, a layer class, or one of {', '.join(BLOCKS)}, got {recalibration!r}"
            + (f"; {hint}" if hint else "")
        )
    return found


@functools.cache
def block_arguments(block: type) -> Mapping[str, Any]:
    """Returns the arguments of a block's class with their defaults, including those that it passes to its bases.

    `dtype` and `name`, which the network gives to its blocks, are left out.
    """
    found = {}
    bases: Sequence[Any] = block.__mro__
    for base in bases:
        parameters = inspect.signature(base.__init__).parameters.values()
        for one in parameters:
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                found.setdefault(one.name, one.default)
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return {name: default for name, default in found.items() if name not in ("self", "dtype", "name")}


def resolve_positions(positions: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the places of the blocks by name.

    Args:
        positions: `"P1"` … `"P6"`, a kind of stage such as `"encoder"`, a single stage such as `"encoder_1"`, or a
            sequence of kinds and stages.

    Raises:
        ValueError: For an unknown name.
    """
    resolved = POSITIONS.get(positions, (positions,)) if isinstance(positions, str) else tuple(positions)
    for place in resolved:
        if place not in POSITIONS["P6"] and not SINGLE_STAGE.fullmatch(str(place)):
            raise ValueError(
                f"expected `positions` to be one of {', '.join(POSITIONS)}, or any of {', '.join(POSITIONS['P6'])} and "
                f"single stages such as encoder_1, got {place!r}"
            )
    return resolved


def check_positions(positions: Sequence[str], levels: int) -> None:
    """Checks that a network has the single stages among the places of its blocks.

    Raises:
        ValueError: For a stage beyond the levels.
    """
    for place in positions:
        stage = SINGLE_STAGE.fullmatch(place)
        if stage and int(stage[2]) > levels:
            raise ValueError(
                f"expected single stages in `positions` up to '{stage[1]}_{levels}', since there are {levels} levels, "
                f"got {place!r}"
            )


def widths(filters: int | Sequence[int], levels: int) -> tuple[int, ...]:
    """Returns the feature maps of each encoder from the first on, then those of the bottleneck."""
    return (filters,) * (levels + 1) if isinstance(filters, int) else tuple(filters)


def smallest_width(positions: Sequence[str], widths: Sequence[int], num_classes: int) -> int:
    """Returns the smallest number of channels that a block of a network sees; its bottleneck's without any block.

    Args:
        positions: As `resolve_positions` returns them.
        widths: As `widths` returns them.
        num_classes: Number of classes, the channels after the classifier.
    """
    *outer, bottleneck = widths
    seen = {"encoder": outer, "decoder": outer, "bottleneck": [bottleneck], "classifier": [num_classes]}
    for part in ("encoder", "decoder"):
        seen |= {f"{part}_{level}": [width] for level, width in enumerate(outer, start=1)}
    return min((width for place in positions for width in seen.get(place, ())), default=bottleneck)


def check_input_shape(input_shape: Sequence[int | None]) -> None:
    """Checks that a network can have an input of this shape.

    Raises:
        ValueError: For another rank than 2 or 3, and for an unknown number of channels.
    """
    if len(input_shape) not in (3, 4):
        raise ValueError(
            "expected `input_shape` to be (height, width, channels) or (depth, height, width, channels), got "
            f"{tuple(input_shape)}"
        )
    if input_shape[-1] is None:
        raise ValueError(f"expected `input_shape` to end with the number of channels, got {tuple(input_shape)}")


def check_filters(filters: int | Sequence[int], levels: int) -> None:
    """Checks that there are as many numbers of filters as blocks, each from 1 to 8192.

    Raises:
        ValueError: If there are more or fewer, or one lies outside.
    """
    if not isinstance(filters, int) and len(filters) != levels + 1:
        raise ValueError(
            f"expected `filters` to be one integer or {levels + 1}, one for each of {levels} levels and one for the "
            f"bottleneck, got {tuple(filters)}"
        )
    for one in (filters,) if isinstance(filters, int) else filters:
        check_integer("filters", one, 1, MOST_FILTERS)


def check_levels(levels: object) -> None:
    """Checks the number of levels.

    Raises:
        ValueError: If it is not an integer from 1 to 16.
    """
    check_integer("levels", levels, 1, MOST_LEVELS)


def check_dropout(rate: object) -> None:
    """Checks a rate of dropout.

    Raises:
        ValueError: If it is not a number from 0 to below 1.
    """
    if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 <= rate < 1:
        raise ValueError(f"expected `dropout` to be a number from 0 to below 1, got {rate!r}")


def check_reduction_ratio(block: type, arguments: Mapping[str, Any], channels: int) -> None:
    """Checks that a block leaves a hidden channel where it sees `channels` of them.

    Args:
        block: Its class.
        arguments: Its arguments; defaults are the class's own.
        channels: The smallest number of channels that it sees.

    Raises:
        ValueError: If its reduction ratio is above the number of channels.
    """
    from recalib_keras.layers.recalibration import reduced_channels

    values = {**block_arguments(block), **arguments}
    if "reduction_ratio" in values:
        reduced_channels(channels * (values.get("expansion_factor") or 1), values["reduction_ratio"], block.__name__)


def check_classifier_channels(channels: int, num_classes: int) -> None:
    """Checks that a block after the classifier keeps a channel for each class.

    Args:
        channels: Number of channels after the block.
        num_classes: Number of classes.

    Raises:
        ValueError: If there are more or fewer channels than classes.
    """
    if channels != num_classes:
        raise ValueError(
            f"expected the block after the classifier to keep its {num_classes} channels, got {channels}; leave "
            "'classifier' out of `positions`, or choose another aggregation"
        )

"""What network a preset holds, and what that network expects to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from recalib_keras.core.checks import Range, check_range, check_ranges, check_text, numbers_in, repeated, shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.intensities import ct_range
from recalib_keras.core.messages import counted, did_you_mean, listed
from recalib_keras.core.records import check_keys
from recalib_keras.models import architecture
from recalib_keras.zoo.labels import Label

NETWORKS = ("UNet", "SDNet", "DenseNet")
SIDES = ("LR", "PA", "IS")
# The keys of `recalib_keras.volumes.METHODS`, here so that descriptions can be read without the libraries for scans.
NORMALIZATIONS = ("zscore", "percentile", "minmax", "ct", "none")
LARGEST_WINDOW = 4096
SPACING_RANGE = (0.01, 30.0)  # mm
MOST_CONTEXT = 32
LARGEST_ARGUMENT = 1_000_000
LONGEST_ARGUMENT = 1000  # characters
ARGUMENTS = "network.arguments"


@dataclass(frozen=True)
class Input:
    """What the network expects to see.

    Args:
        window: Three sizes in voxels along the axes of `orientation`; a size of 1 is the axis that a 2-D network
            slices along.
        orientation: Three letters, such as `"RAS"`.
        spacing: Three voxel sizes in mm, or None to take each scan as it is.
        normalization: Name of one of `recalib_keras.volumes.METHODS`, or `"ct:-160:240"` for a range of Hounsfield
            units; or several, one for each of the channels.
        context: How many slices on either side of its own a 2-D network sees, as further channels (Henschel et al.,
            "FastSurfer", NeuroImage 2020).
        channels: Names of the channels that the network sees, in their order, such as `("FLAIR", "T1w")`: the
            modalities of a scan that has several. None for scans of one channel.

    Raises:
        RecordError: A value is outside its range.
    """

    window: Annotated[tuple[int, int, int], Range(1, LARGEST_WINDOW)]
    orientation: str = "RAS"
    spacing: Annotated[tuple[float, float, float] | None, Range(*SPACING_RANGE)] = None
    normalization: str | tuple[str, ...] = "zscore"
    context: Annotated[int, Range(0, MOST_CONTEXT)] = 0
    channels: tuple[str, ...] | None = None

    def __post_init__(self):
        check_ranges(self)
        if sum(size == 1 for size in self.window) > 1:
            raise RecordError(
                expected="window of three sizes, one of them 1 for a 2-D network",
                received=shown(self.window),
            )
        if sorted("".join(pair for pair in SIDES if letter in pair) for letter in self.orientation) != sorted(SIDES):
            raise RecordError(
                expected="orientation of three letters, one each of L or R, P or A and I or S, such as 'RAS'",
                received=shown(self.orientation),
            )
        self._check_channels()
        if self.context and self.slice_axis is None:
            raise RecordError(
                expected="`context` to be 0 for a 3-D window",
                received=f"{shown(self.context)} with the window {self.window}",
            )

    def _check_channels(self):
        for name in self.channels or ():
            check_text(name, "the name of a channel")
        if self.channels is not None and (not self.channels or repeated(self.channels) is not None):
            raise RecordError(
                expected="`channels` to be names that differ, at least one", received=shown(self.channels)
            )
        if not isinstance(self.normalization, str) and len(self.normalization) != self.num_channels:
            raise RecordError(
                expected=f"normalization to be one name, or one for each of {counted(self.num_channels, 'channel')}",
                received=shown(self.normalization),
            )
        for name in self.normalizations:
            if name not in NORMALIZATIONS and ct_range(name) is None:
                hint = did_you_mean(name, NORMALIZATIONS) or None
                if name.startswith("ct:"):
                    hint = "name a range of whole Hounsfield units, the smaller first, such as 'ct:-160:240'"
                known = ", ".join(map(repr, NORMALIZATIONS))
                raise RecordError(expected=f"normalization to be one of {known}", received=shown(name), remedy=hint)

    @property
    def num_channels(self) -> int:
        """How many channels of a scan the network sees."""
        return 1 if self.channels is None else len(self.channels)

    @property
    def normalizations(self) -> tuple[str, ...]:
        """The normalisation of each channel."""
        return (self.normalization,) * self.num_channels if isinstance(self.normalization, str) else self.normalization

    @property
    def slice_axis(self) -> int | None:
        """The axis a 2-D network slices along, or None for a 3-D network."""
        return self.window.index(1) if 1 in self.window else None

    @property
    def lateral_axis(self) -> int:
        """The axis from left to right, or from right to left."""
        return next(axis for axis, letter in enumerate(self.orientation) if letter in SIDES[0])

    @property
    def shows_sides(self) -> bool:
        """Whether left and right differ in what the network sees: not in a single sagittal slice."""
        return self.slice_axis != self.lateral_axis or self.context > 0

    @property
    def depth(self) -> int:
        """How many slices a 2-D network sees at a time; 1 for a 3-D network."""
        return 1 + 2 * self.context

    @property
    def margin(self) -> tuple[int, ...]:
        """How far the network sees beyond its window on either side, three sizes in voxels."""
        return tuple(self.context if axis == self.slice_axis else 0 for axis in range(len(self.window)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The network's input shape, `(*spatial, channels)`: all slices of the first channel, then of the next one."""
        return (*(size for size in self.window if size != 1), self.num_channels * self.depth)

    def with_channels(self, count: int) -> Input:
        """Returns the description of the same network for images of another number of channels.

        They are numbered, and all normalised as the first one was.

        Args:
            count: Their number, at least 1.
        """
        if count == self.num_channels:
            return self
        names = None if count == 1 else tuple(f"channel {number}" for number in range(1, count + 1))
        return replace(self, channels=names, normalization=self.normalizations[0])

    def resized(self, sizes: Sequence[int]) -> Input:
        """Returns the description of the same network for another window.

        Args:
            sizes: The spatial sizes of its input: three of a 3-D network, two of a 2-D one.

        Raises:
            ValueError: There are more or fewer.
            RecordError: A size is outside its range.
        """
        axes = [axis for axis in range(len(self.window)) if axis != self.slice_axis]
        if len(sizes) != len(axes):
            raise ValueError(f"expected {len(axes)} spatial sizes, as of the window {self.window}, got {tuple(sizes)}")
        new = dict(zip(axes, map(int, sizes)))
        x, y, z = (new.get(axis, 1) for axis in range(3))
        return replace(self, window=(x, y, z))


# What the descriptions of networks that look at one image must have in common.
COMMON = ("orientation", "spacing", "normalization", "channels")


def check_same_preprocessing(first: Input, other: Input) -> None:
    """Checks that two networks can look at one image.

    Args:
        first: What one of them expects to see.
        other: What the other one expects.

    Raises:
        ValueError: They expect another orientation, spacing or normalisation.
    """
    for name in COMMON:
        if getattr(first, name) != getattr(other, name):
            raise ValueError(
                f"expected members with the same {name}, got {getattr(first, name)!r} and {getattr(other, name)!r}; "
                "average networks that were trained on scans preprocessed alike"
            )


@dataclass(frozen=True)
class Network:
    """A network from `recalib_keras.models`.

    Args:
        architecture: `"UNet"`, `"SDNet"` or `"DenseNet"`.
        arguments: Of the network, without `input_shape`, `num_classes`, `dtype` and `name`. Former names of arguments
            are replaced by today's.

    Raises:
        RecordError: The architecture is unknown, or a number among the arguments is absurd.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.architecture not in NETWORKS:
            raise RecordError(
                expected=f"architecture to be one of {', '.join(NETWORKS)}", received=shown(self.architecture)
            )
        object.__setattr__(self, "arguments", architecture.with_current_names(self.arguments))
        for key, value in self.arguments.items():
            if len(repr(value)) > LONGEST_ARGUMENT:
                raise RecordError(expected=f"`arguments: {key}` to be short", received=shown(value))
            for number in numbers_in(value):
                check_range(number, f"`arguments: {key}`", -LARGEST_ARGUMENT, LARGEST_ARGUMENT)

    @property
    def has_sigmoid(self) -> bool:
        """Whether each structure has a probability of its own, instead of a share among all classes."""
        return self.arguments.get("classifier_activation", "softmax") == "sigmoid"

    def activated(self, classifier_activation: str | None) -> Network:
        """Returns the network with another activation of the classifier.

        Args:
            classifier_activation: See `recalib_keras.models.EncoderDecoder`.
        """
        return replace(self, arguments={**self.arguments, "classifier_activation": classifier_activation})

    def num_classes(self, labels: Sequence[Label]) -> int:
        """Returns the number of classes that the network has for labels: with a sigmoid, none for the background.

        Args:
            labels: The background and the structures.

        Raises:
            RecordError: A label includes others, which needs a sigmoid.
        """
        regions = [label.name for label in labels if label.includes]
        if regions and not self.has_sigmoid:
            raise RecordError(
                expected=f"`classifier_activation` 'sigmoid' for labels that include others ({listed(regions)})",
                received=shown(self.arguments.get("classifier_activation", "softmax")),
                remedy='set classifier_activation = "sigmoid" among the arguments of [network]',
            )
        return len(labels) - self.has_sigmoid

    def check(self) -> None:
        """Checks the names of the arguments, and of those in `recalibration_args`, without building anything.

        Raises:
            RecordError: The network, or its block, has no such argument; the nearest is named.
        """
        check_keys(self.arguments, architecture.ARGUMENTS, ARGUMENTS)
        block, settings = self.arguments.get("recalibration"), self.arguments.get("recalibration_args")
        if str(block) in architecture.BLOCKS and isinstance(settings, dict):
            known = architecture.block_arguments(architecture.block_class(block))
            check_keys(settings, known, f"{ARGUMENTS}.recalibration_args")

    def check_values(self, input: Input) -> None:
        """Checks the values of the arguments, all but those of the block, without Keras and without building anything.

        Args:
            input: What the network sees. Whether its levels divide the window is seen where it is built.

        Raises:
            RecordError: The network has no such argument, or refuses its value.
        """
        check_keys(self.arguments, architecture.ARGUMENTS, ARGUMENTS)
        others = {key: value for key, value in self.arguments.items() if not key.startswith("recalibration")}
        shape = (*(None for _ in input.shape[:-1]), input.shape[-1])
        try:
            architecture.Architecture(shape, 2, **others)
            block = self.arguments.get("recalibration")
            if block is not None and str(block) not in architecture.BLOCKS and ">" not in str(block):
                architecture.block_class(block)  # raises; a block of one's own is "package>Name" and may come later
        except ValueError as error:
            raise RecordError(f"{ARGUMENTS}: {error}") from None
        except TypeError as error:
            raise RecordError(
                part=ARGUMENTS, expected="values of the types that the network takes", received=f"others ({error})"
            ) from None

    def build(self, input_shape: tuple[int | None, ...], num_classes: int, dtype: Any = None) -> Any:
        """Returns the network, a `keras.Model` built from code, with fresh weights.

        Args:
            input_shape: `(*spatial, channels)`; spatial sizes may be None.
            num_classes: The background included.
            dtype: dtype policy, such as `"mixed_bfloat16"`; None for Keras's global one.

        Raises:
            RecordError: See `check`; also an argument of another type than the network takes.
            ValueError: The network refuses a value.
        """
        from recalib_keras import models  # here, so that descriptions can be read without Keras

        self.check()
        try:
            return getattr(models, self.architecture)(input_shape, num_classes, dtype=dtype, **self.arguments)
        except TypeError as error:
            raise RecordError(
                expected=f"arguments that fit {self.architecture}", received=f"network.arguments that do not ({error})"
            ) from None

"""What network a preset holds, and what that network expects to see."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from recalib_keras.core.checks import Range, check_range, check_ranges, numbers_in, shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.records import check_keys
from recalib_keras.models import architecture

NETWORKS = ("UNet", "SDNet", "DenseNet")
SIDES = ("LR", "PA", "IS")
# The keys of `recalib_keras.volumes.METHODS`, here so that descriptions can be read without the libraries for scans.
NORMALIZATIONS = ("zscore", "percentile", "ct", "none")
LARGEST_WINDOW = 4096
SPACING_RANGE = (0.01, 30.0)  # mm
MOST_CONTEXT = 32
LARGEST_ARGUMENT = 1_000_000


@dataclass(frozen=True)
class Input:
    """What the network expects to see.

    Args:
        window: Three sizes in voxels along the axes of `orientation`; a size of 1 is the axis that a 2-D network
            slices along.
        orientation: Three letters, such as `"RAS"`.
        spacing: Three voxel sizes in mm, or None to take each scan as it is.
        normalization: Name of one of `recalib_keras.volumes.METHODS`.
        context: How many slices on either side of its own a 2-D network sees, as further channels (Henschel et al.,
            "FastSurfer", NeuroImage 2020).

    Raises:
        RecordError: A value is outside its range.
    """

    window: Annotated[tuple[int, int, int], Range(1, LARGEST_WINDOW)]
    orientation: str = "RAS"
    spacing: Annotated[tuple[float, float, float] | None, Range(*SPACING_RANGE)] = None
    normalization: str = "zscore"
    context: Annotated[int, Range(0, MOST_CONTEXT)] = 0

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
        if self.normalization not in NORMALIZATIONS:
            hint = did_you_mean(self.normalization, NORMALIZATIONS) or None
            known = ", ".join(map(repr, NORMALIZATIONS))
            raise RecordError(expected=f"normalization to be one of {known}", received=shown(self.normalization),
                              remedy=hint)  # fmt: skip
        if self.context and self.slice_axis is None:
            raise RecordError(
                expected="`context` to be 0 for a 3-D window",
                received=f"{shown(self.context)} with the window {self.window}",
            )

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
        """How many slices a 2-D network sees at a time; 1 for a 3-D network, which has one channel."""
        return 1 + 2 * self.context

    @property
    def margin(self) -> tuple[int, ...]:
        """How far the network sees beyond its window on either side, three sizes in voxels."""
        return tuple(self.context if axis == self.slice_axis else 0 for axis in range(len(self.window)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The network's input shape, `(*spatial, channels)`."""
        return (*(size for size in self.window if size != 1), self.depth)

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
        return dataclasses.replace(self, window=(x, y, z))


# What the descriptions of networks that look at one image must have in common.
COMMON = ("orientation", "spacing", "normalization")


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
            for number in numbers_in(value):
                check_range(number, f"`arguments: {key}`", -LARGEST_ARGUMENT, LARGEST_ARGUMENT)

    def check(self) -> None:
        """Checks the names of the arguments, and of those in `recalibration_args`, without building anything.

        Raises:
            RecordError: The network, or its block, has no such argument; the nearest is named.
        """
        check_keys(self.arguments, architecture.ARGUMENTS, "network.arguments")
        block, settings = self.arguments.get("recalibration"), self.arguments.get("recalibration_args")
        if str(block) in architecture.BLOCKS and isinstance(settings, dict):
            known = architecture.block_arguments(architecture.block_class(block))
            check_keys(settings, known, "network.arguments.recalibration_args")

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

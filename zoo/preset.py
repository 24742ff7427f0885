"""What a preset is: a network by name, and a description of each of its weight sets."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import check_keys, from_mapping, read_mapping, to_mapping
from recalib_keras.zoo.labels import Label, check_labels

NETWORKS = ("UNet", "SDNet", "DenseNet")
FILE_NAME = "preset.json"
SIDES = ("LR", "PA", "IS")
# What no description says: a network is built with it, and gives it to its blocks.
GIVEN = ("self", "input_shape", "num_classes", "dtype", "name")


@dataclass(frozen=True)
class Input:
    """What the network expects to see.

    Args:
        window: three sizes in voxels along the axes of `orientation`; a size of 1 is the axis that a 2-D network
            slices along.
        orientation: three letters, such as `"RAS"`.
        spacing: three voxel sizes in mm, or None to take each scan as it is.
        normalization: name of one of `recalib_keras.volumes.METHODS`.
        context: how many slices on either side of its own a 2-D network sees, as further channels (Henschel et al.,
            "FastSurfer", NeuroImage 2020).
    """

    window: tuple[int, int, int]
    orientation: str = "RAS"
    spacing: tuple[float, float, float] | None = None
    normalization: str = "zscore"
    context: int = 0

    def __post_init__(self):
        if min(self.window) < 1 or sum(size == 1 for size in self.window) > 1:
            raise RecordError(f"window must be three sizes, one of them 1 for a 2-D network, not {self.window}")
        if sorted("".join(pair for pair in SIDES if letter in pair) for letter in self.orientation) != sorted(SIDES):
            raise RecordError(
                "orientation must be three letters, one each of L or R, P or A and I or S, such as 'RAS', "
                f"not {self.orientation!r}"
            )
        if self.context < 0 or (self.context and self.slice_axis is None):
            raise RecordError(
                f"context must be a number of slices from 0 on, and 0 for the 3-D window {self.window}, "
                f"not {self.context}"
            )

    @property
    def slice_axis(self):
        """The axis a 2-D network slices along, or None for a 3-D network."""
        return self.window.index(1) if 1 in self.window else None

    @property
    def lateral_axis(self):
        """The axis from left to right, or from right to left."""
        return next(axis for axis, letter in enumerate(self.orientation) if letter in SIDES[0])

    @property
    def shows_sides(self):
        """Whether left and right differ in what the network sees: not in a single sagittal slice."""
        return self.slice_axis != self.lateral_axis or self.context > 0

    @property
    def depth(self):
        """How many slices a 2-D network sees at a time; 1 for a 3-D network, which has one channel."""
        return 1 + 2 * self.context

    @property
    def margin(self):
        """How far the network sees beyond its window on either side, three sizes in voxels."""
        return tuple(self.context if axis == self.slice_axis else 0 for axis in range(len(self.window)))

    @property
    def shape(self):
        """The network's input shape, `(*spatial, channels)`."""
        return (*(size for size in self.window if size != 1), self.depth)


@dataclass(frozen=True)
class Network:
    """A network from `recalib_keras.models`.

    Args:
        architecture: `"UNet"`, `"SDNet"` or `"DenseNet"`.
        arguments: of the network, without `input_shape`, `num_classes`, `dtype` and `name`.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.architecture not in NETWORKS:
            raise RecordError(f"architecture must be one of {', '.join(NETWORKS)}, not {self.architecture!r}")

    def check(self) -> None:
        """Checks the names of the arguments, and of those in `recalibration_args`, without building anything.

        Raises:
            RecordError: if the network, or its block, knows no such argument; the nearest is named.
        """
        from recalib_keras import models  # here, so that descriptions can be read without Keras

        check_keys(self.arguments, _arguments_of(getattr(models, self.architecture)), "network.arguments")
        block = models.RECALIBRATIONS.get(str(self.arguments.get("recalibration")))
        settings = self.arguments.get("recalibration_args")
        if block is not None and isinstance(settings, dict):
            check_keys(settings, _arguments_of(block), "network.arguments.recalibration_args")

    def build(self, input_shape, num_classes, dtype=None):
        """Returns the network, built from code, with fresh weights.

        Raises:
            RecordError: as `check`, and for an argument of another type than the network takes.
        """
        from recalib_keras import models

        self.check()
        try:
            return getattr(models, self.architecture)(input_shape, num_classes, dtype=dtype, **self.arguments)
        except TypeError as error:
            raise RecordError(f"the network's arguments do not fit {self.architecture}: {error}") from None


@dataclass(frozen=True)
class ReferenceRange:
    """What the network's own segmentations of the scans that training held out were like.

    A scan whose segmentation differs is unlike those the network was trained on: see
    `recalib_keras.inference.quality_warnings`.

    Args:
        entropy: the largest mean entropy of a scan's structures, from 0 (sure) to 1 (no idea), as
            `recalib_keras.inference.Uncertainty` has it.
        volume_ml: the smallest and the largest volume of all structures of a scan together, in ml.
        at_edge: the largest share, from 0 to 1, of the structures' surface that lay on the edge of a scan.
        found: the share of the scans in which each structure was found, by its name.
    """

    entropy: float
    volume_ml: tuple[float, float]
    at_edge: float
    found: dict[str, float]


@dataclass(frozen=True)
class WeightSet:
    """Everything about one set of weights that training and use must agree on.

    Args:
        title: what it segments, in words.
        network, input, labels: see `Network`, `Input` and `Label`; the first label is the background.
        file: name of the safetensors file beside `preset.json`.
        sha256: of that file.
        parameters: number of weights.
        data: the source of what it was trained on, its licence, whether it is synthetic, if it is, and which preset
            or folder the training started from, if it did.
        score: what it reached, and on what: free keys and numbers.
        typical: what its segmentations of familiar scans are like, or None where that was never measured.
        held_out: names of the patients that training held out, so that they are known when the data has grown since;
            empty where nobody wrote them down.
    """

    title: str
    network: Network
    input: Input
    labels: tuple[Label, ...]
    file: str
    sha256: str
    parameters: int
    data: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] = field(default_factory=dict)
    typical: ReferenceRange | None = None
    held_out: tuple[str, ...] = ()

    def __post_init__(self):
        if Path(self.file).name != self.file or Path(self.file).suffix != ".safetensors":
            raise RecordError(f"file must name a .safetensors file beside {FILE_NAME}, not {self.file!r}")
        check_labels(self.labels)

    def build(self, num_classes=None, input_shape=None, dtype=None):
        """Returns the network with fresh weights, of the preset's own input shape and classes unless told otherwise."""
        num_classes = len(self.labels) if num_classes is None else num_classes
        return self.network.build(input_shape or self.input.shape, num_classes, dtype)


@dataclass(frozen=True)
class Preset:
    """A named network and its weight sets; the first is the default.

    Args:
        name: of the preset.
        weight_sets: each by its name.
        ensembles: what is segmented by several weight sets together, such as 2-D networks of three views: the share
            of each in the average of their probabilities, by the name of the whole.
        folder: that `preset.json` lies in.
    """

    name: str
    weight_sets: dict[str, WeightSet]
    ensembles: dict[str, dict[str, float]] = field(default_factory=dict)
    folder: Path = field(default=Path(), compare=False)

    def __post_init__(self):
        for name, shares in self.ensembles.items():
            if name in self.weight_sets or not set(shares) <= set(self.weight_sets):
                raise RecordError(
                    f"an ensemble must average weight sets, {', '.join(self.weight_sets)}, under another name; "
                    f"{name!r} averages {', '.join(shares)}"
                )
            if not shares or min(shares.values()) <= 0:
                raise RecordError(f"the shares of the ensemble {name!r} must be above 0, not {shares}")

    def shares(self, weights="default"):
        """Returns the share of each weight set, by its name, in what a name stands for.

        Args:
            weights: name of a weight set or an ensemble; `"default"` for the first weight set, or the ensemble that it
                is part of; or several weight sets: a sequence of names, which count alike, or a dict from names to
                shares.
        """
        if isinstance(weights, Mapping):
            return dict(weights)
        if not isinstance(weights, str):
            return dict.fromkeys(weights, 1.0)
        if weights == "default":
            first = next(iter(self.weight_sets))
            return next((shares for shares in self.ensembles.values() if first in shares), {first: 1.0})
        return self.ensembles.get(weights, {weights: 1.0})

    @classmethod
    def read(cls, folder):
        """Returns the preset that a folder's `preset.json` describes.

        Raises:
            RecordError: if the file is no valid description.
        """
        path = Path(folder) / FILE_NAME
        preset = from_mapping(cls, read_mapping(path, "preset", "JSON"), str(path))
        if not preset.weight_sets:
            raise RecordError(f"{path} describes no weight set")
        return dataclasses.replace(preset, folder=Path(folder))

    def to_json(self):
        """Returns the content of `preset.json`."""
        mapping = to_mapping(dataclasses.replace(self, folder=None))
        if not self.ensembles:
            del mapping["ensembles"]
        return json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"


def _arguments_of(kind):
    """Returns the names of a class's arguments, those that it hands on to its base classes counted in."""
    names = []
    for base in kind.__mro__:
        parameters = inspect.signature(base.__init__).parameters.values()
        names += [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return [name for name in dict.fromkeys(names) if name not in GIVEN]

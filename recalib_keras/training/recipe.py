"""What a training is: everything that decides its outcome, in one file."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from recalib_keras.zoo.preset import Input, Label, Network
from recalib_keras.zoo.records import RecordError, from_mapping


@dataclass(frozen=True)
class Data:
    """The scans to learn from.

    Args:
        folder: of `imagesTr/` and `labelsTr/`, relative to the data root.
        source: where the scans come from, in words, for the card.
        licence: of the scans, for the card.
        validate_every: every so many scans, sorted by name and starting with the first, one is held out.
    """

    folder: str
    source: str
    licence: str
    validate_every: int = 5

    def __post_init__(self):
        _check_positive(self, "validate_every")


@dataclass(frozen=True)
class Augmentation:
    """How far training examples are changed at random; 0 leaves them as they are.

    Args:
        rotation: standard deviation of the angle about each axis, in degrees.
        scaling: standard deviation of the logarithm of the scale of each axis.
        translation: standard deviation of the shift along each axis, in voxels.
        elastic: standard deviation of the displacement of the nodes of a coarse grid, in voxels.
        elastic_nodes: number of nodes of that grid along each axis.
        gamma: standard deviation of the logarithm of the gamma applied to the intensities.
        contrast: standard deviation of the logarithm of the contrast.
        brightness: standard deviation of the brightness added, in the units of the normalised image.
        noise: largest standard deviation of the noise added, in the units of the normalised image.
    """

    rotation: float = 0.0
    scaling: float = 0.0
    translation: float = 0.0
    elastic: float = 0.0
    elastic_nodes: int = 5
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """How the weights are fitted.

    Args:
        epochs: passes over the training scans.
        batch_size: examples a step.
        learning_rate: of Adam, at its peak; rises linearly during the first epoch, then falls to zero as a cosine.
        examples_per_scan: windows (3-D) or slices (2-D) drawn from each scan in an epoch.
        clip_norm: largest norm of the gradient.
        validate_every: epochs between validations.
        precision: dtype policy while training.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    examples_per_scan: int = 1
    clip_norm: float = 1.0
    validate_every: int = 1
    precision: str = "mixed_bfloat16"

    def __post_init__(self):
        _check_positive(
            self, "epochs", "batch_size", "learning_rate", "examples_per_scan", "clip_norm", "validate_every"
        )


@dataclass(frozen=True)
class Recipe:
    """A training from data to preset. Arguments: the tables of the recipe file.

    Args:
        preset: name of the preset the weights belong to.
        weights: name of the weight set.
        title: what is segmented, in words.
        seed: of everything random.
        labels: the structures, background first.
        network, input, data, augmentation, schedule: see the classes of these names.
    """

    preset: str
    weights: str
    title: str
    labels: tuple[Label, ...]
    network: Network
    input: Input
    data: Data
    schedule: Schedule
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    @classmethod
    def read(cls, path):
        """Returns the recipe of a TOML file.

        Raises:
            RecordError: if the file is missing, not TOML, or its keys and values are not those of a recipe.
        """
        try:
            mapping = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RecordError(f"cannot read the recipe {path}: {error.strerror}") from None
        except tomllib.TOMLDecodeError as error:
            raise RecordError(f"{path} is not valid TOML: {error}") from None
        return from_mapping(cls, mapping, str(path))


def _check_positive(record, *keys):
    for key in keys:
        if not getattr(record, key) > 0:
            raise RecordError(f"{key} must be greater than 0, not {getattr(record, key)}")

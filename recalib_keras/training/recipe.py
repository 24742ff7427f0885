"""What a training is: everything that decides its outcome, in one file."""

import difflib
import functools
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w

from recalib_keras.core.checks import MOST_IN_TITLE, check_name, check_text
from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, read_mapping, to_mapping
from recalib_keras.synthesis.settings import Synthesis
from recalib_keras.zoo.labels import Label, check_labels, counterpart_classes
from recalib_keras.zoo.preset import Input, Network


@dataclass(frozen=True)
class Data:
    """The scans to learn from.

    Args:
        folder: that holds the set, relative to the data root.
        source: where the scans come from, in words, for the card.
        licence: of the scans, for the card.
        dataset: which set, and so which layout, the folder holds; see `recalib datasets`.
        volume: which volume of 4-D scans to learn from, counted from 0; None where there is one only.
        validate_every: every so many patients, in the order of their scans' names and starting with the first, one is
            held out with all of their scans.
        held_out: names of the patients that are held out instead, or of scans, which stand for all of their patient's;
            or patterns of them such as `"site_2_*"`.
        training_scans: how many of the others to learn from, spread evenly over them; None for all.
        merge: numbers of labels in the data, each with the number that it counts as, such as `{ 2 = 1 }`.
    """

    folder: str
    source: str
    licence: str
    dataset: str = "msd"
    volume: int | None = None
    validate_every: int = 5
    held_out: tuple[str, ...] = ()
    training_scans: int | None = None
    merge: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        _check_positive(self, "validate_every")
        if self.training_scans is not None:
            _check_positive(self, "training_scans")
        if not all(key.isdigit() for key in self.merge):
            raise RecordError(f"merge must have label numbers as keys, not {', '.join(self.merge)}")


@dataclass(frozen=True)
class Augmentation:
    """How far training examples are changed at random; 0 leaves them as they are.

    Args:
        flip: probability of a left-right mirror image; labels with a `mirror` change sides with it.
        rotation: standard deviation of the angle about each axis of space, in degrees.
        scaling: standard deviation of the logarithm of the scale of each axis.
        translation: standard deviation of the shift along each axis, in voxels.
        elastic: standard deviation of the displacement of the nodes of a coarse grid, in voxels. An eighth of the
            distance between nodes does not fold space; a fifth does so in every other window.
        elastic_nodes: number of nodes of that grid along each axis.
        gamma: standard deviation of the logarithm of the gamma applied to the intensities.
        contrast: standard deviation of the logarithm of the contrast.
        brightness: standard deviation of the brightness added, in the units of the normalised image.
        noise: largest standard deviation of the noise added, in the units of the normalised image.
        blur: largest standard deviation of the Gaussian blur along each axis, in voxels.
        bias_field: standard deviation of the logarithm of a smooth field that the intensities are multiplied with.
        low_resolution: largest thickness of the slices that the image is sampled in along one axis at random, in
            voxels; 1 leaves it as it is, like 0.
    """

    flip: float = 0.0
    rotation: float = 0.0
    scaling: float = 0.0
    translation: float = 0.0
    elastic: float = 0.0
    elastic_nodes: int = 5
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    bias_field: float = 0.0
    low_resolution: float = 0.0

    def __post_init__(self):
        _check_not_negative(self, *(key for key in vars(self) if key not in ("flip", "elastic_nodes")))
        if not 0 <= self.flip <= 1:
            raise RecordError(f"flip must be from 0 to 1, not {self.flip}")
        if self.elastic_nodes < 2:
            raise RecordError(f"elastic_nodes must be at least 2, not {self.elastic_nodes}")
        if 0 < self.low_resolution < 1:
            raise RecordError(f"low_resolution must be 0, or at least 1 voxel, not {self.low_resolution}")


@dataclass(frozen=True)
class Loss:
    """What is minimised: the weighted sum of soft Dice loss and cross-entropy.

    Args:
        dice: factor of one minus the mean soft Dice of the foreground.
        cross_entropy: factor of the cross-entropy.
        class_weights: of the cross-entropy: `"none"`, or `"median_frequency"` or `"inverse_frequency"` as counted in
            the training scans; see `recalib_keras.training.class_weights`.
    """

    dice: float = 1.0
    cross_entropy: float = 1.0
    class_weights: str = "none"

    def __post_init__(self):
        _check_choice(self, "class_weights", ("none", "median_frequency", "inverse_frequency"))
        if min(self.dice, self.cross_entropy) < 0 or self.dice + self.cross_entropy == 0:
            raise RecordError("dice and cross_entropy must not be negative, and one of them must be above 0")


@dataclass(frozen=True)
class Optimizer:
    """How each step changes the weights.

    Args:
        name: `"adam"`, `"adamw"`, `"muon"` or `"sgd"`.
        learning_rate: at its peak.
        momentum: of `"sgd"`.
        weight_decay: factor of the weights that is added to their gradient (`"sgd"`), or that they shrink by times the
            learning rate (`"adamw"`, `"muon"`).
        clip_norm: largest norm of all gradients together; 0 leaves them as they are.
        decay: `"cosine"` to zero at the end, `"step"` by `decay_factor` every `decay_epochs`, or `"constant"`.
        warmup_epochs: of `"cosine"`, during which the rate rises linearly from zero.
        decay_factor, decay_epochs: of `"step"`.
    """

    learning_rate: float
    name: str = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    decay: str = "cosine"
    warmup_epochs: float = 1.0
    decay_factor: float = 0.1
    decay_epochs: int = 10

    def __post_init__(self):
        _check_positive(self, "learning_rate", "decay_factor", "decay_epochs")
        _check_not_negative(self, "momentum", "weight_decay", "clip_norm", "warmup_epochs")
        _check_choice(self, "name", ("adam", "adamw", "muon", "sgd"))
        _check_choice(self, "decay", ("cosine", "step", "constant"))
        if self.momentum and self.name != "sgd":
            raise RecordError(f"momentum belongs to the optimizer 'sgd', not to {self.name!r}")
        if self.weight_decay and self.name == "adam":
            raise RecordError("weight_decay needs the optimizer 'adamw', 'muon' or 'sgd', not 'adam'")


@dataclass(frozen=True)
class Schedule:
    """How long the weights are fitted, on how much at a time.

    Args:
        epochs: rounds, each followed by a line of the log and a checkpoint.
        batch_size: examples a step.
        steps_per_epoch: steps of a round; None for a pass over the training scans.
        examples_per_scan: windows (3-D) or slices (2-D) drawn from each scan in a pass.
        foreground: share of the examples that are centred on a voxel of the foreground; the others lie anywhere.
        validate_every: epochs between validations.
        patience: training ends early after so many validations without a better mean Dice; 0 for never.
        variety_epochs: over which generated scans come to vary as `[synthesis]` says, from `[synthesis_start]` on.
        precision: dtype policy while training, `"mixed_bfloat16"` or `"float32"`.
        average: momentum of the moving average of the weights that is validated and kept instead of the last ones,
            such as 0.99; 0 for none.
    """

    epochs: int
    batch_size: int
    steps_per_epoch: int | None = None
    examples_per_scan: int = 1
    foreground: float = 0.0
    validate_every: int = 1
    patience: int = 0
    variety_epochs: int = 0
    precision: str = "mixed_bfloat16"
    average: float = 0.0

    def __post_init__(self):
        _check_positive(self, "epochs", "batch_size", "examples_per_scan", "validate_every")
        if self.steps_per_epoch is not None:
            _check_positive(self, "steps_per_epoch")
        _check_not_negative(self, "patience", "variety_epochs")
        _check_choice(self, "precision", ("mixed_bfloat16", "float32"))
        for key in ("foreground", "average"):
            if not 0 <= getattr(self, key) <= 1:
                raise RecordError(f"{key} must be from 0 to 1, not {getattr(self, key)}")


@dataclass(frozen=True)
class FineTuning:
    """How pretrained weights are gone on with; the classifier always learns at the full rate.

    A network trained without recalibration blocks may be gone on with by one that has them, if they start as the
    identity: `recalibration_args = { use_identity_start = true }`.

    Args:
        weights: which of the preset's weight sets to start from.
        freeze_encoder: whether the encoders keep their weights, and their normalisation its statistics.
        body_rate: factor of the learning rate for all weights but the classifier's.
    """

    weights: str = "default"
    freeze_encoder: bool = False
    body_rate: float = 1.0

    def __post_init__(self):
        _check_positive(self, "body_rate")


@dataclass(frozen=True)
class Membership:
    """The ensemble that the weights are part of, such as 2-D networks of three views that segment together.

    Args:
        name: of the ensemble.
        share: of these weights in the average of all members' probabilities.
    """

    name: str
    share: float = 1.0

    def __post_init__(self):
        check_name(self.name, "name")
        _check_positive(self, "share")


@dataclass(frozen=True)
class Recipe:
    """A training from data to preset.

    Args:
        preset: name of the preset the weights belong to.
        weights: name of the weight set.
        default: whether these become the weights that the preset has unless others are asked for.
        title: what is segmented, in words.
        seed: of everything random.
        init: name of a preset, or its folder relative to the current one, to start from instead of fresh weights; see
            `[fine_tuning]`.
        labels: the structures, background first.
        network, input, data, augmentation, loss, optimizer, schedule, fine_tuning: see the classes of these names.
        synthesis: how far scans vary that are generated from label maps of heads; the folder of the data then holds
            the maps and their table, `generation.json`, instead of scans.
        synthesis_start: how far they vary at first; by default as in `[synthesis]`.
        ensemble: see the class `Membership`; by default the weights segment alone.
        storage: dtype of the stored weights, `"float32"`, or `"float16"` for half the size; they are scored as stored.
    """

    preset: str
    weights: str
    title: str
    labels: tuple[Label, ...]
    network: Network
    input: Input
    data: Data
    optimizer: Optimizer
    schedule: Schedule
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: Loss = field(default_factory=Loss)
    init: str | None = None
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    synthesis: Synthesis | None = None
    synthesis_start: Synthesis | None = None
    ensemble: Membership | None = None
    default: bool = False
    storage: str = "float32"
    seed: int = 0

    def __post_init__(self):
        check_name(self.preset, "preset")
        check_name(self.weights, "weights")
        check_text(self.title, "title", MOST_IN_TITLE)
        if len(self.labels) < 2:
            raise RecordError(
                f"labels must be the background and at least one structure, not {len(self.labels)} in all"
            )
        check_labels(self.labels)
        counterpart_classes(self.labels)
        self._check_merge()
        if self.ensemble is not None and self.ensemble.name == self.weights:
            raise RecordError(f"ensemble.name must differ from the name of its member, weights = {self.weights!r}")
        _check_choice(self, "storage", ("float32", "float16"))
        self.network.check()
        self._check_synthesis()
        if self.augmentation.flip and self.input.slice_axis == self.input.lateral_axis:
            raise RecordError("sagittal slices look the same on both sides; set augmentation.flip to 0")

    def _check_merge(self):
        merge = self.data.merge
        lost = {label.id for label in self.labels} & set(map(int, merge)) - set(merge.values())
        for number in sorted(lost):
            raise RecordError(
                f"data.merge counts {number} as {merge[str(number)]}, but {number} is among the labels; take it out of "
                f"labels, or say data.merge = {{ {number} = {number} }} where another recipe is extended"
            )

    def _check_synthesis(self):
        if self.synthesis is None and (self.synthesis_start is not None or self.schedule.variety_epochs):
            raise RecordError("synthesis_start and schedule.variety_epochs need a table [synthesis]")
        if self.synthesis is not None and self.augmentation != Augmentation():
            raise RecordError("generated scans are not augmented too; leave out [augmentation] or [synthesis]")

    @property
    def origin(self):
        """What the weights come from, as a `recalib_keras.zoo.WeightSet` says it in `data`."""
        origin = {"source": self.data.source, "licence": self.data.licence}
        if self.synthesis is not None:
            origin["synthetic"] = True
        if self.init is not None:
            origin["starts_from"] = self.init
        return origin

    @classmethod
    def read(cls, path):
        """Returns the recipe of a TOML file.

        A file may say `extends = "other.toml"`, relative to itself: its own keys then stand over those of the other,
        table by table. Of several, `extends = ["one.toml", "two.toml"]`, the keys of the later stand over those of the
        earlier.

        Raises:
            RecordError: if the file is missing, not TOML, extends itself, or its keys and values are not those of a
                recipe.
        """
        return from_mapping(cls, read_toml(path), str(path))

    def to_toml(self):
        """Returns the text of a file that says all of the recipe and extends no other."""
        return tomli_w.dumps(to_mapping(self))


def read_toml(path, extended_by=()):
    """Returns the mapping of a TOML file, laid over those of the files it extends."""
    path = Path(path)
    if path.resolve() in extended_by:
        raise RecordError(f"{path} extends itself; take `extends` out of one of the files")
    mapping = read_mapping(path, "recipe", "TOML")
    bases = mapping.pop("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise RecordError(f"{path}: extends must be the path of a recipe, or a list of paths, not {bases!r}")
    chain = (*extended_by, path.resolve())
    return functools.reduce(_laid_over, [*(read_toml(path.parent / base, chain) for base in bases), mapping])


def _laid_over(base, mapping):
    merged = dict(base)
    for key, value in mapping.items():
        both_tables = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _laid_over(base[key], value) if both_tables else value
    return merged


def _check_positive(record, *keys):
    for key in keys:
        if not getattr(record, key) > 0:
            raise RecordError(f"{key} must be greater than 0, not {getattr(record, key)}")


def _check_not_negative(record, *keys):
    for key in keys:
        if not getattr(record, key) >= 0:
            raise RecordError(f"{key} must be at least 0, not {getattr(record, key)}")


def _check_choice(record, key, choices):
    value = getattr(record, key)
    if value not in choices:
        nearest = difflib.get_close_matches(value, choices, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise RecordError(f"{key} must be one of {', '.join(map(repr, choices))}, not {value!r}{hint}")

"""The tables of a recipe: data, augmentation, loss, optimizer, schedule, fine-tuning, ensemble.

Their docstrings are the reference of recipe files: `python -m docs.recipe_keys` writes docs/recipes.md from them.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from recalib_keras.core.checks import Range, check_name, check_ranges, check_text, shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.zoo.labels import LARGEST_ID

MOST = 1_000_000
COUNT, SHARE, FACTOR = Range(1, MOST), Range(0, 1), Range(0, 1_000_000)
MOST_IN_TEXT = 1000
# What tracks experiments, with the modules that are imported for it.
TRACKERS = {"wandb": "wandb.integration.keras", "mlflow": "mlflow.keras", "comet": "comet_ml"}
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
LABEL_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")


@dataclass(frozen=True)
class Data:
    """The scans to learn from.

    Args:
        folder: Folder that holds the data set, relative to the data root.
        source: Where the scans come from, in words, for the card.
        licence: Licence of the scans, for the card.
        dataset: Name of the data set, which says how the folder is laid out; see `recalib datasets`.
        volume: Which volume of 4-D scans to learn from, counted from 0; leave it out for 3-D scans.
        validate_every: Every N-th patient is held out for validation with all of their scans. Patients are
            counted in the order of their scans' names; the first one is held out. 0 holds out none: the last weights
            are then kept, without a score of their own; see `score_from`.
        held_out: Names of the patients to hold out instead. The name of a scan holds out its patient, and a pattern
            such as `"site_2_*"` all patients that match.
        folds: Number of folds of a cross-validation, instead of the two keys above. Patients are dealt out so that each
            fold has its share of the patients with each label. Train one of them by `recalib train --fold K`, or all of
            them by `--folds all`.
        fold: Which fold is held out, from 1.
        score_from: Where the score of these weights comes from, in words for the card, if no patient is held out: such
            as `"0.87 on 42 scans, by the same recipe with every fifth patient held out"`.
        training_scans: Number of training scans to learn from, spread evenly over all of them; by default all.
        merge: Label numbers of the data, each with the number that replaces it, such as `{ 2 = 1 }`.
        ignore_label: Number of voxels that nobody looked at: they count in no loss and no score. By default that of the
            label named `ignore` in the data set's own list of labels, if it has one.
    """

    folder: str
    source: str
    licence: str
    dataset: str = "msd"
    volume: Annotated[int | None, Range(0, 100_000)] = None
    validate_every: Annotated[int, Range(0, MOST)] = 5
    held_out: tuple[str, ...] = ()
    folds: Annotated[int | None, Range(2, 1000)] = None
    fold: Annotated[int | None, Range(1, 1000)] = None
    score_from: str | None = None
    training_scans: Annotated[int | None, COUNT] = None
    merge: Annotated[dict[str, int], Range(0, LARGEST_ID)] = field(default_factory=dict)
    ignore_label: Annotated[int | None, Range(1, LARGEST_ID)] = None

    def __post_init__(self):
        check_ranges(self)
        for key in ("folder", "source", "licence"):
            check_text(getattr(self, key), f"`{key}`", MOST_IN_TEXT)
        _check_label_numbers(self.merge, "merge")
        if self.ignore_label in {*map(int, self.merge), *self.merge.values()}:
            raise RecordError(expected="`ignore_label` to have no part in `merge`", received=str(self.ignore_label))
        self._check_held_out()

    def _check_held_out(self):
        if self.folds is not None and self.held_out:
            raise RecordError(expected="`folds` or `held_out`", received="both", remedy="leave one of them out")
        if self.fold is not None and (self.folds is None or self.fold > self.folds):
            expected = "`folds` with `fold`" if self.folds is None else f"`fold` from 1 to {self.folds}, the folds"
            raise RecordError(expected=expected, received=f"fold = {self.fold} alone" if self.folds is None
                              else str(self.fold))  # fmt: skip
        if self.score_from is not None:
            check_text(self.score_from, "`score_from`", MOST_IN_TEXT)
            if self.holds_out:
                raise RecordError(
                    expected="`score_from` for weights that learned from all scans, `validate_every = 0`",
                    received="scans that are held out, which give a score",
                )

    @property
    def holds_out(self) -> bool:
        """Whether some patients are held out."""
        return bool(self.validate_every or self.held_out or self.folds)


@dataclass(frozen=True)
class Augmentation:
    """How far training examples are changed at random; 0 switches a change off.

    Args:
        flip: Probability of a left-right mirror image; labels with a `mirror` change sides with it.
        rotation: Standard deviation of the angle about each axis of space, in degrees.
        scaling: Standard deviation of the logarithm of the scale of each axis.
        translation: Standard deviation of the shift along each axis, in voxels.
        elastic: Standard deviation of the displacement of the nodes of a coarse grid, in voxels. An eighth of the
            distance between nodes does not fold space; a fifth folds it in every other window.
        elastic_nodes: Number of nodes of that grid along each axis.
        gamma: Standard deviation of the logarithm of the gamma applied to the intensities.
        contrast: Standard deviation of the logarithm of the contrast.
        brightness: Standard deviation of the brightness added, in the units of the normalised image.
        noise: Largest standard deviation of the noise added, in the units of the normalised image.
        blur: Largest standard deviation of the Gaussian blur along each axis, in voxels.
        bias_field: Standard deviation of the logarithm of a smooth field that multiplies the intensities.
        low_resolution: Largest slice thickness that the image is sampled with along one random axis, in voxels; 1
            changes nothing, like 0.
    """

    flip: Annotated[float, SHARE] = 0.0
    rotation: Annotated[float, Range(0, 180)] = 0.0
    scaling: Annotated[float, Range(0, 2)] = 0.0
    translation: Annotated[float, Range(0, 1000)] = 0.0
    elastic: Annotated[float, Range(0, 1000)] = 0.0
    elastic_nodes: Annotated[int, Range(2, 64)] = 5
    gamma: Annotated[float, Range(0, 5)] = 0.0
    contrast: Annotated[float, Range(0, 5)] = 0.0
    brightness: Annotated[float, Range(0, 1000)] = 0.0
    noise: Annotated[float, Range(0, 1000)] = 0.0
    blur: Annotated[float, Range(0, 100)] = 0.0
    bias_field: Annotated[float, Range(0, 5)] = 0.0
    low_resolution: Annotated[float, Range(0, 100)] = 0.0

    def __post_init__(self):
        check_ranges(self)
        if 0 < self.low_resolution < 1:
            raise RecordError(
                expected="`low_resolution` to be 0, or at least 1 voxel", received=str(self.low_resolution)
            )


@dataclass(frozen=True)
class Loss:
    """What is minimised: the weighted sum of soft Dice loss and cross-entropy.

    Args:
        dice: Factor of the Dice loss, one minus the mean soft Dice of the foreground.
        cross_entropy: Factor of the cross-entropy.
        class_weights: Weights of the classes in the cross-entropy: `"none"`, `"median_frequency"` or
            `"inverse_frequency"`, both counted in the training scans; see `recalib_keras.training.class_weights`.
        deep_supervision: Whether the maps of lower decoders learn by the same loss, in their own resolutions; see
            `recalib_keras.training.losses.deep_supervision`. The weights of the preset are those of the network alone.
    """

    dice: Annotated[float, FACTOR] = 1.0
    cross_entropy: Annotated[float, FACTOR] = 1.0
    class_weights: str = "none"
    deep_supervision: bool = False

    def __post_init__(self):
        check_choice(self, "class_weights", ("none", "median_frequency", "inverse_frequency"))
        check_ranges(self)
        if self.dice + self.cross_entropy == 0:
            raise RecordError(expected="`dice` or `cross_entropy` to be greater than 0", received="0 for both")


@dataclass(frozen=True)
class Optimizer:
    """How each step changes the weights.

    Args:
        name: `"adam"`, `"adamw"`, `"muon"` or `"sgd"`.
        learning_rate: The highest learning rate of the training.
        momentum: Momentum of `"sgd"`.
        weight_decay: For `"sgd"`, factor of the weights that is added to their gradient; for `"adamw"` and `"muon"`,
            share of the weights that each step subtracts, times the learning rate.
        clip_norm: Largest norm of all gradients together; 0 for no limit.
        decay: How the learning rate falls: `"cosine"` to zero at the end, `"step"` by `decay_factor` every
            `decay_epochs`, or `"constant"`.
        warmup_epochs: Epochs in which the rate of `"cosine"` rises linearly from zero.
        decay_factor: Factor of the learning rate at each step of `"step"`.
        decay_epochs: Epochs between two steps of `"step"`.
    """

    learning_rate: Annotated[float, Range(1e-12, 1e30)]
    name: str = "adam"
    momentum: Annotated[float, SHARE] = 0.0
    weight_decay: Annotated[float, Range(0, 1000)] = 0.0
    clip_norm: Annotated[float, Range(0, 1e9)] = 1.0
    decay: str = "cosine"
    warmup_epochs: Annotated[float, Range(0, MOST)] = 1.0
    decay_factor: Annotated[float, Range(1e-6, 10)] = 0.1
    decay_epochs: Annotated[int, COUNT] = 10

    def __post_init__(self):
        check_ranges(self)
        check_choice(self, "name", ("adam", "adamw", "muon", "sgd"))
        check_choice(self, "decay", ("cosine", "step", "constant"))
        if self.momentum and self.name != "sgd":
            raise RecordError(expected="`momentum` with the optimizer 'sgd' alone", received=repr(self.name))
        if self.weight_decay and self.name == "adam":
            raise RecordError(expected="`weight_decay` with the optimizer 'adamw', 'muon' or 'sgd'", received="'adam'")


@dataclass(frozen=True)
class Schedule:
    """How long the weights are fitted, and to how many examples at a time.

    Args:
        epochs: Number of epochs; each one ends with a line of the log and a checkpoint.
        batch_size: Examples in a batch, one batch for each step.
        steps_per_epoch: Steps in an epoch; by default one pass over the training scans.
        examples_per_scan: Windows (3-D) or slices (2-D) drawn from each scan in a pass.
        foreground: Share of the examples that are centred on a voxel of the foreground, from 0 to 1; the others lie
            anywhere.
        sampling: How the voxel that such an example is centred on is chosen: `"voxel"`, any of the foreground, so that
            large structures are chosen more often; or `"class"`, first one of the structures that the scan has, then a
            voxel of it, so that small structures are seen as often as large ones.
        class_shares: For `"class"`, how often a label is chosen relative to the others, such as `{ 3 = 2.0 }` for twice
            as often as the rest; without it 1, and 0 for the background. The background is chosen only in scans in
            which every structure was looked for.
        validate_every: Epochs between two validations.
        patience: The training ends early after this many validations without a higher mean Dice; 0 for never.
        variety_epochs: Epochs over which the variety of generated scans grows from `[synthesis_start]` to
            `[synthesis]`.
        precision: Dtype policy of the training, `"mixed_bfloat16"` or `"float32"`. A processor that does not compute in
            bfloat16 trains in float32 in any case, which is then faster.
        average: Momentum of a moving average of the weights, such as 0.99. The average is then validated and kept
            instead of the last weights. 0 for none.
    """

    epochs: Annotated[int, COUNT]
    batch_size: Annotated[int, Range(1, 65_536)]
    steps_per_epoch: Annotated[int | None, COUNT] = None
    examples_per_scan: Annotated[int, Range(1, 100_000)] = 1
    foreground: Annotated[float, SHARE] = 0.0
    sampling: str = "voxel"
    class_shares: Annotated[dict[str, float], FACTOR] = field(default_factory=dict)
    validate_every: Annotated[int, COUNT] = 1
    patience: Annotated[int, Range(0, MOST)] = 0
    variety_epochs: Annotated[int, Range(0, MOST)] = 0
    precision: str = "mixed_bfloat16"
    average: Annotated[float, SHARE] = 0.0

    def __post_init__(self):
        check_ranges(self)
        check_choice(self, "precision", ("mixed_bfloat16", "float32"))
        check_choice(self, "sampling", ("voxel", "class"))
        if self.class_shares and self.sampling != "class":
            raise RecordError(expected='`sampling = "class"` with `class_shares`', received=repr(self.sampling))
        if self.sampling == "class" and not self.foreground:
            raise RecordError(
                expected='`foreground` above 0 with `sampling = "class"`, which chooses the centres of these examples',
                received="0",
                remedy="set foreground = 0.33",
            )
        _check_label_numbers(self.class_shares, "class_shares")


@dataclass(frozen=True)
class FineTuning:
    """How training continues from pretrained weights; used with `init`.

    The network must be the preset's. If the labels are the preset's too, names and order alike, all weights are taken.
    With other labels the classifier starts anew, except for structures that both lists name alike: these keep their
    classifier weights, if there is at least one besides the background. The classifier always learns at the full rate.

    A network with recalibration blocks can start from the weights of one without, if the blocks change nothing at
    first: `recalibration_args = { use_identity_start = true }`.

    Args:
        weights: Which of the preset's weight sets to start from.
        freeze_encoder: Whether the encoders keep their weights, and the statistics of their normalisation.
        body_rate: Factor of the learning rate for all weights but the classifier's.
    """

    weights: str = "default"
    freeze_encoder: bool = False
    body_rate: Annotated[float, Range(1e-6, 1000)] = 1.0

    def __post_init__(self):
        check_ranges(self)


@dataclass(frozen=True)
class Mixture:
    """Generated scans among the labelled ones; `[synthesis]` says how far they vary.

    Validation scans stay real. A number of the label maps that the recipe has too must have the same name. A structure
    of the label maps that the recipe lacks becomes background; one of the recipe that none of them shows is unknown in
    generated scans, not absent.

    Args:
        folder: Folder of label maps of heads with their table, `generation.json`, relative to the data root. Maps of
            scans that are not trained on are left out, by their names, and by their place if they lie in the folder of
            the data. Name the source and licence of the others in `data.source` and `data.licence`.
        share: How often an example is generated, from 0 to 1.
        merge: Label numbers of these maps, each with the number of the recipe that replaces it, besides those of
            `data.merge`.
    """

    folder: str
    share: Annotated[float, SHARE] = 0.5
    merge: Annotated[dict[str, int], Range(0, LARGEST_ID)] = field(default_factory=dict)

    def __post_init__(self):
        check_ranges(self)
        check_text(self.folder, "`folder`", MOST_IN_TEXT)
        _check_label_numbers(self.merge, "merge")


@dataclass(frozen=True)
class CallbackSettings:
    """A callback of the training. Callbacks do not decide the weights, so a resumed run may have others.

    They see one training of all epochs, with Keras's names: `loss`, and after a validation `val_loss`, `val_dice` and
    `val_dice_NAME` of each structure. One that sets `stop_training` ends the training after the epoch.

    Args:
        name: Of a class, such as `"keras.callbacks.CSVLogger"`, or of a tracker: `"wandb"`, `"mlflow"` or `"comet"`.
        arguments: Of the class, or of `wandb.init`, `mlflow.start_run` (and its `tracking_uri` and `experiment`), or
            `comet_ml.start`. In a text, `{run}` is the folder of the run.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.name not in TRACKERS and not DOTTED.fullmatch(self.name):
            raise RecordError(
                expected=f"`name` to be a class such as 'keras.callbacks.CSVLogger', or {', '.join(TRACKERS)}",
                received=shown(self.name),
                remedy=did_you_mean(self.name, TRACKERS) or None,
            )


@dataclass(frozen=True)
class Membership:
    """The ensemble that the weights belong to, such as 2-D networks of three views that segment together.

    Args:
        name: Name of the ensemble.
        share: Share of these weights in the average of all members' probabilities.
    """

    name: str
    share: Annotated[float, Range(1e-6, 1_000_000)] = 1.0

    def __post_init__(self):
        check_name(self.name, "name")
        check_ranges(self)


def _check_label_numbers(mapping, key):
    """Raises a `RecordError` if a key is not a label number. 2 is one; 02 is not, since it would be another key."""
    for number in mapping:
        if not LABEL_NUMBER.fullmatch(number) or int(number) > LARGEST_ID:
            expected = f"label numbers from 0 to {LARGEST_ID:,} as keys of `{key}`"
            raise RecordError(expected=expected, received=shown(number))


def check_choice(record: object, key: str, choices: tuple[str, ...]) -> None:
    """Raises a `RecordError` if a record's value is not one of the choices; suggests the closest one."""
    value = getattr(record, key)
    if value not in choices:
        expected = f"`{key}` to be one of {', '.join(map(repr, choices))}"
        raise RecordError(expected=expected, received=shown(value), remedy=did_you_mean(value, choices) or None)

"""The recipe of a training: everything that decides its outcome, in one file.

The docstring of `Recipe` is part of the reference of recipe files; see `recalib_keras.training.recipe_tables`.
"""

import functools
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import tomli_w

from recalib_keras import zoo
from recalib_keras.core.checks import LARGEST_SEED, MOST_IN_TITLE, Range, check_name, check_ranges, check_text, shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import listed
from recalib_keras.core.records import from_mapping, read_mapping, to_mapping
from recalib_keras.synthesis.settings import METHODS, Synthesis
from recalib_keras.training.recipe_tables import (
    Augmentation,
    CallbackSettings,
    Data,
    FineTuning,
    Loss,
    Membership,
    Mixture,
    Optimizer,
    Schedule,
    check_choice,
)
from recalib_keras.zoo.labels import Label, check_labels, counterpart_classes, with_colors
from recalib_keras.zoo.preset import Input, Network

ZOO = "zoo:"  # what stands before the name of a recipe of the zoo
MOST_FILES = 100  # that a recipe may extend, and they in turn
LARGEST_BATCH = 2**30  # voxels: 4 GiB for the images alone


@dataclass(frozen=True)
class Recipe:
    """A training, from data to preset.

    Args:
        preset: Name of the preset that the weights belong to.
        weights: Name of the weight set.
        default: Whether these weights become the preset's default.
        title: What is segmented, in words.
        seed: Seed of everything random.
        init: Name of a preset to start from instead of fresh weights, or its folder relative to the current one; see
            `[fine_tuning]`.
        labels: The background and the structures, in the order of the classes.
        network: See `recalib_keras.zoo.Network`.
        input: See `recalib_keras.zoo.Input`.
        data: See `Data`.
        augmentation: See `Augmentation`.
        loss: See `Loss`.
        optimizer: See `Optimizer`.
        schedule: See `Schedule`.
        fine_tuning: See `FineTuning`.
        synthesis: How far scans vary that are generated from label maps of heads. Without a table `[mixture]`, the
            folder of the data then holds label maps and their table, `generation.json`, instead of scans.
        synthesis_start: How far generated scans vary at first; by default as in `[synthesis]`.
        mixture: See `Mixture`: labelled scans with generated ones among them. By default all scans are generated, or
            none.
        callbacks: See `CallbackSettings`.
        ensemble: See `Membership`; by default the weights segment alone.
        storage: Dtype of the stored weights: `"float32"`, or `"float16"` for half the size. The score is that of the
            weights as stored.

    Raises:
        RecordError: Values that do not fit together.
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
    mixture: Mixture | None = None
    callbacks: tuple[CallbackSettings, ...] = ()
    ensemble: Membership | None = None
    default: bool = False
    storage: str = "float32"
    seed: Annotated[int, Range(0, LARGEST_SEED)] = 0

    def __post_init__(self):
        check_ranges(self)
        check_name(self.preset, "preset")
        check_name(self.weights, "weights")
        check_text(self.title, "title", MOST_IN_TITLE)
        if len(self.labels) < 2:
            raise RecordError(
                expected="`labels` to be the background and at least one structure",
                received=f"{len(self.labels)} in all",
            )
        check_labels(self.labels)
        counterpart_classes(self.labels)
        object.__setattr__(self, "labels", with_colors(self.labels))
        self._check_merge()
        self._check_channels()
        self._check_class_shares()
        self._check_batch()
        if self.ensemble is not None and self.ensemble.name == self.weights:
            raise RecordError(
                expected="`ensemble.name` to differ from the name of its member, `weights`", received=repr(self.weights)
            )
        check_choice(self, "storage", ("float32", "float16"))
        self.network.check()
        self.network.check_values(self.input)
        self.network.num_classes(self.labels)
        if self.network.has_sigmoid and self.loss.class_weights != "none":
            raise RecordError(
                expected="`loss.class_weights` 'none' with a sigmoid, whose structures have no classes to weigh",
                received=repr(self.loss.class_weights),
            )
        self._check_synthesis()
        if self.augmentation.flip and self.input.slice_axis == self.input.lateral_axis:
            raise RecordError(
                expected="`augmentation.flip` to be 0 for sagittal slices, which look the same on both sides",
                received=str(self.augmentation.flip),
            )

    def _check_channels(self):
        if self.input.num_channels > 1 and self.data.volume is not None:
            raise RecordError(
                expected="one of `input.channels` and `data.volume`, which takes a single channel",
                received="both",
                remedy="leave one of them out",
            )
        if self.input.num_channels > 1 and self.synthesis is not None:
            raise RecordError(
                expected="one channel for scans that are generated",
                received=f"{self.input.num_channels} in `input`",
                remedy="leave the tables [synthesis] and [mixture] out, or choose one channel",
            )
        if self.data.ignore_label in {label.id for label in self.labels}:
            raise RecordError(
                expected="`data.ignore_label` to be none of the labels",
                received=str(self.data.ignore_label),
                remedy="take it out of `labels`",
            )

    def _check_merge(self):
        merge = self.data.merge
        lost = {label.id for label in self.labels} & set(map(int, merge)) - set(merge.values())
        for number in sorted(lost):
            raise RecordError(
                expected=f"no label {number}, which `data.merge` replaces by {merge[str(number)]}",
                received="it among the labels",
                remedy=f"take it out of `labels`, or, if the recipe extends another, set data.merge = {{ {number} = "
                f"{number} }}",
            )

    def _check_class_shares(self):
        known = [str(label.id) for label in self.labels]
        unknown = [number for number in self.schedule.class_shares if number not in known]
        if unknown:
            raise RecordError(
                expected=f"numbers of the labels, {listed(known)}, as keys of `schedule.class_shares`",
                received=shown(unknown[0]),
            )
        shares = self.schedule.class_shares
        if not any(shares.get(number, number != known[0]) for number in known):
            raise RecordError(
                expected="a share above 0 for some label in `schedule.class_shares`", received="0 for all of them"
            )

    def _check_batch(self):
        voxels = math.prod(self.input.window) * self.input.shape[-1] * self.schedule.batch_size
        if voxels > LARGEST_BATCH:
            raise RecordError(
                expected=f"`input.window` times `schedule.batch_size` to be at most {LARGEST_BATCH:,} voxels",
                received=f"{voxels:,}",
                remedy="set a smaller window or batch_size",
            )

    def _check_synthesis(self):
        generates = self.synthesis_start is not None or self.mixture is not None or self.schedule.variety_epochs
        if self.synthesis is None and generates:
            raise RecordError(
                expected="a table [synthesis] with `synthesis_start`, [mixture] and `schedule.variety_epochs`",
                received="none",
            )
        normalization = self.input.normalizations[0]
        if self.synthesis is not None and normalization not in METHODS:
            raise RecordError(
                expected=f"`input.normalization` to be one of {', '.join(METHODS)} for scans that are generated",
                received=repr(normalization),
                remedy="choose one of them, or leave the tables [synthesis] and [mixture] out",
            )
        if self.is_synthetic and self.augmentation != Augmentation():
            raise RecordError(
                expected="one of the tables [augmentation] and [synthesis], because generated scans are not augmented",
                received="both",
                remedy="leave one of them out, or mix real and generated scans by a table [mixture]",
            )

    @property
    def is_synthetic(self) -> bool:
        """Whether all scans are generated, those that validate too."""
        return self.synthesis is not None and self.mixture is None

    @property
    def origin(self) -> dict[str, Any]:
        """Where the weights come from, as the `data` of a `recalib_keras.zoo.WeightSet` says it."""
        origin: dict[str, Any] = {"source": self.data.source, "licence": self.data.licence}
        if self.is_synthetic:
            origin["synthetic"] = True
        if self.mixture is not None:
            origin["generated_share"] = self.mixture.share
        if self.init is not None:
            origin["starts_from"] = self.init
        if self.data.score_from is not None:
            origin["score_from"] = self.data.score_from
        return origin

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """Returns the recipe of a TOML file.

        With `extends = "other.toml"`, a path relative to the file, its own keys replace those of the other recipe,
        table by table. `extends = "zoo:hippocampus/densenet3d_pe"` names a recipe of the zoo. With several,
        `extends = ["one.toml", "two.toml"]`, keys of later ones replace those of earlier ones.

        Args:
            path: The file, or `"zoo:NAME"` for a recipe of the zoo.

        Raises:
            RecordError: The file is missing, is not TOML, extends itself, or has keys or values that are not those of
                a recipe.
        """
        return from_mapping(cls, read_toml(path), str(path))

    def to_toml(self) -> str:
        """Returns the text of a file with the whole recipe, which extends no other."""
        return tomli_w.dumps(to_mapping(self))


def read_toml(path: str | os.PathLike, remedy: str = "check the path") -> dict[str, Any]:
    """Returns the mapping of a TOML file, with the files that it extends included.

    Args:
        path: The file, or `"zoo:NAME"` for a recipe of the zoo.
        remedy: What to do if the file cannot be read, for messages.

    Raises:
        RecordError: A file is missing, is not TOML, or extends itself; `extends` is not a path or a list of paths; or
            more than 100 files are read.
    """
    return _with_bases(_located(path), (), [], remedy)


def _located(path, extending=None):
    """Returns the file that a path or the name of a recipe of the zoo stands for, seen from the file that extends it.

    Raises:
        RecordError: The zoo has no such recipe.
    """
    name = os.fspath(path)
    if not name.startswith(ZOO):
        return Path(path) if extending is None else extending.parent / path
    try:
        return zoo.recipe_path(name.removeprefix(ZOO))
    except ValueError as error:
        raise RecordError(f"{error}" if extending is None else f"{extending}: {error}", file=extending) from None


def _with_bases(path, extended_by, read, remedy):
    """Returns the mapping of a file; `extended_by` are the files that lead here, `read` all that were read so far."""
    read.append(path)
    if len(read) > MOST_FILES:
        raise RecordError(
            file=read[0],
            expected=f"a recipe that extends at most {MOST_FILES} files in all",
            received="more",
            remedy="write the keys of some of them into one file",
        )
    mapping = read_mapping(path, "recipe", "TOML", remedy)
    chain = (*extended_by, path.resolve())
    if chain[-1] in extended_by:
        raise RecordError(
            file=path,
            expected="a recipe that does not extend itself",
            received="a circle of files",
            remedy="take `extends` out of one of them",
        )
    bases = mapping.pop("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise RecordError(
            file=path, expected="`extends` to be the path of a recipe, or a list of paths", received=shown(bases)
        )
    remedy = f"check `extends` in {path}"
    above = [_with_bases(_located(base, path), chain, read, remedy) for base in bases]
    return functools.reduce(_laid_over, [*above, mapping])


def _laid_over(base, mapping):
    merged = dict(base)
    for key, value in mapping.items():
        both_tables = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _laid_over(base[key], value) if both_tables else value
    return merged

"""Where training examples come from: labelled scans, or label maps that scans are generated from."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from keras import ops

from recalib_keras.core.errors import RecordError, TrainingError
from recalib_keras.core.messages import listed, plain_name
from recalib_keras.datasets import DatasetError, LabelledScan, Problem
from recalib_keras.datasets.problems import noted
from recalib_keras.pipeline import Batches
from recalib_keras.synthesis import GeneratedExamples, LabelMaps, LabelTable, RandomScan, Synthesis
from recalib_keras.training.data.class_balance import ClassShare, class_balance
from recalib_keras.training.data.examples import Examples, inspect, read_scan, steps_per_epoch
from recalib_keras.training.data.scan_cache import ScanCache
from recalib_keras.training.data.split import Split
from recalib_keras.training.losses.label_sets import LabelSets
from recalib_keras.training.recipe import Recipe
from recalib_keras.volumes import VolumeError

Progress = Callable[[int, int], object]


def unseen(done: int, count: int) -> None:
    """Shows no progress."""


class ScanSource:
    """Labelled scans, prepared in the cache on disk or in memory.

    Attributes:
        label_sets: What voxels of the scans may be.

    Args:
        recipe: The recipe of the training.
        split: The training scans, which are prepared now, and the validation scans, which are checked now and read
            again when they validate.
        on_scan: Called with `(done, count)` after each scan.
        use_cache: Whether prepared scans lie in the cache on disk, see `recalib_keras.training.data.scan_cache`;
            otherwise all of them are kept in memory.

    Raises:
        DatasetError: Scans cannot be read, or have labels that the recipe does not have; lists every problem.
    """

    def __init__(self, recipe: Recipe, split: Split, on_scan: Progress = unseen, use_cache: bool = False):
        self.recipe, self.scans, problems = recipe, [], []
        self.label_sets = LabelSets.of([*split.training, *split.validation], recipe.labels)
        count = len(split.training) + len(split.validation)
        cache = ScanCache(recipe.input, recipe.labels) if use_cache else None
        for done, labelled in enumerate(split.training, start=1):
            with noted(problems, labelled.image):
                self.scans.append(self._prepared(labelled, cache, len(split.training) + 1 - done))
            on_scan(done, count)
        if cache is not None:
            cache.save()
        for done, labelled in enumerate(split.validation, start=len(split.training) + 1):
            problems += inspect(labelled, recipe.labels).problems
            on_scan(done, count)
        if problems:
            raise DatasetError(problems)

    def _prepared(self, labelled, cache, remaining):
        if cache is None:
            return read_scan(labelled, self.recipe.input, self.recipe.labels)
        return cache.scan(labelled, remaining)

    @property
    def names(self) -> list[str]:
        """Names of the training scans."""
        return [scan.name for scan in self.scans]

    def class_balance(self) -> list[ClassShare]:
        """Returns the share of each class in the training scans, the background first."""
        return class_balance(self.scans, self.recipe)

    def class_maps(self) -> Iterable[np.ndarray]:
        """Returns the classes of each scan's voxels, integers `(X, Y, Z)`; in one row without those of any class."""
        return map(self._class_map, self.scans)

    def _class_map(self, scan):
        classes, sets = np.asarray(scan.classes), self.label_sets
        return classes if scan.known is None else classes[sets.codes(scan.known)[classes] != sets.anything]

    def examples(self, epoch: int, share: slice) -> Batches:
        """Returns the examples of an epoch; see `Examples`.

        Args:
            epoch: Number of the epoch, from 0.
            share: Which examples of each batch to prepare.
        """
        return Examples(self.scans, self.recipe, epoch, share, self.label_sets)


class LabelMapSource:
    """Label maps, in memory, from which scans are generated; these vary more from epoch to epoch.

    Args:
        recipe: Recipe with a table `[synthesis]`.
        split: The label maps to generate training scans from, which are read now, and the validation scans, whose
            label maps are checked now.
        table: What the numbers in the label maps mean.
        merge: From numbers of structures, as text, to the number that they count as; None for the recipe's.

    Raises:
        DatasetError: Label maps cannot be used; lists every problem.
        RecordError: The recipe lacks a structure of theirs.
    """

    def __init__(self, recipe: Recipe, split: Split, table: LabelTable, merge: Mapping[str, int] | None = None):
        self.recipe, self.label_sets = recipe, LabelSets(len(recipe.labels))
        training, validation = ([scan.labels for scan in scans] for scans in split)
        self.maps = _read_maps(training, dict.fromkeys(validation), table, recipe.input.orientation)
        merge = recipe.data.merge if merge is None else merge
        self.random_scan = RandomScan.for_input(
            recipe.input, table, recipe.synthesis, self.maps.spacing, recipe.labels, merge
        )
        self._training: Sequence[LabelledScan] = split.training

    @property
    def names(self) -> list[str]:
        """Names of the training label maps."""
        return [scan.name for scan in self._training]

    def class_balance(self) -> list[ClassShare]:
        """Returns nothing: what is generated has no fixed shares."""
        return []

    def class_maps(self) -> Iterator[np.ndarray]:
        """Returns the classes of each label map's voxels, with the background around the head."""
        return (self.random_scan.classes[array] for array in self.maps.arrays)

    def examples(self, epoch: int, share: slice, steps: int | None = None) -> Batches:
        """Returns the examples of an epoch; see `recalib_keras.synthesis.GeneratedExamples`.

        Args:
            epoch: Number of the epoch, from 0.
            share: Which examples of each batch to prepare.
            steps: Number of batches; None for the recipe's.
        """
        recipe = self.recipe
        return GeneratedExamples(
            self.maps,
            self.random_scan,
            steps or steps_per_epoch(len(self.maps), recipe.schedule),
            recipe.schedule.batch_size,
            recipe.seed,
            epoch,
            settings_of(recipe, epoch),
            recipe.input.slice_axis,
            share,
            recipe.input.context,
        )


class MixedSource(ScanSource):
    """Labelled scans with generated ones among them; see `recalib_keras.training.recipe_tables.Mixture`.

    Args:
        recipe: Recipe with tables `[mixture]` and `[synthesis]`.
        split: See `ScanSource`; and the label maps to generate scans from.
        folder: Folder of their table, `generation.json`.
        on_scan: See `ScanSource`.
        use_cache: See `ScanSource`.

    Raises:
        DatasetError: Scans or label maps cannot be used; lists every problem of either.
        RecordError: The label maps and the recipe have no structure in common, or one number for two of them.
    """

    def __init__(
        self,
        recipe: Recipe,
        split: Split,
        folder: str | os.PathLike,
        on_scan: Progress = unseen,
        use_cache: bool = False,
    ):
        table = LabelTable.read(folder)
        merge = _merge_into(recipe, table, folder)
        self.generated = LabelMapSource(recipe, Split([*split.mixed_in], []), table, merge)
        self.known = _known_in_maps(self.generated, recipe, folder)
        super().__init__(recipe, split, on_scan, use_cache)
        self.label_sets = LabelSets.of([*split.training, *split.validation], recipe.labels, [self.known])

    def examples(self, epoch: int, share: slice) -> Batches:
        """Returns the examples of an epoch; see `MixedExamples`.

        Args:
            epoch: Number of the epoch, from 0.
            share: Which examples of each batch to prepare.
        """
        labelled = super().examples(epoch, share)
        generated = self.generated.examples(epoch, share, len(labelled))
        return MixedExamples(labelled, generated, self.recipe, epoch, share, self.label_sets, self.known)


class MixedExamples(Batches):
    """The examples of an epoch, some of them generated: which ones is drawn anew for each, with the recipe's share.

    Args:
        labelled: Those of labelled scans.
        generated: As many batches of generated ones.
        recipe: Recipe with a table `[mixture]`.
        epoch: Number of the epoch, from 0.
        share: Which examples of each batch these are.
        label_sets: What voxels may be.
        known: Whether each class is known in generated scans.
    """

    def __init__(
        self,
        labelled: Batches,
        generated: Batches,
        recipe: Recipe,
        epoch: int,
        share: slice,
        label_sets: LabelSets,
        known: Sequence[bool],
    ):
        super().__init__()
        self.labelled, self.generated = labelled, generated
        self.recipe, self.seed, self.epoch, self.share = recipe, recipe.seed, epoch, share
        self.label_sets, self.known = label_sets, known

    def __len__(self) -> int:
        return len(self.labelled)

    def files(self, step: int) -> list[str]:
        """Returns the files of the scans and label maps in a batch.

        Args:
            step: Number of the batch, from 0.
        """
        chosen = self._is_generated(step)
        of_maps = np.resize(self.generated.files(step), len(chosen))  # slices come from one map
        return np.where(chosen, of_maps, self.labelled.files(step)).tolist()

    def _make(self, step):
        images, classes = self.labelled[step]
        chosen = self._is_generated(step)[self.share]
        if not chosen.any():
            return images, classes
        # A whole batch, though fewer may be needed: the layer is compiled for one size.
        generated, found = self.generated[step]
        found = self.label_sets.coded(found, [self.known] * len(chosen))
        chosen = ops.convert_to_tensor(chosen.reshape(-1, *(1,) * (len(images.shape) - 1)))
        return ops.where(chosen, generated, images), ops.where(chosen, ops.cast(found, classes.dtype), classes)

    def _is_generated(self, step):
        rng = np.random.default_rng([self.seed, self.epoch, step, 1])  # 1: not the numbers of the examples
        return rng.random(self.recipe.schedule.batch_size) < self.recipe.mixture.share


def make_source(
    recipe: Recipe,
    split: Split,
    data_root: str | os.PathLike,
    on_scan: Progress = unseen,
    use_cache: bool = False,
) -> ScanSource | LabelMapSource | MixedSource:
    """Returns the source of a recipe's training examples.

    Args:
        recipe: The recipe.
        split: Its scans.
        data_root: Folder that the recipe's data folder is relative to.
        on_scan: Called with `(done, count)` after each labelled scan that is read.
        use_cache: See `ScanSource`.

    Raises:
        TrainingError: There is no training scan.
        DatasetError: Training or validation scans cannot be used; lists every problem.
    """
    if not split.training:
        raise TrainingError(
            expected="scans to train on besides the validation scans",
            received=f"{len(split.validation)} in all, all of them for validation",
            remedy="see data.validate_every and data.held_out",
        )
    if recipe.mixture is not None:
        return MixedSource(recipe, split, Path(data_root) / recipe.mixture.folder, on_scan, use_cache)
    if recipe.synthesis is None:
        return ScanSource(recipe, split, on_scan, use_cache)
    return LabelMapSource(recipe, split, LabelTable.read(Path(data_root) / recipe.data.folder))


def settings_of(recipe: Recipe, epoch: int) -> Synthesis:
    """Returns how far the generated scans of an epoch vary.

    Args:
        recipe: Recipe with a table `[synthesis]`.
        epoch: Number of the epoch, from 0.
    """
    first, last = recipe.synthesis_start or recipe.synthesis, recipe.synthesis
    share = epoch / recipe.schedule.variety_epochs if recipe.schedule.variety_epochs else 1.0
    return first.toward(last, min(1.0, share))


def _merge_into(recipe, table, folder):
    """Returns what numbers of label maps count as in a recipe: those that it neither has nor merges are background.

    Raises:
        RecordError: A number has another name in the recipe, or `merge` has a number that is not in the table.
    """
    names = {label.id: label.name for label in recipe.labels}
    numbers = {*table.targets(names)}
    unknown = [number for number in recipe.mixture.merge if int(number) not in numbers]
    if unknown:
        expected = f"numbers of {folder} as keys, {listed(sorted(numbers))}"
        raise RecordError(part="mixture: merge", expected=expected, received=unknown[0])
    merge = {**recipe.data.merge, **recipe.mixture.merge}
    for number, name in {entry.target: entry.target_name for entry in table.labels}.items():
        wanted = names.get(number)
        if wanted is not None and str(number) not in merge and plain_name(wanted) != plain_name(name):
            raise RecordError(
                part="mixture",
                expected=f"label {number} of {folder} to be {wanted!r}, as in the recipe",
                received=repr(name),
                remedy=f"say what it counts as: mixture.merge = {{ {number} = 0 }} for background, or {number} = "
                f"{number} if it is the same structure",
            )
    lacking = {str(number): 0 for number in numbers if number not in names and str(number) not in merge}
    return {**lacking, **{number: other for number, other in merge.items() if int(number) in numbers}}


def _known_in_maps(generated, recipe, folder):
    """Returns whether each class of a recipe occurs in label maps, or in their mirror images; the background does."""
    random_scan = generated.random_scan
    shown = np.unique(np.concatenate([np.unique(array) for array in generated.maps.arrays]))
    if recipe.synthesis.flip or recipe.augmentation.flip:
        shown = np.concatenate([shown, random_scan.table.mirrors[shown]])
    found = {0, *random_scan.classes[shown].tolist()}
    if len(found) == 1:
        raise RecordError(
            file=folder,
            expected=f"label maps with some of the labels {listed(label.id for label in recipe.labels[1:])}",
            received="none of them",
            remedy="give their numbers by mixture.merge",
        )
    return [index in found for index in range(len(recipe.labels))]


def _read_maps(files, validation, table, orientation):
    """Returns the `LabelMaps` of files; raises all problems with them and with those of the validation scans."""
    problems = _problems(validation, table)
    try:
        maps = LabelMaps.read(files, table, orientation)
    except VolumeError as error:
        problems = [*(_problems(files, table) or [Problem.of(files[0].parent, error)]), *problems]
    if problems:
        raise DatasetError(problems)
    return maps


def _problems(files, table):
    """Returns the problems with label maps, each read by itself."""
    problems = []
    for file in files:
        with noted(problems, file):
            LabelMaps.read([file], table)
    return problems

"""Where training examples come from: labelled scans, or label maps that scans are generated from."""

from recalib_keras.core.errors import TrainingError
from recalib_keras.datasets import DatasetError, Problem
from recalib_keras.datasets.problems import noted
from recalib_keras.synthesis import GeneratedExamples, LabelMaps, LabelTable, RandomScan
from recalib_keras.training.data.examples import Examples, inspect, read_scan, steps_per_epoch
from recalib_keras.training.validation import split
from recalib_keras.volumes import VolumeError


class Scans:
    """Labelled scans, in memory.

    Args:
        recipe: `Recipe`.
        training: list of `recalib_keras.datasets.LabelledScan`.
        validation: list of those held out, which are checked now and read again when they validate.

    Raises:
        DatasetError: if any of them cannot be read or has a label that the recipe has not; all that is wrong is told.
    """

    def __init__(self, recipe, training, validation):
        self.recipe, self.scans, problems = recipe, [], []
        for labelled in training:
            with noted(problems, labelled.image):
                self.scans.append(read_scan(labelled, recipe.input, recipe.labels))
        for labelled in validation:
            problems += inspect(labelled, recipe.labels).problems
        if problems:
            raise DatasetError(problems)

    @property
    def names(self):
        """Names of the scans."""
        return [scan.name for scan in self.scans]

    def class_maps(self):
        """Yields the classes of each scan's voxels."""
        return (scan.classes for scan in self.scans)

    def examples(self, epoch, share):
        """Returns the examples of an epoch; see `Examples`."""
        return Examples(self.scans, self.recipe, epoch, share)


class Maps:
    """Label maps in memory, of which scans are generated, varying more from epoch to epoch.

    Args:
        recipe: `Recipe` with a table of synthesis.
        training: list of `recalib_keras.datasets.LabelledScan`, whose label maps are meant.
        validation: list of those held out, whose label maps are checked.
        folder: path of the table, `generation.json`.

    Raises:
        DatasetError: if any of the maps cannot be used; all that is wrong is told.
    """

    def __init__(self, recipe, training, validation, folder):
        self.recipe = recipe
        table = LabelTable.read(folder)
        files, held_out = ([scan.labels for scan in scans] for scans in (training, validation))
        self.maps = _read_maps(files, dict.fromkeys(held_out), table, recipe.input.orientation)
        self.random_scan = RandomScan.for_input(
            recipe.input, table, recipe.synthesis, self.maps.spacing, recipe.labels, recipe.data.merge
        )
        self.names = [scan.name for scan in training]

    def class_maps(self):
        """Yields the classes of each label map's voxels, the background around the head counted in."""
        return (self.random_scan.classes[array] for array in self.maps.arrays)

    def examples(self, epoch, share):
        """Returns the examples of an epoch; see `recalib_keras.synthesis.GeneratedExamples`."""
        recipe = self.recipe
        return GeneratedExamples(
            self.maps,
            self.random_scan,
            steps_per_epoch(len(self.maps), recipe.schedule),
            recipe.schedule.batch_size,
            recipe.seed,
            epoch,
            settings_of(recipe, epoch),
            recipe.input.slice_axis,
            share,
            recipe.input.context,
        )


def _read_maps(files, held_out, table, orientation):
    """Returns the `LabelMaps` of some files, or tells all that is wrong with them and with those held out."""
    problems = _problems(held_out, table)
    try:
        maps = LabelMaps.read(files, table, orientation)
    except VolumeError as error:
        problems = [*(_problems(files, table) or [Problem.of(files[0].parent, error)]), *problems]
    if problems:
        raise DatasetError(problems)
    return maps


def _problems(files, table):
    """Returns what is wrong with label maps, each by itself."""
    problems = []
    for file in files:
        with noted(problems, file):
            LabelMaps.read([file], table)
    return problems


def settings_of(recipe, epoch):
    """Returns how far the scans of an epoch vary, a `recalib_keras.synthesis.Synthesis`."""
    first, last = recipe.synthesis_start or recipe.synthesis, recipe.synthesis
    share = epoch / recipe.schedule.variety_epochs if recipe.schedule.variety_epochs else 1.0
    return first.toward(last, min(1.0, share))


def find_source(recipe, data_root):
    """Returns the source of the training examples, and the list of the scans that are held out.

    Args:
        recipe: `Recipe`.
        data_root: path that the folder of its data is relative to.

    Raises:
        TrainingError: if no scan is left to learn from.
        DatasetError: if any scan cannot be used, to learn from or held out; all that is wrong is told.
    """
    training, validation = split(recipe, data_root)
    if not training:
        raise TrainingError(
            f"expected scans to train on beside those held out, found {len(validation)} in all, all of them held out; "
            "see data.validate_every and data.held_out"
        )
    if recipe.synthesis is None:
        return Scans(recipe, training, validation), validation
    return Maps(recipe, training, validation, data_root / recipe.data.folder), validation

"""Where training examples come from: labelled scans, or label maps that scans are generated from."""

from recalib_keras.synthesis import GeneratedExamples, LabelMaps, LabelTable, RandomScan
from recalib_keras.training.errors import TrainingError
from recalib_keras.training.examples import Examples, read_scan, steps_per_epoch
from recalib_keras.training.validation import split


class Scans:
    """Labelled scans, in memory.

    Args:
        recipe: `Recipe`.
        training: list of `recalib_keras.datasets.LabelledScan`.
    """

    def __init__(self, recipe, training):
        self.recipe = recipe
        self.scans = [read_scan(scan, recipe.input, recipe.labels) for scan in training]

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
        folder: path of the table, `generation.json`.
    """

    def __init__(self, recipe, training, folder):
        self.recipe = recipe
        table = LabelTable.read(folder)
        self.maps = LabelMaps.read([scan.labels for scan in training], table, recipe.input.orientation)
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
        )


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
    """
    training, validation = split(recipe, data_root)
    if not training:
        raise TrainingError(
            f"expected scans to train on beside those held out, found {len(validation)} in all, all of them held out; "
            "see data.validate_every and data.held_out"
        )
    if recipe.synthesis is None:
        return Scans(recipe, training), validation
    return Maps(recipe, training, data_root / recipe.data.folder), validation

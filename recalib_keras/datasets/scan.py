"""A labelled scan on disk, and how it is read."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from recalib_keras import volumes
from recalib_keras.datasets.problems import DatasetError, Problem


class Inspection(NamedTuple):
    """What came of reading a scan: two volumes on one grid (None where one cannot be had), and all that is wrong."""

    image: volumes.Volume | None
    labels: volumes.Volume | None
    problems: list[Problem]


@dataclass(frozen=True)
class LabelledScan:
    """A scan and its label map, by path: light, and fit to be sent to other processes.

    This one is a scan and a label map in a file each. Sets that are stored in another way have subclasses that
    override `inspect`.

    Args:
        name: of its own in the set.
        image: file of the scan, or folder of its DICOM series.
        labels: file of the label map, or folder of the files it is made of.
        patient: whose scan it is; all scans of a patient stay on one side of a split. Default: `name`.
        part: `"train"` or `"test"` where the set is officially split, else None.
        volume: which volume of a 4-D image, counted from 0; None for a 3-D image.
        merge: pairs of label numbers, of which the first counts as the second.
    """

    name: str
    image: Path
    labels: Path
    patient: str = ""
    part: str | None = None
    volume: int | None = None
    merge: tuple[tuple[int, int], ...] = ()

    def __post_init__(self):
        if not self.patient:
            object.__setattr__(self, "patient", self.name)

    def read(self):
        """Returns image and labels, merged, two `recalib_keras.volumes.Volume` on one grid: float32, and integers.

        Raises:
            DatasetError: a file cannot be read, or the files do not fit each other (all that is wrong is told).
            ImportError: the set needs a library that is not installed.
        """
        image, labels, problems = self.inspect()
        if problems:
            raise DatasetError(problems)
        return image, replace(labels, array=self.merged(labels.array))

    @property
    def as_stored(self):
        """This scan with its labels as they are stored, none of them merged: the same for networks of other labels."""
        return replace(self, merge=())

    def merged(self, numbers):
        """Returns an array of label numbers in which those that are merged are the numbers they count as."""
        merged = numbers.copy() if self.merge else numbers
        for number, other in self.merge:
            merged[numbers == number] = other
        return merged

    def inspect(self):
        """Returns an `Inspection`: reads all that can be read, and collects problems instead of raising the first."""
        problems = []
        image = labels = None
        with noted(problems, self.image):
            image = volumes.read(self.image, self.volume)
        with noted(problems, self.labels):
            labels = volumes.read_labels(self.labels)
            if image is not None:
                labels = labels.aligned(image.grid)
        return Inspection(image, labels, problems)


@contextlib.contextmanager
def noted(problems, file):
    """Adds an error that is met while reading a file to `problems`, and lets the reading go on behind the block."""
    try:
        yield
    except DatasetError as error:
        problems += error.problems
    except (volumes.VolumeError, OSError) as error:
        problems.append(Problem.of(file, error))

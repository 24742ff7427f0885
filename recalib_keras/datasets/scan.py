"""A labelled scan on disk, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from recalib_keras import volumes
from recalib_keras.datasets.label_mapping import LabelMapping
from recalib_keras.datasets.problems import DatasetError, Problem, noted
from recalib_keras.volumes.names import PAIR_SUFFIXES, partner


class Inspection(NamedTuple):
    """What reading a scan gave.

    Attributes:
        image: The scan, float32, or None if it cannot be read.
        labels: The label map, integers, or None if it cannot be read. Without problems it has the grid of `image`.
        problems: Everything that is wrong.
    """

    image: volumes.Volume | None
    labels: volumes.Volume | None
    problems: list[Problem]


@dataclass(frozen=True)
class LabelledScan:
    """A scan and its label map, by path: small, so that it can be sent to other processes.

    This class reads a scan and a label map of one file each. Sets that are stored in another way have subclasses that
    override `inspect`.

    Args:
        name: Unique in the set.
        image: File of the scan, or folder of its DICOM series.
        labels: File of the label map, or folder of the files that it is made of.
        patient: Whose scan it is; a split keeps all scans of a patient together. Default: `name`.
        part: `"train"` or `"test"` if the set has an official split, else None.
        volume: Which volume of a 4-D image, counted from 0; None for a 3-D image.
        merge: Pairs of label numbers, of which the first counts as the second.
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

    def read(self) -> tuple[volumes.Volume, volumes.Volume]:
        """Returns the image (float32) and its label map (integers, merged) on one grid.

        Raises:
            DatasetError: A file cannot be read, or the files do not fit each other; lists everything that is wrong.
            ImportError: The set needs a library that is not installed.
        """
        image, labels, problems = self.inspect()
        if problems:
            raise DatasetError(problems)
        return image, replace(labels, array=self.merged(labels.array))

    @property
    def files(self) -> list[Path]:
        """All files that the scan is read from: a folder stands for the files in it, one of a pair for both."""
        return [file for path in dict.fromkeys(self._paths()) for file in _files_at(Path(path))]

    def _paths(self):
        """Returns the files and folders that `inspect` reads."""
        return [self.image, self.labels]

    @property
    def as_stored(self) -> Self:
        """This scan with its labels as they are stored, none merged: the same for networks of other labels."""
        return replace(self, merge=())

    def merged(self, numbers: np.ndarray) -> np.ndarray:
        """Returns an array of label numbers, each replaced by the number that it counts as.

        Args:
            numbers: Integers, of any shape.
        """
        return LabelMapping.merging(self.merge)(numbers) if self.merge else numbers

    def inspect(self) -> Inspection:
        """Reads all that can be read, and collects problems instead of raising the first one.

        Raises:
            ImportError: The set needs a library that is not installed.
        """
        problems = []
        image = labels = None
        with noted(problems, self.image):
            image = volumes.read(self.image, self.volume)
        with noted(problems, self.labels):
            labels = volumes.read_labels(self.labels)
            if image is not None:
                labels = labels.aligned(image.grid)
        return Inspection(image, labels, problems)


def _files_at(path):
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path, partner(path)] if path.suffix.lower() in PAIR_SUFFIXES else [path]

"""A labelled scan on disk, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from recalib_keras import volumes
from recalib_keras.datasets.label_mapping import LabelMapping, distinct
from recalib_keras.datasets.problems import DatasetError, Problem, noted
from recalib_keras.volumes.channels import number_of_volumes
from recalib_keras.volumes.names import PAIR_SUFFIXES, partner


class Inspection(NamedTuple):
    """What reading a scan gave.

    Attributes:
        image: The scan, float32, with all of its channels; or None if it cannot be read.
        labels: The label map, integers, or None if it cannot be read. Without problems it has the grid of `image`.
        problems: Everything that is wrong.
    """

    image: volumes.Volume | volumes.Channels | None
    labels: volumes.Volume | None
    problems: list[Problem]


class Channel(NamedTuple):
    """One channel of a scan.

    Args:
        name: Its name, such as `"FLAIR"`; where the set has none, its number.
        file: The file that holds it.
        volume: Which volume of a 4-D file, counted from 0; None for a 3-D file.
    """

    name: str
    file: Path
    volume: int | None = None


@dataclass(frozen=True)
class LabelledScan:
    """A scan and its label map, by path: small, so that it can be sent to other processes.

    This class reads a label map of one file, and a scan of one file, or of one for each channel. Sets that are stored
    in another way have subclasses that override `inspect`.

    Args:
        name: Unique in the set.
        image: File of the scan, or folder of its DICOM series.
        labels: File of the label map, or folder of the files that it is made of.
        patient: Whose scan it is; a split keeps all scans of a patient together. Default: `name`.
        part: `"train"` or `"test"` if the set has an official split, else None.
        volume: Which volume of a 4-D image, counted from 0; None for a 3-D image.
        merge: Pairs of label numbers, of which the first counts as the second.
        channels: The channels of a scan of several; empty for a scan of one channel.
        annotated: The label numbers that were looked for in the scan, before any are merged; None for all. A voxel
            without a label may show any other structure.
        ignore: The number of voxels that nobody looked at; None if there is none.
    """

    name: str
    image: Path
    labels: Path
    patient: str = ""
    part: str | None = None
    volume: int | None = None
    merge: tuple[tuple[int, int], ...] = ()
    channels: tuple[Channel, ...] = ()
    annotated: tuple[int, ...] | None = None
    ignore: int | None = None

    def __post_init__(self):
        if not self.patient:
            object.__setattr__(self, "patient", self.name)

    def read(self) -> tuple[volumes.Volume | volumes.Channels, volumes.Volume]:
        """Returns the image (float32), with all of its channels, and its label map (integers, merged) on one grid.

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
        return [*([channel.file for channel in self.channels] or [self.image]), self.labels]

    @property
    def as_stored(self) -> Self:
        """This scan with its labels as they are stored, none merged: the same for networks of other labels."""
        return replace(self, merge=())

    @property
    def has_unknown(self) -> bool:
        """Whether anything in the scan is unknown."""
        return self.annotated is not None or self.ignore is not None

    def knows(self, number: int) -> bool:
        """Returns whether a label was looked for in the scan, with all labels that are merged into it.

        Args:
            number: The label's number, after merging.
        """
        sources = {number, *(source for source, target in self.merge if target == number)}
        return self.annotated is None or sources <= {*self.annotated, 0}

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
            image = self._read_channels() if self.channels else volumes.read(self.image, self.volume)
        with noted(problems, self.labels):
            labels = volumes.read_labels(self.labels)
            if image is not None:
                labels = labels.aligned(image.grid)
            self._check_annotated(labels, problems)
        return Inspection(image, labels, problems)

    def _check_annotated(self, labels, problems):
        """Adds a problem if the label map has a label that was not looked for."""
        if self.annotated is None:
            return
        others = [number for number in distinct(labels.array) if number not in (0, self.ignore, *self.annotated)]
        if others:
            expected = f"the labels that were looked for in {self.name}, {list(self.annotated)}"
            problems.append(Problem(self.labels, expected, f"{others[:10]} too", "correct the list of that scan"))

    def _read_channels(self):
        """Returns the channels of the scan; raises every problem with them."""
        found, problems = [], []
        for channel in self.channels:
            try:
                self._check_volumes(channel)
                found.append(volumes.read(channel.file, channel.volume))
            except volumes.VolumeError as error:
                expected = (
                    f"the channel {channel.name} of {self.patient}: {error.expected or 'a file that can be read'}"
                )
                problems.append(Problem(channel.file, expected, error.received or str(error), error.remedy))
        if problems:
            raise DatasetError(problems)
        return volumes.Channels(tuple(channel.name for channel in self.channels), tuple(found))

    def _check_volumes(self, channel):
        """Checks that a 4-D file has a volume for this channel."""
        count = None if channel.volume is None else number_of_volumes(channel.file)
        if count is not None and channel.volume >= count:
            received = "a 3-D image" if count == 1 else f"an image of {count} volumes"
            remedy = "give every scan the same channels, or take this one out"
            expected = f"a 4-D image of which it is volume {channel.volume}"
            raise volumes.VolumeError(expected=expected, received=received, remedy=remedy)


def _files_at(path):
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path, partner(path)] if path.suffix.lower() in PAIR_SUFFIXES else [path]

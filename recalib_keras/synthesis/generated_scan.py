"""A scan generated from a label map, whole and always the same, to measure networks on."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from keras import ops

from recalib_keras.datasets import Inspection, LabelledScan
from recalib_keras.datasets.problems import Problem, noted
from recalib_keras.synthesis.geometry import HEAD
from recalib_keras.synthesis.label_maps import LabelMaps
from recalib_keras.synthesis.label_table import LabelTable
from recalib_keras.synthesis.random_scan import RandomScan
from recalib_keras.synthesis.settings import Synthesis
from recalib_keras.volumes import Grid, Volume, smallest_integer
from recalib_keras.zoo.preset import Label

# Size of the scan relative to the head's, so that the deformed head fits.
MARGIN = 1.1
# Scans kept in memory, so that a training need not generate its validation scans again and again.
KEPT = 16


@dataclass(frozen=True)
class GeneratedScan(LabelledScan):
    """A scan of a head that is generated when it is read, in the label map's own resolution, around the brain.

    Args:
        name: See `LabelledScan`.
        image: The label map.
        labels: The label map.
        patient: See `LabelledScan`.
        part: See `LabelledScan`.
        volume: See `LabelledScan`.
        merge: See `LabelledScan`.
        table: File of the `LabelTable`, or the folder of its `generation.json`.
        itself: Numbers of labels that are segmented as themselves, whatever their target in the table.
        settings: How far the scan varies.
        seed: Integer.
    """

    table: Path | None = None
    itself: tuple[int, ...] = ()
    settings: Synthesis = field(default_factory=Synthesis)
    seed: int = 0

    @property
    def as_stored(self) -> GeneratedScan:
        """This scan with no labels merged and none segmented as itself: the same for networks of other labels."""
        return replace(super().as_stored, itself=())

    def inspect(self) -> Inspection:
        """Returns an `Inspection`; intensities are on the scale of the table's prior."""
        problems: list[Problem] = []
        with noted(problems, self.labels):
            image, labels = _generate(self)
            return Inspection(image, labels, problems)
        return Inspection(None, None, problems)


@functools.lru_cache(KEPT)
def _generate(scan):
    table = _table(scan.table)
    maps = LabelMaps.read([scan.labels], table)
    sizes = np.minimum(np.array(HEAD) / maps.spacing, MARGIN * maps.heads[0])
    window = tuple(int(size) for size in np.ceil(sizes))
    numbers = np.unique([label.id for label in table.structures] + list(set(scan.itself).intersection(table.numbers)))
    random_scan, run = _random_scan(scan.table, window, maps.spacing, scan.settings, tuple(numbers.tolist()))
    image, classes = run(maps.arrays, random_scan.draw(maps.centres, scan.seed))
    image, classes = (ops.convert_to_numpy(array)[0, ..., 0] for array in (image, classes))
    numbers = numbers.astype(smallest_integer(numbers))  # many such maps are kept
    affine = np.diag([*maps.spacing, 1.0])
    affine[:3, 3] = -(np.array(window) - 1) / 2 * maps.spacing
    grid = Grid(window, affine)
    return Volume(image, grid), Volume(numbers[classes], grid)


@functools.lru_cache(1)
def _table(path):
    return LabelTable.read(path)


@functools.lru_cache(2)
def _random_scan(table, window, spacing, settings, numbers):
    """Returns a generator that many scans share, and its compiled call; its classes are those numbers, in order."""
    table = _table(table)
    classes = table.classes([Label(number, str(number)) for number in numbers])
    random_scan = RandomScan(table, window, settings, spacing, spacing, classes, normalization="none")
    return random_scan, random_scan.compiled()

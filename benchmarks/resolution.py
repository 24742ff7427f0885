"""Measures the best possible Dice for each voxel size: `python -m benchmarks.resolution [--spacing 1.5 2 3]`.

Label maps of heads at 1 mm are resampled to the voxels that a network would see, and back to 1 mm as its predictions
are: linearly, the share of each structure by itself. "shares" is the mean Dice over structures of a network that knows
the share of each structure in each of its voxels. "labels" is that of a network that knows the label nearest to the
centre of each of its voxels; this is how the label maps of real scans are resampled. "hardest" is the structure with
the lowest Dice of "shares", followed by this Dice.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import timing
from recalib_keras import zoo
from recalib_keras.evaluation import dice
from recalib_keras.synthesis import LabelTable
from recalib_keras.synthesis.label_maps import bounds
from recalib_keras.volumes import Volume, read_labels

COLUMNS = ("voxels mm", "maps", "shares", "labels", "hardest", "its Dice")
MARGIN = 8  # voxels around the brain


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RECALIB_DATA", ".")), metavar="FOLDER")
    parser.add_argument("--maps", nargs="+", default=["17", "18", "19", "20"], metavar="NN", help="numbers of the maps")
    parser.add_argument("--spacing", type=float, nargs="+", default=[1.5, 2.0, 3.0], metavar="MM")
    parser.add_argument("--quick", action="store_true", help="only the first map and size, to check that it runs")
    arguments = parser.parse_args()
    folder, few = arguments.data / "brain_labels", 1 if arguments.quick else None
    table = LabelTable.read(folder)
    maps = [structures_of(folder / f"training_seg_{number}.nii.gz", table) for number in arguments.maps[:few]]
    rows = [row(maps, table.structures[1:], spacing) for spacing in arguments.spacing[:few]]
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("resolution", rows))


def structures_of(path: Path, table: LabelTable) -> Volume:
    """Returns the structures of a label map as a `Volume` of label numbers, cropped to the brain."""
    stored = read_labels(path)
    targets = np.zeros(1 + table.numbers.max(), "int32")
    targets[table.numbers] = [entry.target for entry in table.labels]
    found = targets[stored.array]
    ends = zip(bounds(found != 0).tolist(), found.shape)
    box = tuple(slice(max(first - MARGIN, 0), min(last + 1 + MARGIN, size)) for (first, last), size in ends)
    return Volume(found[box], stored.grid.cropped(box))


def row(maps: Sequence[Volume], structures: Sequence[zoo.Label], spacing: float) -> dict[str, Any]:
    """Returns the row of a voxel size, in mm."""
    shares, labels = (
        np.array([_dice(label_map, through(label_map, structures, spacing, order), structures) for label_map in maps])
        for order in (1, 0)
    )
    by_structure = np.nanmean(shares, axis=0)
    hardest = int(np.nanargmin(by_structure))
    values = (spacing, len(maps), np.nanmean(shares), np.nanmean(labels), structures[hardest].name)
    return dict(zip(COLUMNS, (*map(_plain, values), float(by_structure[hardest]))))


def through(ground_truth: Volume, structures: Sequence[zoo.Label], spacing: float, order: int) -> np.ndarray:
    """Returns the labels that remain of a label map after resampling to voxels of another size and back.

    Args:
        ground_truth: The label map.
        structures: The structures, without the background.
        spacing: The size of the other voxels, in mm.
        order: 1 for a network that knows the share of each structure in its voxels, 0 for the nearest label.
    """
    seen = ground_truth.grid.resampled(spacing)
    best = np.zeros(ground_truth.grid.shape, "float32")
    labels = np.zeros(ground_truth.grid.shape, ground_truth.array.dtype)
    for number in (0, *(structure.id for structure in structures)):
        is_it = Volume((ground_truth.array == number).astype("float32"), ground_truth.grid)
        probability = is_it.on(seen, order=order).on(ground_truth.grid).array
        is_more = probability > best
        best[is_more], labels[is_more] = probability[is_more], number
    return labels


def _dice(ground_truth, found, structures):
    return [dice(found, ground_truth.array, structure.id) for structure in structures]


def _plain(value):
    return float(value) if isinstance(value, np.floating) else value


if __name__ == "__main__":
    main()

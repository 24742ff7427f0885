"""What a network could reach at most by the size of its voxels: `python -m benchmarks.resolution [--spacing 1.5 2 3]`.

Label maps of heads at 1 mm go to the voxels that a network would see, and back to 1 mm as its predictions do: linearly,
each structure's share of its own. "shares" is the mean Dice over structures of a network that knows which share of
each of its voxels every structure has; "labels" that of one which knows the label nearest to its centre, as those of
real scans are brought to its voxels; "hardest" the structure with the lowest Dice of the former, and that Dice.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from benchmarks import timing
from recalib_keras.evaluation import dice
from recalib_keras.synthesis import LabelTable
from recalib_keras.synthesis.label_maps import bounds
from recalib_keras.volumes import Volume, read_labels

COLUMNS = ("voxels mm", "maps", "shares", "labels", "hardest", "its Dice")
MARGIN = 8  # voxels around the brain


def main():
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RECALIB_DATA", ".")), metavar="FOLDER")
    parser.add_argument("--maps", nargs="+", default=["17", "18", "19", "20"], metavar="NN", help="numbers of the maps")
    parser.add_argument("--spacing", type=float, nargs="+", default=[1.5, 2.0, 3.0], metavar="MM")
    parser.add_argument("--quick", action="store_true", help="the first map and size, to see that it runs")
    arguments = parser.parse_args()
    folder, few = arguments.data / "brain_labels", 1 if arguments.quick else None
    table = LabelTable.read(folder)
    maps = [structures_of(folder / f"training_seg_{number}.nii.gz", table) for number in arguments.maps[:few]]
    rows = [row(maps, table.structures[1:], spacing) for spacing in arguments.spacing[:few]]
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("resolution", rows))


def structures_of(path, table):
    """Returns the structures of a label map around the brain, a `Volume` of their numbers."""
    stored = read_labels(path)
    targets = np.zeros(1 + table.numbers.max(), "int32")
    targets[table.numbers] = [entry.target for entry in table.labels]
    found = targets[stored.array]
    ends = zip(bounds(found != 0).tolist(), found.shape)
    box = tuple(slice(max(first - MARGIN, 0), min(last + 1 + MARGIN, size)) for (first, last), size in ends)
    return Volume(found[box], stored.grid.cropped(box))


def row(maps, structures, spacing):
    """Returns the row of a voxel size, in mm."""
    shares, labels = (
        np.array([_dice(truth, through(truth, structures, spacing, order), structures) for truth in maps])
        for order in (1, 0)
    )
    by_structure = np.nanmean(shares, axis=0)
    hardest = int(np.nanargmin(by_structure))
    values = (spacing, len(maps), np.nanmean(shares), np.nanmean(labels), structures[hardest].name)
    return dict(zip(COLUMNS, (*map(_plain, values), float(by_structure[hardest]))))


def through(truth, structures, spacing, order):
    """Returns the labels that are left of a label map once it was seen in voxels of another size.

    Args:
        truth: `Volume` of numbers.
        structures: sequence of `recalib_keras.zoo.Label`, without the background.
        spacing: of those voxels, in mm.
        order: 1 for a network that knows the share of each structure in them, 0 for the nearest label.
    """
    seen = truth.grid.resampled(spacing)
    best, labels = np.zeros(truth.grid.shape, "float32"), np.zeros(truth.grid.shape, truth.array.dtype)
    for number in (0, *(structure.id for structure in structures)):
        is_it = Volume((truth.array == number).astype("float32"), truth.grid)
        probability = is_it.on(seen, order=order).on(truth.grid).array
        is_more = probability > best
        best[is_more], labels[is_more] = probability[is_more], number
    return labels


def _dice(truth, found, structures):
    return [dice(found, truth.array, structure.id) for structure in structures]


def _plain(value):
    return float(value) if isinstance(value, np.floating) else value


if __name__ == "__main__":
    main()

"""How much the intensities of generated scans tell: `python -m benchmarks.difficulty`.

A small network of one hidden layer sees the 3×3×3 intensities around a voxel and tells cerebral cortex, cerebral white
matter and the fluid around the brain apart. It learns from the scans of all held-out heads but the first and is
measured on that one, where it need not tell these three from anything else. What it reaches, in Dice, is no bound for
networks that see more of the head, but what they have to start from; `without` names what the scans were spared.

"deviation" is that of the intensities within the hippocampus (without its outermost voxels) over the range, from the
5th to the 95th percentile, of what lies within 6 mm of it: the median over scans, real ones first.
"""

import argparse
import dataclasses
import os
import warnings
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks import timing
from recalib_keras import datasets
from recalib_keras.evaluation import dice
from recalib_keras.training import Recipe, find_split

RECIPE = Path(__file__).parents[1] / "zoo" / "recipes" / "whole_brain_drafts" / "densenet3d_pe.toml"
TISSUES = {"fluid": (24,), "cortex": (3, 42), "white matter": (2, 41)}
HIPPOCAMPI = (17, 53)
OFF = {
    "": {},
    "noise": {"noise": 0.0},
    "texture": {"texture": 0.0, "texture_scale": 0.0},
    "blur": {"blur": 0.0},
    "partial volume": {"partial_volume": 1},
    "all of these": {"noise": 0.0, "texture": 0.0, "texture_scale": 0.0, "blur": 0.0, "partial_volume": 1},
}
COLUMNS = ("scans", "without", *TISSUES, "deviation")
VOXELS = 30000  # of each scan
MARGIN = 6  # voxels, of 1 mm


def main():
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RECALIB_DATA", ".")), metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="the first kind, to see that it runs")
    arguments = parser.parse_args()
    generated = find_split(Recipe.read(RECIPE), arguments.data)[1]
    rows = [] if arguments.quick else [real_row(datasets.find_scans(arguments.data / "hippocampus", "msd"))]
    for number, kind in enumerate(("mild", "varied")[: 1 if arguments.quick else 2]):
        scans = [scan for scan in generated if scan.seed == number]
        for without, spared in dict(list(OFF.items())[: 1 if arguments.quick else None]).items():
            rows.append(generated_row(kind, without, [_of_t1(scan, spared) for scan in scans]))
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("difficulty", rows))


def real_row(scans):
    """Returns the row of real scans of the hippocampus, whose tissues have no labels."""
    read = [scan.read() for scan in scans]
    deviations = [deviation(image.array, truth.array > 0) for image, truth in read]
    return {"scans": "real crops of the hippocampus", "deviation": float(np.median(deviations))}


def generated_row(kind, without, scans):
    """Returns the row of some generated scans."""
    examples, deviations, rng = [], [], np.random.default_rng(0)
    for scan in scans:
        image, truth = (volume.array for volume in scan.read())
        examples.append(surroundings(image, truth, rng))
        found = [truth == number for number in HIPPOCAMPI]
        deviations += [deviation(image, mask) for mask in found if ndimage.binary_erosion(mask).any()]
    found = dict(zip(TISSUES, told_apart(examples[1:], examples[0])))
    return {"scans": kind, "without": without, **found, "deviation": float(np.median(deviations))}


def surroundings(image, truth, rng):
    """Returns the 27 intensities around voxels of the tissues, in units of bright ones, and which tissue each is."""
    tissue = np.full(truth.shape, -1)
    for place, numbers in enumerate(TISSUES.values()):
        tissue[np.isin(truth, numbers)] = place
    padded = np.pad(image / np.percentile(image[truth > 0], 95), 1, mode="edge")
    chosen = rng.permutation(np.argwhere(tissue >= 0))[:VOXELS]
    around = [padded[tuple((chosen + step).T)] for step in np.ndindex(3, 3, 3)]
    return np.stack(around, axis=1), tissue[tuple(chosen.T)]


def told_apart(training, test):
    """Returns the Dice of each tissue in the examples of `test`, by a network that learns from the others."""
    from sklearn.neural_network import MLPClassifier

    inputs, classes = (np.concatenate(parts) for parts in zip(*training))
    network = MLPClassifier((64,), max_iter=12, batch_size=500, learning_rate_init=3e-3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not have converged
        network.fit(inputs, classes)
    found, truth = network.predict(test[0]), test[1]
    return [float(dice(found, truth, place)) for place in range(len(TISSUES))]


def deviation(image, mask):
    """Returns the deviation within a structure over the range of its surroundings; see the module."""
    box = tuple(slice(max(0, side.start - MARGIN), side.stop + MARGIN) for side in ndimage.find_objects(mask * 1)[0])
    low, high = np.percentile(image[box], (5, 95))
    return image[ndimage.binary_erosion(mask)].std() / (high - low)


def _of_t1(scan, spared):
    settings = dataclasses.replace(scan.settings, random_contrast=0.0, **spared)
    return dataclasses.replace(scan, settings=settings)


if __name__ == "__main__":
    main()

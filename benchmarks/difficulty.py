"""Measures how well intensities alone separate the tissues of generated scans: `python -m benchmarks.difficulty`.

A small network with one hidden layer sees the 3×3×3 intensities around a voxel. It separates cerebral cortex, cerebral
white matter and the fluid around the brain; it does not have to separate these three from other tissues. It learns from
the validation scans of all heads but the first, and its Dice is measured on the first head. Networks that see more of
the head can do better; this score is what they start from. `without` names what was switched off in the scans.

"deviation" is the standard deviation of the intensities inside the hippocampus (without its outermost voxels), divided
by the range, from the 5th to the 95th percentile, of the intensities within 6 mm of it. It is the median over scans;
the first row has real scans.
"""

import argparse
import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RECALIB_DATA", ".")), metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="only the first kind, to check that it runs")
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


def real_row(scans: Sequence[datasets.LabelledScan]) -> dict[str, Any]:
    """Returns the row of real scans of the hippocampus, whose other tissues have no labels."""
    read = [scan.read() for scan in scans]
    deviations = [deviation(image.array, ground_truth.array > 0) for image, ground_truth in read]
    return {"scans": "real crops of the hippocampus", "deviation": float(np.median(deviations))}


def generated_row(kind: str, without: str, scans: Sequence[Any]) -> dict[str, Any]:
    """Returns the row of one kind of generated scans, with something switched off in them."""
    examples, deviations, rng = [], [], np.random.default_rng(0)
    for scan in scans:
        image, ground_truth = (volume.array for volume in scan.read())
        examples.append(surroundings(image, ground_truth, rng))
        found = [ground_truth == number for number in HIPPOCAMPI]
        deviations += [deviation(image, mask) for mask in found if ndimage.binary_erosion(mask).any()]
    found = dict(zip(TISSUES, tissue_dice(examples[1:], examples[0])))
    return {"scans": kind, "without": without, **found, "deviation": float(np.median(deviations))}


def surroundings(
    image: np.ndarray, ground_truth: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 27 intensities around voxels of the tissues, as shares of a bright one, and each voxel's tissue."""
    tissue = np.full(ground_truth.shape, -1)
    for place, numbers in enumerate(TISSUES.values()):
        tissue[np.isin(ground_truth, numbers)] = place
    padded = np.pad(image / np.percentile(image[ground_truth > 0], 95), 1, mode="edge")
    chosen = rng.permutation(np.argwhere(tissue >= 0))[:VOXELS]
    around = [padded[tuple((chosen + step).T)] for step in np.ndindex(3, 3, 3)]
    return np.stack(around, axis=1), tissue[tuple(chosen.T)]


def tissue_dice(training: Sequence[tuple[np.ndarray, np.ndarray]], test: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """Returns the Dice of each tissue in the examples of `test`, by a network that learns from those of `training`."""
    from sklearn.neural_network import MLPClassifier

    inputs, classes = (np.concatenate(parts) for parts in zip(*training))
    network = MLPClassifier((64,), max_iter=12, batch_size=500, learning_rate_init=3e-3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not have to converge
        network.fit(inputs, classes)
    found, ground_truth = network.predict(test[0]), test[1]
    return [float(dice(found, ground_truth, place)) for place in range(len(TISSUES))]


def deviation(image: np.ndarray, mask: np.ndarray) -> float:
    """Returns the deviation inside a structure, divided by the range around it; see the docstring of the module."""
    box = tuple(slice(max(0, side.start - MARGIN), side.stop + MARGIN) for side in ndimage.find_objects(mask * 1)[0])
    low, high = np.percentile(image[box], (5, 95))
    return image[ndimage.binary_erosion(mask)].std() / (high - low)


def _of_t1(scan, spared):
    settings = dataclasses.replace(scan.settings, random_contrast=0.0, **spared)
    return dataclasses.replace(scan, settings=settings)


if __name__ == "__main__":
    main()

"""Label maps and reports made up for the tests."""

import numpy as np
import pytest
from scipy import ndimage

from recalib_keras.evaluation import Measures, Report, Row
from recalib_keras.volumes import Grid, Volume


@pytest.fixture
def blobs():
    """Returns a function that makes a label map of lumpy structures 1 … count, some of which touch the border."""

    def make(shape=(14, 11, 9), count=3, seed=0):
        noise = np.random.default_rng(seed).normal(size=(count + 1, *shape))
        smooth = np.array([ndimage.gaussian_filter(values, 1.5) for values in noise])
        return smooth.argmax(axis=0).astype("int16")

    return make


@pytest.fixture
def volume():
    """Returns a function that makes a volume of an array, with voxels of 1 × 1.5 × 3 mm by default."""

    def make(array, affine=None):
        return Volume(
            np.asarray(array), Grid(np.shape(array), np.diag([1.0, 1.5, 3.0, 1.0]) if affine is None else affine)
        )

    return make


@pytest.fixture
def report():
    """Returns a function that makes a report of random but plausible values.

    Args of the function:
        scans: number of scans.
        structures: names.
        gain: added to each Dice.
        missed: pairs of scan and structure, by index, found in the truth only.
    """

    def make(scans=8, structures=("anterior", "posterior"), gain=0.0, missed=(), seed=0):
        rng = np.random.default_rng(seed)
        rows = []
        for scan in range(scans):
            for index, structure in enumerate(structures):
                dice, truth = rng.uniform(0.7, 0.9) + gain, rng.uniform(900, 1100) * 2**index
                found = Measures(dice, dice / (2 - dice), *rng.uniform(0.5, 3, 2), truth, truth * rng.uniform(0.9, 1.1))
                if (scan, index) in missed:
                    found = Measures(0.0, 0.0, truth_mm3=truth)
                rows.append(Row(f"scan_{scan}", structure, index + 1, found))
        return Report(tuple(rows))

    return make

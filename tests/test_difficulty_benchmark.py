"""How well the intensities of scans separate tissues."""

import numpy as np
import pytest

from benchmarks import difficulty


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_deviation_inside_is_divided_by_the_range_around(rng):
    image, mask = np.zeros((40, 40, 40)), np.zeros((40, 40, 40), bool)
    image[:20] = 100.0  # half of the surroundings are bright
    mask[16:24, 16:24, 16:24] = True
    image[mask] = 50.0
    assert difficulty.deviation(image, mask) == 0
    inside = (slice(17, 23),) * 3
    image[inside] += rng.choice([-10.0, 10.0], (6, 6, 6))
    assert difficulty.deviation(image, mask) == pytest.approx(0.1, abs=2e-3)
    image[16] = 1000.0  # the outermost voxels of the structure are excluded
    assert difficulty.deviation(np.clip(image, 0, 100), mask) == pytest.approx(0.1, abs=2e-3)


def test_surroundings_are_the_27_intensities_around_a_voxel(rng):
    ground_truth = np.full((9, 9, 9), 77)
    ground_truth[2:7, 2:7, 2:7] = rng.choice([2, 3, 24, 41, 42], (5, 5, 5))
    image = rng.uniform(1, 2, ground_truth.shape)
    inputs, tissues = difficulty.surroundings(image, ground_truth, rng)
    assert inputs.shape == (125, 27) and np.bincount(tissues).sum() == 125
    of_centre = dict(zip(image.ravel(), ground_truth.ravel()))
    scale = np.percentile(image, 95)
    numbers = list(difficulty.TISSUES.values())
    for around, tissue in zip(inputs, tissues):
        nearest = min(of_centre, key=lambda value, at=around[13] * scale: abs(value - at))
        assert of_centre[nearest] in numbers[tissue]


@pytest.mark.parametrize(("noise", "least", "most"), [(0.05, 0.99, 1.0), (3.0, 0.3, 0.7)])
def test_noise_limits_the_dice_of_tissues(noise, least, most, rng):
    def labelled():
        tissues = rng.integers(0, 3, 4000)
        inputs = np.zeros((4000, 27))
        inputs[:, 13] = tissues + rng.normal(0, noise, 4000)
        return inputs, tissues

    assert all(least <= dice <= most for dice in difficulty.tissue_dice([labelled(), labelled()], labelled()))

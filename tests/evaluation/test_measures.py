import math

import numpy as np
import pytest
from evaluation.brute_force import brute_force_distances

from recalib_keras.evaluation import MEASURES, Measures, dice, jaccard, measure, measure_all
from recalib_keras.volumes import Grid

SPACING = (0.8, 1.0, 2.5)


def brute_force(prediction, truth, spacing):
    """Measures of two masks, neither empty, straight from the definitions."""
    common, either = (prediction & truth).sum(), (prediction | truth).sum()
    forth, back = brute_force_distances(prediction, truth, np.diag(spacing))
    voxel = math.prod(spacing)
    ranked = [np.sort(distances) for distances in (forth, back)]
    quantiles = []
    for distances in ranked:
        place = 0.95 * (len(distances) - 1)
        low, rest = int(place), place - int(place)
        quantiles.append(distances[low] + rest * (distances[min(low + 1, len(distances) - 1)] - distances[low]))
    return {
        "dice": 2 * common / (prediction.sum() + truth.sum()),
        "jaccard": common / either,
        "hd95_mm": max(quantiles),
        "assd_mm": (forth.sum() + back.sum()) / (len(forth) + len(back)),
        "truth_mm3": truth.sum() * voxel,
        "prediction_mm3": prediction.sum() * voxel,
        "volume_difference_mm3": (prediction.sum() - truth.sum()) * voxel,
        "relative_volume_difference": prediction.sum() / truth.sum() - 1,
    }


@pytest.mark.parametrize("seed", range(4))
def test_measures_equal_their_definitions(blobs, seed):
    prediction, truth = blobs(seed=seed), blobs(seed=seed + 10)
    found = measure_all(prediction, truth, SPACING)
    assert list(found) == [1, 2, 3]
    for label, measures in found.items():
        for name, value in brute_force(prediction == label, truth == label, SPACING).items():
            assert getattr(measures, name) == pytest.approx(value, rel=1e-12), name
        assert measures.found_in == "both"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_distances_equal_monai(blobs, seed):
    metrics = pytest.importorskip("monai.metrics")
    prediction, truth = blobs(seed=seed), blobs(seed=seed + 10)
    one_hot = [np.stack([labels == label for label in range(4)])[None] for labels in (prediction, truth)]
    hausdorff = metrics.compute_hausdorff_distance(*one_hot, percentile=95, spacing=SPACING)[0]
    average = metrics.compute_average_surface_distance(*one_hot, symmetric=True, spacing=SPACING)[0]
    for label, measures in measure_all(prediction, truth, SPACING).items():
        assert measures.hd95_mm == pytest.approx(float(hausdorff[label - 1]), rel=1e-5)
        assert measures.assd_mm == pytest.approx(float(average[label - 1]), rel=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_real_hippocampus_against_monai(data_root):
    metrics = pytest.importorskip("monai.metrics")
    from recalib_keras import volumes

    truth = volumes.read_labels(data_root / "hippocampus" / "labelsTr" / "hippocampus_001.nii.gz")
    prediction = np.roll(truth.array, (1, 2, 0), axis=(0, 1, 2))
    one_hot = [np.stack([labels == label for label in range(3)])[None] for labels in (prediction, truth.array)]
    hausdorff = metrics.compute_hausdorff_distance(*one_hot, percentile=95, spacing=truth.grid.spacing)[0]
    for label in (1, 2):
        measures = measure(prediction, truth.array, truth.grid, label)
        assert measures.hd95_mm == pytest.approx(float(hausdorff[label - 1]), rel=1e-5)


def test_a_cube_moved_by_one_voxel():
    truth = np.zeros((9, 9, 9), np.uint8)
    truth[3:6, 3:6, 3:6] = 4
    found = measure(np.roll(truth, 1, axis=2), truth, SPACING, 4)
    assert found.dice == pytest.approx(2 / 3)
    assert found.jaccard == pytest.approx(1 / 2)
    # Of the 26 surface voxels of each cube, the 9 at one end are a step of 2.5 mm from the other cube, and the middle
    # of the other end lies on the other cube's centre, 0.8 mm below its surface; all others lie on that surface.
    assert found.hd95_mm == 2.5
    assert found.assd_mm == pytest.approx((9 * 2.5 + 0.8) / 26)
    assert found.truth_mm3 == found.prediction_mm3 == pytest.approx(27 * 2.0)
    assert found.volume_difference_mm3 == found.relative_volume_difference == 0


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64"])
def test_any_integer_type_and_numbers(blobs, dtype):
    prediction, truth = blobs(seed=1), blobs(seed=2)
    numbers = np.array([0, 17, 53, 250], dtype)
    found = measure_all(numbers[prediction], numbers[truth], SPACING)
    assert list(found.values()) == list(measure_all(prediction, truth, SPACING).values())
    assert list(found) == [17, 53, 250]


def test_negative_labels_and_masks():
    prediction, truth = np.array([[-3, -3, 0]]), np.array([[-3, 0, 0]])
    assert measure_all(prediction, truth, (1, 1))[-3].dice == pytest.approx(2 / 3)
    assert measure(prediction < 0, truth < 0, (1, 1), True).dice == pytest.approx(2 / 3)


def test_numbers_beyond_64_bits_are_in_no_label_map(blobs):
    assert measure_all(blobs(), blobs(), SPACING, [2**70, 1])[2**70].found_in == "neither"


def test_measure_all_equals_measure(blobs):
    prediction, truth = blobs(seed=3), blobs(seed=4)
    found = measure_all(prediction, truth, SPACING, [3, 1])
    assert list(found) == [3, 1]
    assert found[1] == measure(prediction, truth, SPACING, 1)
    assert found[1].dice == dice(prediction, truth, 1)
    assert measure_all(prediction, truth, SPACING, []) == {}


def test_a_missed_structure():
    truth = np.zeros((4, 4), int)
    truth[1:3, 1:3] = 1
    found = measure(np.zeros((4, 4), int), truth, (1.0, 2.0), 1)
    assert (found.dice, found.jaccard, found.found_in) == (0, 0, "truth only")
    assert math.isnan(found.hd95_mm) and math.isnan(found.assd_mm)
    assert (found.truth_mm3, found.prediction_mm3) == (8, 0)
    assert (found.volume_difference_mm3, found.relative_volume_difference) == (-8, -1)


def test_a_spurious_structure():
    prediction = np.zeros((4, 4), int)
    prediction[1, 1:3] = 1
    found = measure(prediction, np.zeros((4, 4), int), (1.0, 2.0), 1)
    assert (found.dice, found.jaccard, found.found_in) == (0, 0, "prediction only")
    assert math.isnan(found.hd95_mm) and math.isnan(found.assd_mm)
    assert found.volume_difference_mm3 == 4 and math.isnan(found.relative_volume_difference)


def test_a_structure_in_neither():
    found = measure(np.zeros((4, 4), int), np.zeros((4, 4), int), (1.0, 2.0), 1)
    assert found == Measures() or all(math.isnan(getattr(found, name)) for name in MEASURES)
    assert (found.found_in, found.truth_mm3, found.prediction_mm3) == ("neither", 0, 0)


def test_spacing_from_a_grid(blobs):
    prediction, truth = blobs(seed=5), blobs(seed=6)
    grid = Grid(truth.shape, np.diag([-0.8, 1.0, 2.5, 1.0]))
    for label, found in measure_all(prediction, truth, grid).items():
        expected = measure(prediction, truth, SPACING, label)
        assert all(getattr(found, name) == pytest.approx(getattr(expected, name)) for name in MEASURES)


def test_a_sheared_grid():
    truth = np.zeros((3, 5, 8), int)
    truth[1, 2, 1] = 1
    affine = np.eye(4)
    affine[:3, 2] = (0, 3.0, 4.0)  # a step along the third axis is 5 mm long, and leans to the second
    found = measure(np.roll(truth, 2, axis=2), truth, Grid(truth.shape, affine), 1)
    assert found.hd95_mm == pytest.approx(10)
    assert found.truth_mm3 == pytest.approx(4)
    slanted = measure(np.roll(truth, (-2, 1), axis=(1, 2)), truth, Grid(truth.shape, affine), 1)
    assert slanted.hd95_mm == pytest.approx(math.hypot(1, 4))  # the axes' lengths alone would give the root of 29


@pytest.mark.parametrize("axis", range(3))
def test_a_single_slice_is_measured_in_2d(blobs, axis):
    prediction, truth = blobs((12, 15), seed=7), blobs((12, 15), seed=8)
    flat = [np.expand_dims(labels, axis) for labels in (prediction, truth)]
    spacing = np.insert([1.0, 2.0], axis, 5.0)
    for label, found in measure_all(*flat, spacing).items():
        expected = measure(prediction, truth, (1.0, 2.0), label)
        assert (found.hd95_mm, found.assd_mm) == pytest.approx((expected.hd95_mm, expected.assd_mm))
        assert found.truth_mm3 == pytest.approx(5 * expected.truth_mm3)


def test_a_single_voxel():
    one = np.ones((1, 1, 1), int)
    assert measure(one, one, (1, 1, 1), 1) == Measures(1.0, 1.0, 0.0, 0.0, 1.0, 1.0)


def test_measure_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"expected label maps of the same shape, got \(2, 3\) and \(3, 2\); resample"):
        measure(np.zeros((2, 3), int), np.zeros((3, 2), int), (1, 1), 1)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, 0), (1, 1, np.nan), (1, -1, 1), 1])
def test_invalid_spacing(spacing):
    zeros = np.zeros((2, 3, 4), int)
    with pytest.raises(ValueError, match=r"expected `spacing` to be 3 positive numbers .*got .*; give the voxel size"):
        measure(zeros, zeros, spacing, 1)


def test_a_grid_of_another_shape():
    zeros = np.zeros((2, 3, 4), int)
    with pytest.raises(
        ValueError, match=r"expected `spacing` to be the grid of the label maps, \(2, 3, 4\), got one of \(4, 3, 2\)"
    ):
        measure(zeros, zeros, Grid((4, 3, 2), np.eye(4)), 1)


def test_label_maps_of_floats():
    with pytest.raises(TypeError, match="expected label maps of integers, got float64; round them, then use astype"):
        measure(np.zeros((2, 2)), np.zeros((2, 2), int), (1, 1), 1)


def row(*values):
    return np.array(values)


@pytest.mark.parametrize(
    ("prediction", "truth", "label", "expected"),
    [
        (row(1, 1, 0, 0), row(1, 1, 0, 0), 1, 1),
        (row(1, 1, 0, 0), row(0, 0, 1, 1), 1, 0),
        (row(1, 1, 0, 0), row(1, 0, 0, 0), 1, 2 / 3),
        (row(1, 1, 0, 0), row(1, 0, 0, 0), 0, 4 / 5),
        (row(53, 53, 17, 0), row(53, 17, 17, 17), 17, 1 / 2),
        (row(53, 53, 17, 0), row(0, 17, 17, 17), 53, 0),
        (row(-1, -1), row(-1, 2), -1, 2 / 3),
    ],
)
def test_dice(prediction, truth, label, expected):
    value = dice(prediction, truth, label)
    assert isinstance(value, float) and value == pytest.approx(expected)
    assert dice(truth, prediction, label) == value


def test_dice_of_a_label_in_neither_is_nan():
    assert math.isnan(dice(row(1, 0), row(0, 2), 3))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint16"])
def test_many_voxels_do_not_overflow(dtype):
    ones = np.ones((40, 40, 40), dtype)
    half = ones.copy()
    half[:20] = 0
    assert dice(ones, half, 1) == pytest.approx(2 / 3)


def test_dice_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"expected label maps of the same shape, got \(2, 3\) and \(3, 2\); resample"):
        dice(np.zeros((2, 3)), np.zeros((3, 2)), 0)


@pytest.mark.parametrize(
    ("prediction", "truth", "label", "expected"),
    [
        (row(1, 1, 0, 0), row(1, 1, 0, 0), 1, 1),
        (row(1, 1, 0, 0), row(0, 0, 1, 1), 1, 0),
        (row(1, 1, 0, 0), row(1, 0, 0, 0), 1, 1 / 2),
        (row(53, 53, 17, 0), row(53, 17, 17, 17), 17, 1 / 3),
    ],
)
def test_jaccard(prediction, truth, label, expected):
    value = jaccard(prediction, truth, label)
    assert isinstance(value, float) and value == pytest.approx(expected)
    assert jaccard(truth, prediction, label) == value
    agreement = dice(prediction, truth, label)
    assert value == pytest.approx(agreement / (2 - agreement))


def test_jaccard_of_a_label_in_neither_and_of_other_shapes():
    assert math.isnan(jaccard(row(1, 0), row(0, 2), 3))
    with pytest.raises(ValueError, match=r"expected label maps of the same shape, got \(2, 3\) and \(3, 2\); resample"):
        jaccard(np.zeros((2, 3)), np.zeros((3, 2)), 0)

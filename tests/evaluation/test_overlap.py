import math

import numpy as np
import pytest

from recalib_keras.evaluation import dice, jaccard


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
def test_values(prediction, truth, label, expected):
    value = dice(prediction, truth, label)
    assert isinstance(value, float) and value == pytest.approx(expected)
    assert dice(truth, prediction, label) == value


def test_a_label_that_is_in_neither_has_no_value():
    assert math.isnan(dice(row(1, 0), row(0, 2), 3))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint16"])
def test_many_voxels_do_not_overflow(dtype):
    ones = np.ones((40, 40, 40), dtype)
    half = ones.copy()
    half[:20] = 0
    assert dice(ones, half, 1) == pytest.approx(2 / 3)


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"one shape. Received: \(2, 3\) and \(3, 2\)"):
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


def test_jaccard_of_a_label_in_neither_is_nan_and_other_shapes_are_refused():
    assert math.isnan(jaccard(row(1, 0), row(0, 2), 3))
    with pytest.raises(ValueError, match=r"one shape. Received: \(2, 3\) and \(3, 2\)"):
        jaccard(np.zeros((2, 3)), np.zeros((3, 2)), 0)

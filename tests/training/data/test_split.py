import pytest
from training.synthetic import changed

from recalib_keras.training import find_split


def test_every_third_scan_is_held_out(recipe, data):
    training, validation = find_split(recipe, data)
    assert [scan.name for scan in validation] == ["ball_0", "ball_3"]
    assert [scan.name for scan in training] == ["ball_1", "ball_2", "ball_4", "ball_5"]


@pytest.mark.parametrize(("count", "names"), [(1, ["ball_1"]), (2, ["ball_1", "ball_4"]), (9, None)])
def test_few_scans_are_spread_over_all(count, names, recipe, data):
    all_of_them, validation = find_split(recipe, data)
    few, validation_of_few = find_split(changed(recipe, data={"training_scans": count}), data)
    assert [scan.name for scan in few] == (
        names or [scan.name for scan in all_of_them]
    ) and validation_of_few == validation

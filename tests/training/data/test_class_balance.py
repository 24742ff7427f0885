"""Examples centred on a class that is chosen first, and the shares of classes that the log shows."""

import dataclasses

import numpy as np
import pytest
from training.runs import Stop, assert_same_run, stop_after
from training.synthetic import changed

from recalib_keras.core.errors import RecordError
from recalib_keras.core.tables import read_csv
from recalib_keras.training import train
from recalib_keras.training.data.class_balance import chosen_shares, class_balance, shares_of
from recalib_keras.training.data.examples import Scan, count_classes, random_window
from recalib_keras.training.recipe_tables import Schedule
from recalib_keras.zoo import Input


@pytest.fixture
def rare():
    """A scan of 1,000 voxels: 100 of class 1, one of class 2 and none of class 3."""
    classes = np.zeros((10, 10, 10), "uint8")
    classes[3] = 1
    classes[7, 7, 7] = 2
    return Scan("rare", classes.astype("float32"), classes, counts=count_classes(classes, 4))


def centres(scan, by_class, count=400):
    """Returns how often windows of one voxel in every direction are centred on each class."""
    rng, expects = np.random.default_rng(0), Input((2, 2, 2))
    windows = [random_window(scan, expects, 1.0, rng, by_class)[1] for _ in range(count)]
    return np.bincount([window[1, 1, 1] for window in windows], minlength=4) / count


def test_any_voxel_of_the_foreground_is_seldom_one_of_a_small_structure(rare):
    assert centres(rare, None) == pytest.approx([0, 100 / 101, 1 / 101, 0], abs=0.02)


def test_by_class_small_structures_are_seen_as_often_as_large_ones(rare):
    assert centres(rare, np.array([0.0, 1, 1, 1])) == pytest.approx([0, 0.5, 0.5, 0], abs=0.08)
    assert centres(rare, np.array([0.0, 1, 3, 1])) == pytest.approx([0, 0.25, 0.75, 0], abs=0.08)
    assert centres(rare, np.array([1.0, 0, 0, 0])) == pytest.approx([1, 0, 0, 0])


def test_a_scan_without_the_classes_gives_windows_anywhere(rare):
    assert not chosen_shares(np.array([9, 0, 0, 0]), np.array([0.0, 1, 1, 1])).any()
    assert centres(rare, np.array([0.0, 0, 0, 1]))[0] > 0.7


def by_class(recipe, **shares):
    schedule = {"foreground": 0.5, "sampling": "class", "class_shares": shares}
    return changed(recipe, input={"window": (6, 6, 6)}, schedule=schedule)


def test_shares_are_given_by_label(recipe):
    assert shares_of(recipe) is None
    assert shares_of(by_class(recipe)).tolist() == [0, 1, 1]
    assert shares_of(by_class(recipe, **{"53": 4.0, "0": 0.5})).tolist() == [0.5, 1, 4]


def test_the_balance_of_classes(recipe, rare):
    labels = (*recipe.labels, dataclasses.replace(recipe.labels[1], id=60, name="nowhere"))
    other = Scan("other", rare.image, np.where(rare.classes == 2, 0, rare.classes), counts=rare.counts * [1, 1, 0, 0])
    four = dataclasses.replace(by_class(recipe), labels=labels)
    found = class_balance([rare, other], four)
    assert [(one.label, one.scans, one.voxels) for one in found] == [(0, 2, 1798), (17, 2, 200), (53, 1, 1), (60, 0, 0)]
    assert [one.centred for one in found] == pytest.approx([0, 0.5 * (0.5 + 1) / 2, 0.5 * 0.5 / 2, 0])
    assert found[2].share == pytest.approx(1 / 1999)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling": "clas"}, "did you mean 'class'"),
        ({"sampling": "class"}, "expected `foreground` above 0 .*, got 0; set foreground = 0.33"),
        ({"class_shares": {"1": 2.0}}, "expected `sampling = \"class\"` with `class_shares`, got 'voxel'"),
        ({"sampling": "class", "foreground": 0.5, "class_shares": {"01": 2.0}}, "label numbers from 0 to"),
        ({"sampling": "class", "foreground": 0.5, "class_shares": {"1": -2.0}}, "expected `class_shares` from 0 to"),
    ],
)
def test_wrong_values(values, message):
    with pytest.raises(RecordError, match=message):
        Schedule(epochs=1, batch_size=1, **values)


def test_a_share_of_a_number_that_is_no_label(recipe):
    with pytest.raises(
        RecordError, match=r"numbers of the labels, 0, 17, 53, as keys of `schedule\.class_shares`, got"
    ):
        by_class(recipe, **{"5": 1.0})


@pytest.mark.slow
def test_a_stopped_run_by_class_resumes_to_the_same_weights(recipe, data, tmp_path):
    recipe, seen = changed(by_class(recipe), schedule={"epochs": 2}), []
    train(recipe, tmp_path / "once", data, on_data=seen.extend)
    assert [one.name for one in seen] == ["background", "shell", "core"]
    table = read_csv(tmp_path / "once" / "classes.csv")
    assert [row["name"] for row in table.rows] == ["background", "shell", "core"]
    assert float(table.rows[2]["centred"]) == 0.25
    with pytest.raises(Stop):
        train(recipe, tmp_path / "stopped", data, on_epoch=stop_after(1))
    train(recipe, tmp_path / "stopped", data, resume=True)
    assert_same_run(tmp_path / "stopped", tmp_path / "once")

import numpy as np
import pytest
from training.synthetic import changed

from recalib_keras.inference.engines import KerasEngine
from recalib_keras.training import find_split
from recalib_keras.training.data.examples import read_scan
from recalib_keras.training.losses import validation_loss
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy
from recalib_keras.training.losses.validation_loss import ValidationLoss


class Guess:
    """An engine that predicts each class with about the same probability, and records its inputs."""

    def __init__(self, windows_at_a_time):
        self.voxels_per_batch = windows_at_a_time * 12**3
        self.seen = []

    def __call__(self, windows):
        self.seen.append(windows)
        chance = np.random.default_rng(len(self.seen)).uniform(1, 2, (*windows.shape[:-1], 3))
        return (chance / chance.sum(-1, keepdims=True)).astype("float32")


@pytest.fixture
def scans(recipe, data):
    return [scan for part in find_split(recipe, data) for scan in part][:5]


@pytest.mark.parametrize(("at_a_time", "asked"), [(1, 5), (2, 3), (9, 1)])
def test_is_the_loss_of_one_window_of_each_scan(at_a_time, asked, recipe, scans):
    loss, engine = DiceCrossEntropy(cross_entropy_weight=0.5), Guess(at_a_time)
    line = ValidationLoss(recipe, scans, loss)(engine)
    assert [len(windows) for windows in engine.seen] == [at_a_time] * asked
    for scan, window in zip(scans, np.concatenate(engine.seen)):
        whole = read_scan(scan, recipe.input, recipe.labels).image
        rows = np.lib.stride_tricks.sliding_window_view(whole, (12, 12, 12))
        assert (rows == window[..., 0]).all(axis=(-3, -2, -1)).any()  # a part of the scan as it is
    terms = line["validation_dice_loss"], line["validation_cross_entropy"]
    assert line["validation_loss"] == pytest.approx(terms[0] + 0.5 * terms[1], abs=2e-5)
    assert 0.4 < terms[0] < 1 and 1.0 < terms[1] < 1.2  # of a guess between three classes, ln 3 = 1.1


def test_scans_are_read_once_and_the_loss_is_always_the_same(recipe, scans, monkeypatch):
    read = []
    monkeypatch.setattr(validation_loss, "read_scan", lambda scan, *rest: read.append(scan) or read_scan(scan, *rest))
    loss = ValidationLoss(recipe, scans, DiceCrossEntropy())
    assert read == [] and loss(Guess(2)) == loss(Guess(2)) == ValidationLoss(recipe, scans, DiceCrossEntropy())(
        Guess(2)
    )
    assert read == [*scans, *scans]


@pytest.mark.parametrize("context", [0, 1])
def test_a_network_of_slices_is_measured_on_slices(context, recipe, scans):
    axial = changed(recipe, input={"window": (12, 12, 1), "context": context})
    model = axial.network.build(axial.input.shape, 3)
    line = ValidationLoss(axial, scans, DiceCrossEntropy())(KerasEngine(model))
    assert all(np.isfinite(value) for value in line.values()) and len(line) == 3


def test_a_trained_network_has_a_lower_loss(run, recipe, scans):
    fresh = ValidationLoss(recipe, scans, DiceCrossEntropy())(KerasEngine(run.weight_set.build()))
    assert run.lines[-1]["validation_loss"] < 0.5 * min(run.lines[0]["validation_loss"], fresh["validation_loss"])

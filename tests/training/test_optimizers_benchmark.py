"""What the benchmark of optimizers says of a training is what the training says of itself."""

import pytest
from training.synthetic import changed

from benchmarks import optimizers
from recalib_keras.training import train


@pytest.mark.slow
def test_a_row_is_of_the_training_by_that_optimizer(recipe, data, tmp_path):
    shorter = changed(recipe, schedule={"epochs": 4, "validate_every": 4})
    found = optimizers.row(shorter, "muon", 0.02, tmp_path / "runs", data)
    lines = []
    by_hand = changed(shorter, optimizer={"name": "muon", "learning_rate": 0.02})
    weight_set = train(by_hand, tmp_path / "by_hand", data, on_epoch=lines.append)
    assert found["Dice"] == f"{weight_set.score['dice']:.4f}"
    losses = [value for key, value in found.items() if key.startswith("loss")]
    assert losses == [lines[epoch - 1]["loss"] for epoch in (1, 2, 4)]
    assert optimizers.row(shorter, "muon", 0.02, tmp_path / "runs", data) == found  # not trained again


def test_a_shortened_schedule_ends_with_its_validation(recipe):
    shorter = optimizers.shortened(changed(recipe, schedule={"epochs": 9, "validate_every": 2}).schedule, 5, 3)
    assert (shorter.epochs, shorter.validate_every, shorter.steps_per_epoch) == (5, 5, 3)

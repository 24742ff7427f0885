import pytest
from training.synthetic import changed

from recalib_keras.training import train, trainer
from recalib_keras.training.early_stopping import has_stalled, score_of


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([0.5, 0.5], 1, True),
        ([0.5, 0.6], 1, False),
        ([0.5, 0.4], 2, False),
        ([0.5, None, 0.4, None, 0.3], 2, True),
        ([0.5, 0.4, 0.6, 0.5], 2, False),
        ([0.5, 0.4, 0.3], 0, False),
        ([], 1, False),
    ],
)
def test_when_a_training_has_stalled(scores, patience, expected):
    history = [{"loss": 1.0} if score is None else {"loss": 1.0, "dice": score} for score in scores]
    assert has_stalled(history, patience) == expected


def scored(dice, shell):
    return {"loss": 1.0, "dice": dice, "dice_by_structure": {"shell": shell}}


def test_the_objective_may_be_a_structure():
    history = [scored(0.5, 0.7), {"loss": 1.0}, scored(0.6, 0.6)]
    assert not has_stalled(history, patience=1) and not has_stalled(history, 1, "dice")
    assert has_stalled(history, patience=1, objective="shell")
    assert has_stalled(history, patience=1, objective="core")  # found in no validation scan, so it scores 0


def test_scores_of_a_line():
    line = scored(0.5, float("nan"))
    assert (score_of(line), score_of(line, "shell"), score_of(line, "core"), score_of({"loss": 1.0})) == (
        0.5,
        0,
        0,
        None,
    )


def test_a_training_without_progress_ends_early_and_stays_ended(recipe, data, tmp_path, monkeypatch):
    """With given scores instead of trained ones."""
    scores, lines = iter((0.5, 0.6, 0.6, 0.4)), []
    fitted = {"loss": 1.0, "seconds": 1.0}
    monkeypatch.setattr(trainer, "_fit_epoch", lambda model, examples, *rest: {"epoch": examples.epoch + 1, **fitted})
    monkeypatch.setattr(trainer, "validate", lambda *args, **kwargs: {"dice": next(scores), "dice_sd": 0.0})
    monkeypatch.setattr(trainer, "_with_score", lambda *args: None)
    patient = changed(recipe, schedule={"epochs": 9, "patience": 2})
    train(patient, tmp_path, data, on_epoch=lines.append)
    train(patient, tmp_path, data, resume=True, on_epoch=lines.append)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]

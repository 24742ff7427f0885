import threading

import filelock
import pytest
from recalib import execute
from study_processes import epochs_trained

from recalib_keras.core.errors import StudyError, WriteError
from recalib_keras.tuning.trials import execution
from recalib_keras.tuning.trials.trial_work import LOCK, run_trial


@pytest.fixture
def task(control, tmp_path):
    """What the search gives to a worker."""
    recipe = {"optimizer": {"learning_rate": 0.01}}
    places = {"folder": str(tmp_path / "out"), "data_root": str(control)}
    settings = {"trial": "0", "recipe": recipe, "seeds": [1, 2], "epochs": 3, "objective": "dice", "cost": ""}
    return {**settings, "patience": 0, "past": None, "keep_checkpoints": False, **places}


@pytest.fixture
def train(monkeypatch):
    """Lets a function stand for `execute`; the fake trainings of `recalib.py` by default."""

    def train_by(function=execute):
        monkeypatch.setattr(execution, "execute", function)

    train_by()
    return train_by


def test_trains_once_with_each_seed(task, train, control):
    outcome = run_trial(task, lambda progress: True)
    assert epochs_trained(control) == [("0", seed, epoch) for seed in "12" for epoch in "123"]
    assert [one["score"] for one in outcome["executions"]] == pytest.approx([0.541, 0.542])
    assert (outcome["status"], outcome["message"], outcome["parameters"]) == ("completed", "", 1000)
    assert outcome["minutes"] > 0 and [*outcome["history"]] == ["1", "2"]


def test_cost_is_measured_once_a_trial(task, train, monkeypatch, control):
    asked = []
    monkeypatch.setattr("recalib_keras.tuning.trials.cost.measure", lambda *arguments: asked.append(arguments) or 0.5)
    assert run_trial({**task, "cost": "seconds"}, lambda progress: True)["cost"] == 0.5
    assert asked == [("seconds", task["recipe"], str(control))]
    assert run_trial(task, lambda progress: True)["cost"] is None and len(asked) == 1


def test_trial_keeps_its_score_where_its_cost_cannot_be_measured(task, train, monkeypatch):
    def fail(*_):
        raise StudyError("no memory")

    monkeypatch.setattr("recalib_keras.tuning.trials.cost.measure", fail)
    outcome = run_trial({**task, "cost": "seconds"}, lambda progress: True)
    assert (outcome["status"], outcome["cost"], outcome["message"]) == ("completed", None, "no memory")


def test_reports_give_the_progress(task, train):
    seen = []
    run_trial(task, lambda progress: seen.append(progress) or True)
    assert seen[0] == {
        "seed": 1,
        "turn": 1,
        "turns": 2,
        "epoch": 1,
        "epochs": 3,
        "score": pytest.approx(0.521),
        "last": pytest.approx(0.521),
        "left": pytest.approx(0.05),  # five epochs of 0.01 s
    }
    assert [(one["turn"], one["epoch"]) for one in seen] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert seen[5]["left"] == 0


def test_diverged_training_prunes_its_trial(task, train):
    train(lambda task, seed, *rest: {**execute(task, seed, *rest), "message": "the loss is no longer finite"})
    outcome = run_trial(task, lambda progress: True)
    assert (outcome["status"], outcome["message"]) == ("pruned", "the loss is no longer finite")
    assert len(outcome["executions"]) == 1


def test_failed_trial_keeps_its_traceback(task, train, tmp_path):
    def fail(*_):
        raise ArithmeticError("too many maps")

    train(fail)
    outcome = run_trial(task, lambda progress: True)
    assert (outcome["status"], outcome["message"]) == ("failed", "ArithmeticError: too many maps")
    assert "Traceback" in (tmp_path / "out" / "trials" / "0" / "error.txt").read_text()


@pytest.mark.parametrize("cause", [OSError(28, "No space left on device"), None])
def test_error_of_the_machine_is_no_failure(cause, task, train):
    def fail(*_):
        if cause is None:
            raise FileNotFoundError("expected a folder of scans")
        raise WriteError("cannot write the checkpoint") from cause

    train(fail)
    with pytest.raises((WriteError, FileNotFoundError)):
        run_trial(task, lambda progress: True)


def test_waits_for_an_earlier_worker_in_the_same_trial(task, train, tmp_path):
    folder, outcomes = tmp_path / "out" / "trials" / "0", []
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / LOCK):
        thread = threading.Thread(target=lambda: outcomes.append(run_trial(task, lambda progress: True)))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and not (folder / "seed_1").exists()
    thread.join(60)
    assert outcomes[0]["status"] == "completed"

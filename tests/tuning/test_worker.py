import threading

import pytest
from recalib import execute
from study_processes import epochs_trained

from recalib_keras.core.errors import WriteError
from recalib_keras.tuning import execution, worker
from recalib_keras.tuning.chief import Chief


@pytest.fixture
def chief(make_study, tmp_path):
    study = make_study({"learning_rate": [0.01, 0.02]}, algorithm="grid", seeds=[1, 2], epochs=3)
    chief = Chief(study, tmp_path / "out", lease=60.0)
    yield chief
    chief.close()


@pytest.fixture
def train(monkeypatch):
    """Lets a function stand for `execute`; the fake trainings of `recalib.py` by default."""

    def train_by(function=execute):
        monkeypatch.setattr(execution, "execute", function)

    train_by()
    return train_by


def work(chief, tmp_path, name="w"):
    (tmp_path / "control").mkdir(exist_ok=True)
    return worker.work(chief, chief.study.fingerprint, name, tmp_path / "out", tmp_path / "control")


def trials(chief):
    return [trial for trial, _ in chief.snapshot()[0]]


def test_runs_all_trials_with_all_seeds(chief, train, tmp_path):
    assert work(chief, tmp_path) == ""
    assert epochs_trained(tmp_path / "control") == [
        (trial, seed, epoch) for trial in ("0000", "0001") for seed in "12" for epoch in "123"
    ]
    first = trials(chief)[0]
    assert first.scores == {1: pytest.approx(0.541), 2: pytest.approx(0.542)}
    assert (first.parameters, first.worker, first.status) == (1000, "w", "completed")
    assert first.minutes > 0
    assert chief.results().best.id == "0001"


def test_removes_checkpoints_of_ended_trials(chief, train, tmp_path):
    work(chief, tmp_path)
    assert list((tmp_path / "out").rglob("log.jsonl")) and not list((tmp_path / "out").rglob("checkpoint*"))


def test_diverged_training_prunes_its_trial(chief, train, tmp_path):
    def diverge(task, seed, *rest):
        done = execute(task, seed, *rest)
        return {**done, "message": "the loss is no longer finite"} if seed == 1 else done

    train(diverge)
    work(chief, tmp_path)
    assert {(t.status, t.message, len(t.executions)) for t in trials(chief)} == {
        ("pruned", "the loss is no longer finite", 1)
    }
    assert chief.results().best is None


def test_failed_trial_keeps_its_traceback(chief, train, tmp_path):
    def fail(task, *rest):
        if task["trial"] == "0000":
            raise ArithmeticError("too many maps")
        return execute(task, *rest)

    train(fail)
    work(chief, tmp_path)
    assert [(t.status, t.message) for t in trials(chief)] == [
        ("failed", "ArithmeticError: too many maps"),
        ("completed", ""),
    ]
    assert "Traceback" in (tmp_path / "out" / "trials" / "0000" / "error.txt").read_text()


@pytest.mark.parametrize("cause", [OSError(28, "No space left on device"), None])
def test_error_of_the_machine_is_no_failure(cause, chief, train, tmp_path):
    def fail(*_):
        if cause is None:
            raise FileNotFoundError("expected a folder of scans")
        raise WriteError("cannot write the checkpoint") from cause

    train(fail)
    with pytest.raises((WriteError, FileNotFoundError)):
        work(chief, tmp_path)
    assert [(trial.status, trial.losses) for trial in trials(chief)] == [("waiting", 0)]


def test_stopped_worker_gives_its_trial_back(chief, train, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    train(stop)
    with pytest.raises(KeyboardInterrupt):
        work(chief, tmp_path)
    assert [(trial.status, trial.losses) for trial in trials(chief)] == [("waiting", 0)]


def test_leaves_a_trial_that_another_has(chief, train, tmp_path):
    begun, others = [], []

    def lose(task, seed, folder, data_root, on_line):
        if not begun:
            begun.append(task)
            chief.lost("w")
            others.append(chief.ask("other", chief.study.fingerprint)["task"])
        return execute(task, seed, folder, data_root, on_line)

    train(lose)
    thread = threading.Thread(target=work, args=(chief, tmp_path))
    thread.start()
    while not any(trial.status == "completed" for trial in trials(chief)):
        chief.wait(0.1)
    assert others[0]["trial"] == "0000" and trials(chief)[0].status == "running" and trials(chief)[0].attempt == 2
    assert [trial for trial, *_ in epochs_trained(tmp_path / "control")].count("0000") == 1  # it stopped at once
    chief.lost("other")
    thread.join(60)
    assert [trial.status for trial in trials(chief)] == ["completed"] * 2


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("no checkpoint of this network")])
def test_ignores_an_error_in_a_trial_that_another_has(error, chief, train, tmp_path):
    begun = []

    def lose(task, *rest):
        if not begun:
            begun.append(task)
            chief.lost("w")
            chief.ask("other", chief.study.fingerprint)
            chief.lost("other")
            raise error
        return execute(task, *rest)

    train(lose)
    assert work(chief, tmp_path) == ""
    assert [(trial.status, trial.losses) for trial in trials(chief)] == [("completed", 2), ("completed", 0)]


def test_reports_give_the_progress(chief, train, tmp_path, monkeypatch):
    seen = []
    report = chief.report

    def note(*arguments):
        seen.append(arguments[-1])
        return report(*arguments)

    monkeypatch.setattr(chief, "report", note)
    work(chief, tmp_path)
    assert seen[0] == {
        "seed": 1,
        "turn": 1,
        "turns": 2,
        "epoch": 1,
        "epochs": 3,
        "score": pytest.approx(0.521),
        "left": pytest.approx(0.05),  # five epochs of 0.01 s
    }
    assert [(one["turn"], one["epoch"]) for one in seen[:6]] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert seen[5]["left"] == 0


def test_reports_during_a_long_epoch(make_study, train, tmp_path):
    study = make_study({"learning_rate": [0.01, 0.02]}, algorithm="grid", epochs=1)
    chief = Chief(study, tmp_path / "out", lease=0.4)
    beats = []
    report = chief.report
    chief.report = lambda *arguments: beats.append(arguments) or report(*arguments)

    def long(task, seed, folder, data_root, on_line):
        begun = len(beats)
        while len(beats) < begun + 3:
            chief.wait(0.05)
            chief.look()
        return execute(task, seed, folder, data_root, on_line)

    train(long)
    work(chief, tmp_path)
    assert [(trial.status, trial.attempt) for trial in trials(chief)] == [("completed", 1)] * 2
    chief.close()


def test_returns_why_the_study_ended_early(chief, train, tmp_path):
    chief.give_up(RuntimeError("no more time"))
    assert work(chief, tmp_path) == "no more time"

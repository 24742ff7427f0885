"""The driver of a study: with fake trainings, in this process; see test_tuning_faults.py for real workers."""

import json
import os
import pty
import random
import re
import subprocess
import sys
import threading

import pytest
from recalib import execute
from study_processes import LONGEST, hold, release, wait_until_held
from training.synthetic import RECIPE, write_scans

from recalib_keras.core.errors import StudyError, WriteError
from recalib_keras.core.spreading.pool import Done
from recalib_keras.tuning import Search, Study, Workers, search

REAL = """
recipe = "balls.toml"
algorithm = "grid"
seeds = [1, 2]
epochs = 1

[space]
recalibration = ["none", "scse"]
"schedule.steps_per_epoch" = 2
"""


@pytest.fixture
def fake(monkeypatch):
    """Lets trainings be those of `recalib.py`."""
    monkeypatch.setattr("recalib_keras.tuning.trials.execution.execute", execute)


@pytest.fixture
def open_search(make_study, tmp_path):
    """Opens the search of a study in the test's folder; an earlier one releases the folder, as if it had died."""
    opened = []

    def open_one(overwrite=False, **keys):
        if opened:
            opened[-1].close()
        study = make_study(**{"algorithm": "grid", "seeds": [1, 2], "epochs": 3, **keys})
        opened.append(Search(study, tmp_path / "out", tmp_path, overwrite))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def outcome_of(task, **changes):
    rate = task["recipe"]["optimizer"]["learning_rate"]
    executions = [{"seed": s, "score": rate + s / 100, "best_epoch": 3, "epochs": 3} for s in task["seeds"]]
    outcome = {"status": "completed", "message": "", "minutes": 1.0, "parameters": 7, "executions": executions}
    return {
        **outcome,
        "history": {str(s): [{"epoch": 1, "loss": 1.0, "seconds": 1.0}] for s in task["seeds"]},
    } | changes


def statuses(search):
    return {trial.id: trial.status for trial, _ in search.snapshot()[0]}


def test_search(fake, make_study, control, tmp_path):
    study, shown = make_study(algorithm="grid"), []
    results = search(study, tmp_path / "out", control, show=lambda search: shown.append(search.ended))
    assert shown[-1] == 6 == len(results.trials) and shown == sorted(shown)
    assert (results.best.id, results.best.worker) == ("0005", "this process")
    assert (tmp_path / "out" / "report.md").exists()
    assert list((tmp_path / "out").rglob("log.jsonl")) and not list((tmp_path / "out").rglob("checkpoint*"))
    again = search(study, tmp_path / "out", control)  # nothing is left to do
    assert again.trials == results.trials


def test_starts_again_only_with_overwrite(fake, make_study, control, tmp_path):
    for overwrite in (False, False, True):
        search(make_study(algorithm="grid", seeds=[1], epochs=1), tmp_path / "out", control, overwrite=overwrite)
    assert len((control / "executed.txt").read_text().splitlines()) == 2 * 6


def test_three_failures_in_a_row_end_the_study(make_study, control, tmp_path, monkeypatch):
    def fail(*_):
        raise ArithmeticError("too many maps")

    monkeypatch.setattr("recalib_keras.tuning.trials.execution.execute", fail)
    with pytest.raises(
        StudyError,
        match=r"expected trials .*, got 3 failures in a row, the last .0002.: ArithmeticError: too many maps",
    ):
        search(make_study(algorithm="grid"), tmp_path / "out", control)


def test_other_failures_do_not_end_the_study(open_search):
    driver = open_search()
    tasks = driver.tasks()
    for status in ("failed", "failed", "completed", "failed", "pruned", "failed"):
        task = next(tasks)
        driver.end(Done(task, outcome_of(task, status=status)))
    assert driver.ended == 6 and next(tasks, "none") == "none"


def test_failure_of_the_search_itself(fake, make_study, control, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("recalib_keras.tuning.algorithms.oracles.Grid.populate_space", fail)
    with pytest.raises(StudyError, match="expected the search to draw trials, got ZeroDivisionError: oh"):
        search(make_study(algorithm="grid"), tmp_path / "out", control)


def test_trial_is_on_disk_before_a_worker_has_it(open_search, tmp_path):
    driver = open_search()
    task = next(driver.tasks())
    (trial,) = json.loads((tmp_path / "out" / "state.json").read_text())["trials"]
    assert (trial["id"], trial["status"], trial["attempt"]) == (task["trial"], "running", 0)
    driver.on_start(task, "w")
    report = {"seed": 1, "epoch": 2, "last": None}
    assert driver.on_report(task, report)
    ((trial, progress),) = driver.snapshot()[0]
    assert (trial.attempt, trial.worker, progress) == (1, "w", report)


def test_trial_that_loses_its_workers_fails(open_search):
    driver = open_search()
    task = next(driver.tasks())
    for _ in range(3):
        driver.on_start(task, "w")
        driver.on_loss(task)
    driver.end(Done(task, is_lost=True))
    ((trial, _),) = driver.snapshot()[0]
    assert (trial.status, trial.losses, trial.attempt) == ("failed", 3, 3)
    assert trial.message == "its worker died; 3 workers were lost in this trial"


def test_running_trials_come_again_and_are_no_loss(open_search):
    driver = open_search()
    tasks = driver.tasks()
    first, second = next(tasks), next(tasks)
    driver.end(Done(first, outcome_of(first)))
    driver = open_search()
    assert statuses(driver) == {"0000": "completed", "0001": "waiting"}
    assert next(driver.tasks())["trial"] == second["trial"]
    assert [trial.losses for trial, _ in driver.snapshot()[0]] == [0, 0]


def test_refuses_a_second_search_in_the_folder(make_study, open_search, tmp_path):
    open_search()
    with pytest.raises(StudyError, match="out: expected a folder that no other process works on, got another `recalib"):
        Search(make_study(algorithm="grid"), tmp_path / "out", tmp_path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"epochs": 4}, "the study with epochs = 3, as when the study began, got epochs = 4; undo"),
        ({"seeds": [1]}, r"the study with seeds = \[1, 2\], .*, got seeds = \[1\]"),
        ({"patience": 2}, "the study with patience = 0, .*, got patience = 2"),
        (
            {"space": {"learning_rate": [0.01, 0.1]}},
            r"the study with space.learning_rate = \[0.01, .*got space.learning_rate = ",
        ),
        ({"space": {"filters": [4, 8]}}, r"the study with no space.filters, .*, got space.filters = \[4, 8\]"),
    ],
)
def test_refuses_a_changed_study_and_names_the_key(keys, message, open_search):
    next(open_search().tasks())
    with pytest.raises(StudyError, match=f"out: expected {message}.*--output.*--overwrite"):
        open_search(**keys)


def test_refuses_a_changed_recipe_and_names_the_key(open_search, recipe_folder, tmp_path):
    path = tmp_path / "balls.toml"
    text = (recipe_folder / "balls.toml").read_text()
    path.write_text(text)
    next(open_search(recipe=str(path)).tasks())
    path.write_text(text.replace("rotation = 10.0", "rotation = 11.0"))
    message = "the recipe with augmentation.rotation = 10.0, as when .*, got augmentation.rotation = 11.0"
    with pytest.raises(StudyError, match=message):
        open_search(recipe=str(path))


def test_overwrites_another_study_on_request(open_search, tmp_path):
    driver = open_search()
    task = next(driver.tasks())
    driver.end(Done(task, outcome_of(task)))
    with pytest.raises(StudyError, match="expected the study with epochs = 3"):
        open_search(epochs=4)
    assert statuses(open_search(epochs=4, overwrite=True)) == {}
    assert not (tmp_path / "out" / "trials").exists() and not (tmp_path / "out" / "best.toml").exists()


def test_study_can_get_more_trials(open_search):
    for trials in (2, 4):
        driver = open_search(trials=trials)
        for task in driver.tasks():
            driver.end(Done(task, outcome_of(task)))
    assert statuses(driver) == {f"{number}": "completed" for number in range(4)}


@pytest.mark.parametrize("moment", ["state", "history", "table"])
def test_full_disk_ends_the_study(moment, open_search, monkeypatch):
    driver = open_search()
    tasks = driver.tasks()
    first, second = next(tasks), next(tasks)
    driver.end(Done(first, outcome_of(first)))

    def fail(*_, **__):
        raise WriteError("expected to write x, got 'No space left on device'")

    places = {"state": ("trials.state.State", "save"), "history": ("trials.ledger", "write_text")}
    module, name = places.get(moment, ("trials.ledger", "write_results"))
    with monkeypatch.context() as patch:
        patch.setattr(f"recalib_keras.tuning.{module}.{name}", fail)
        with pytest.raises(WriteError, match="No space left"):
            driver.end(Done(second, outcome_of(second)))
        driver.close()
    assert statuses(open_search()) == {"0000": "completed", "0001": "completed" if moment == "table" else "waiting"}


def test_hopeless_trials_are_pruned(fake, make_study, control, tmp_path):
    rates = [0.06, 0.05, 0.04, 0.01, 0.02, 0.07]
    study = make_study({"learning_rate": rates}, algorithm="grid", seeds=[1], epochs=3, pruning="median")
    results = search(study, tmp_path / "out", control)
    # Scores rise by 0.01 an epoch, and the median is that of mean scores: it ends what is far behind.
    assert [trial.status for trial in results.trials] == ["completed"] * 3 + ["pruned"] * 2 + ["completed"]
    pruned = results.trials[3]
    assert pruned.message == "hopeless: 0.5210 by epoch 1 is below the median 0.5610"
    assert [one.stopped for one in pruned.executions] == [""] and pruned.epochs_trained == (1,)
    assert results.best.values == {"learning_rate": 0.07}
    assert "hopeless" in (tmp_path / "out" / "report.md").read_text()


def test_a_search_that_continues_knows_earlier_scores(open_search):
    keys = {"pruning": "halving", "factor": 2, "seeds": [1]}
    driver = open_search(**keys)
    task = next(driver.tasks())
    history = {"1": [{"epoch": 1, "loss": 1.0, "seconds": 1.0, "score": 0.9}]}
    driver.end(Done(task, outcome_of(task, history=history)))
    driver = open_search(**keys)
    task = next(driver.tasks())
    assert not driver.on_report(task, {"seed": 1, "epoch": 1, "last": 0.8})
    driver.end(Done(task, outcome_of(task, status="pruned", message="stopped by the search")))
    assert driver.results().trials[1].message == "hopeless: 0.8000 at epoch 1 is not among the best 1 of 2"


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_random_events_lose_no_trial_and_count_none_twice(seed, open_search):
    """Three workers that die and a search that dies, at random, until the study is complete."""
    dice, driver, running, counted = random.Random(seed), open_search(), [], {}
    tasks = driver.tasks()
    while True:
        if len(running) < 3 and (task := next(tasks, None)) is not None:
            running.append(task)
        if not running:
            break
        task, event = dice.choice(running), dice.random()
        if event < 0.2:
            driver = open_search()
            tasks, running = driver.tasks(), []
        elif event < 0.4:
            driver.on_start(task, "w")
            driver.on_loss(task)
        elif event < 0.6:
            running.remove(task)
            driver.end(Done(task, outcome_of(task)))
            counted[task["trial"]] = counted.get(task["trial"], 0) + 1
    trials = [trial for trial, _ in driver.snapshot()[0]]
    assert sorted(trial.values["learning_rate"] for trial in trials) == [n / 100 for n in range(1, 7)]
    assert {trial.status for trial in trials} == {"completed"} and counted == dict.fromkeys(statuses(driver), 1)


@pytest.mark.slow
def test_live_table_on_a_terminal(study_path, control, tmp_path):
    hold(control, "0004", 2)
    ours, theirs = pty.openpty()
    command = [sys.executable, os.path.join(os.path.dirname(__file__), "recalib.py"), "tune", study_path]
    process = subprocess.Popen(
        [*map(str, command), "-o", tmp_path / "out", "--data", control, "--workers", "1"],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "140", "LINES": "40", "TERM": "xterm", "CUDA_VISIBLE_DEVICES": "-1"},
    )
    os.close(theirs)
    written = []

    def read():
        try:
            while data := os.read(ours, 4096):
                written.append(data)
        except OSError:  # so ends a terminal that nobody writes to any more
            pass

    reader = threading.Thread(target=read)
    reader.start()
    wait_until_held(control, "0004")
    while b"1/3 of 1/2" not in b"".join(written):
        reader.join(0.05)
    release(control)
    assert process.wait(LONGEST) == 0
    reader.join(LONGEST)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(written).decode())
    assert "rates: 4 of 6 trials, best 0.5715 (trial 0003)" in text
    assert "6 trials; best 0.5915 (trial 0005): learning_rate=0.06" in text
    assert "started" not in text and "Traceback" not in text


@pytest.mark.slow
def test_same_results_with_and_without_workers(tmp_path):
    (tmp_path / "balls.toml").write_text(RECIPE)
    (tmp_path / "study.toml").write_text(REAL)
    write_scans(tmp_path, count=3)
    study = Study.read(tmp_path / "study.toml")
    alone = search(study, tmp_path / "alone", tmp_path)
    two = search(study, tmp_path / "two", tmp_path, Workers(2))
    assert [trial.scores for trial in two.trials] == [trial.scores for trial in alone.trials]
    assert [len(trial.scores) for trial in alone.trials] == [2, 2]

import json
import os
import time

import pytest

from recalib_keras.core.errors import StudyError
from recalib_keras.core.spreading.pool import Done
from recalib_keras.tuning.driver import Search
from recalib_keras.tuning.reporting.results import read_results
from recalib_keras.tuning.trials.state import STATE, State, read

NAN, INFINITE = float("nan"), float("inf")


def first(content):
    return content["trials"][0]


def drawn_bracket(content):
    content["oracle"]["brackets"][0]["rounds"][0][0]["id"] = "9999"


# Each damages the state of a study with one complete and one running trial; the words say what the error names.
DAMAGE = {
    "half": (lambda text: text[: len(text) // 2], "no JSON"),
    "empty": (lambda text: "", "no JSON"),
    "list": (lambda text: "[]", "a list where a table belongs"),
    "null": (lambda text: "null", "a NoneType where a table belongs"),
    "number": (lambda text: "1e999", "a float where a table belongs"),
    "deep": (lambda text: "[" * 100_000, "no JSON"),
    "binary": (lambda text: "\udcff\udcfe", "no JSON"),
    "NaN score": (
        lambda c: first(c)["executions"][0].update(score=NAN),
        "expected score to be a finite number, got nan",
    ),
    "infinite score": (lambda c: first(c)["executions"][0].update(score=INFINITE), "finite number, got inf"),
    "score of 7": (lambda c: first(c)["executions"][0].update(score=7.0), "trial 0000 with a score outside 0 to 1"),
    "text score": (lambda c: first(c)["executions"][0].update(score="high"), "high"),
    "no score": (lambda c: first(c)["executions"][0].update(score=None), "trial 0000, complete but without a score"),
    "no executions": (lambda c: first(c).update(executions=[]), "trial 0000, complete but without a score"),
    "NaN in the search": (lambda c: c["drawn"][0].update(score=NAN), "without a score in the search"),
    "unknown status": (lambda c: first(c).update(status="finished"), "expected status to be one of waiting, running"),
    "status number": (lambda c: first(c).update(status=3), "status"),
    "running without a worker": (lambda c: c["oracle"].update(ongoing_trials={}), "running trials that no worker has"),
    "unknown key": (lambda c: first(c).update(colour="red"), "colour"),
    "two of one id": (lambda c: c["trials"].append(first(c)), "two trials of one id"),
    "trial lost": (lambda c: c["trials"].pop(), "lists of trials that disagree"),
    "trials null": (lambda c: c.update(trials=None), "no list under 'trials'"),
    "trial null": (lambda c: c["trials"].__setitem__(0, None), "a wrong trial"),
    "drawn of text": (lambda c: c["drawn"].__setitem__(0, "x"), "lists of trials that disagree"),
    "oracle null": (lambda c: c.update(oracle=None), "no dict under 'oracle'"),
    "oracle empty": (lambda c: c.update(oracle={}), "lists of trials that disagree"),
    "no seed state": (lambda c: c["oracle"].pop("seed_state"), "a search that cannot be restored"),
    "space of another kind": (lambda c: c["oracle"].update(hyperparameters={"space": 5}), "cannot be restored"),
    "bracket of lost trials": (drawn_bracket, "cannot be restored .*expected rounds of trials that exist, got "),
    "exhausted text": (lambda c: c.update(exhausted="yes"), "no bool under 'exhausted'"),
}


@pytest.fixture
def folder(make_study, tmp_path):
    """The folder of a study that was stopped with a complete and a running trial."""
    search = Search(make_study(algorithm="hyperband", epochs=9), tmp_path / "out", tmp_path)
    tasks = search.tasks()
    executions = [{"seed": 3, "score": 0.5, "best_epoch": 1, "epochs": 1}]
    outcome = {"status": "completed", "minutes": 1.0, "executions": executions, "history": {}}
    search.end(Done(next(tasks), outcome))
    next(tasks)
    state = (tmp_path / "out" / STATE).read_bytes()
    search.close()
    (tmp_path / "out" / STATE).write_bytes(state)  # as a killed process leaves it: the other trial runs
    return tmp_path / "out"


def damage(path, change):
    text = path.read_text()
    try:
        changed = change(text)
    except (AttributeError, TypeError):
        content = json.loads(text)
        change(content)
        changed = json.dumps(content)
    path.write_bytes(changed.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_state_is_one_error(name, folder, make_study):
    change, words = DAMAGE[name]
    damage(folder / STATE, change)
    study, start = make_study(algorithm="hyperband", epochs=9), time.process_time()
    with pytest.raises(
        StudyError, match=f"state.json: expected the state of a study, got .*{words}.*damaged.*--overwr"
    ):
        Search(study, folder, folder)
    assert time.process_time() - start < 5
    search = Search(study, folder, folder, overwrite=True)
    assert search.ended == 0
    search.close()


def test_undamaged_state_is_restored(folder, make_study):
    study = make_study(algorithm="hyperband", epochs=9)
    assert [trial.status for trial in read_results(study, folder).trials] == ["completed", "running"]
    search = Search(study, folder, folder)
    assert search.ended == 1
    search.close()


def test_results_of_a_damaged_state(folder, make_study):
    damage(folder / STATE, DAMAGE["NaN score"][0])
    with pytest.raises(StudyError, match=r"state.json: expected the state of a study, got .*--overwrite"):
        read_results(make_study(algorithm="hyperband", epochs=9), folder)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_state_that_is_no_file(make, tmp_path):
    make(tmp_path / STATE)
    with pytest.raises(StudyError, match=r"state.json: expected the state of a study, got a (folder|pipe)"):
        read(tmp_path)


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink(path.with_name("notes.txt"), path)])
def test_lock_that_is_no_file(make, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    make(tmp_path / "study.lock")
    with pytest.raises(StudyError, match=r"study.lock: expected a lock file, got a (folder|link); move it away"):
        State(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_state_of_an_earlier_version_names_no_key(folder, make_study):
    damage(folder / STATE, lambda content: [content.pop(key) for key in ("question", "base_recipe")])
    with pytest.raises(StudyError, match="expected the study 'study', got another study, or another recipe; undo"):
        Search(make_study(algorithm="hyperband", epochs=3), folder, folder)
    Search(make_study(algorithm="hyperband", epochs=9), folder, folder).close()

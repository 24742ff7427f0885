import json
import random

import pytest

from recalib_keras.core.errors import StudyError, WriteError
from recalib_keras.tuning.chief import Chief

LEASE = 60.0


class Clock:
    """Seconds that pass when the test sets them."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_chief(make_study, tmp_path, clock):
    """Makes the chief of a study in the test's folder; an earlier one releases the folder, as if it had died."""
    chiefs = []

    def make(keep_leases=True, overwrite=False, **keys):
        if chiefs:
            chiefs[-1].close()
        study = make_study(**{"algorithm": "grid", "seeds": [1, 2], "epochs": 3, **keys})
        chiefs.append(Chief(study, tmp_path / "out", LEASE, keep_leases, overwrite, clock))
        return chiefs[-1]

    yield make
    for chief in chiefs:
        chief.close()


class Worker:
    """Asks and reports as a worker does."""

    def __init__(self, chief, name="w"):
        self.chief, self.name, self.study, self.task = chief, name, chief.study.fingerprint, None

    def ask(self):
        answer = self.chief.ask(self.name, self.study)
        self.task = answer.get("task")
        return answer

    def report(self, task=None, progress=None):
        task = task or self.task
        return self.chief.report(self.name, self.study, task["trial"], task["attempt"], progress or {})["go_on"]

    def tell(self, task=None, **changes):
        task = task or self.task
        outcome = {**outcome_of(task), **changes}
        return self.chief.tell(self.name, self.study, task["trial"], task["attempt"], outcome)["counted"]


def outcome_of(task):
    rate = task["recipe"]["optimizer"]["learning_rate"]
    executions = [{"seed": s, "score": rate + s / 100, "best_epoch": 3, "epochs": 3} for s in task["seeds"]]
    history = {str(s): [{"epoch": 1, "loss": 1.0, "seconds": 1.0, "score": rate}] for s in task["seeds"]}
    return {
        "status": "completed",
        "message": "",
        "minutes": 1.0,
        "parameters": 7,
        "executions": executions,
        "history": history,
    }


def statuses(chief):
    return {trial.id: (trial.status, trial.attempt) for trial, _ in chief.snapshot()[0]}


def test_whole_study(make_chief, tmp_path):
    chief = make_chief()
    worker = Worker(chief)
    assert chief.join("w", worker.study) == {"lease": LEASE}
    rates = []
    while worker.ask()["do"] == "run":
        assert not chief.is_over
        rates.append(worker.task["recipe"]["optimizer"]["learning_rate"])
        assert worker.report(progress={"epoch": 2})
        assert chief.snapshot()[0][-1][1] == {"epoch": 2}
        assert worker.tell()
        assert chief.snapshot()[0][-1][1] is None
    assert rates == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert chief.is_over and chief.failure is None and chief.ended == 6
    assert worker.ask() == {"do": "stop", "why": ""}
    best = chief.results().best
    assert (best.id, best.score) == ("0005", pytest.approx(0.06 + 0.015))
    assert (tmp_path / "out" / "best.toml").exists()


def test_asking_again_gets_the_same_trial(make_chief):
    worker = Worker(make_chief())
    assert worker.ask() == worker.ask()
    assert len(statuses(worker.chief)) == 1


def test_telling_again_counts_once(make_chief):
    worker = Worker(make_chief())
    worker.ask()
    assert worker.tell() and worker.tell(minutes=99.0)
    assert [trial.minutes for trial, _ in worker.chief.snapshot()[0]] == [1.0]


def test_idle_workers_wait_for_trials_that_may_come_back(make_chief):
    chief = make_chief(space={"learning_rate": [0.01, 0.02]})
    first, second, third = (Worker(chief, name) for name in "abc")
    first.ask(), second.ask()
    assert third.ask() == {"do": "wait"}
    first.tell()
    assert third.ask() == {"do": "wait"} and first.ask() == {"do": "wait"}
    chief.lost("b")
    assert third.ask()["task"]["trial"] == second.task["trial"]
    third.tell()
    assert [worker.ask()["do"] for worker in (first, second, third)] == ["stop"] * 3


def test_silent_worker_loses_its_trial(make_chief, clock):
    chief = make_chief()
    silent, other = Worker(chief, "silent"), Worker(chief, "other")
    silent.ask()
    for _ in range(7):
        clock.now += LEASE / 6
        chief.look()
    assert statuses(chief) == {"0000": ("waiting", 1)} and chief.workers == []
    other.ask()
    assert (other.task["trial"], other.task["attempt"]) == ("0000", 2)
    assert not silent.report() and not silent.tell()
    assert other.report() and other.tell()
    assert statuses(chief) == {"0000": ("completed", 2)}


def test_report_keeps_a_trial(make_chief, clock):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask()
    for _ in range(20):
        clock.now += LEASE / 3
        assert worker.report()
        chief.look()
    assert statuses(chief) == {"0000": ("running", 1)} and chief.workers == ["w"]


def test_worker_gets_a_waiting_trial_back(make_chief):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask()
    chief.lost("w")
    assert statuses(chief) == {"0000": ("waiting", 1)}
    assert worker.report() and statuses(chief) == {"0000": ("running", 1)}
    chief.lost("w")
    assert worker.tell() and statuses(chief) == {"0000": ("completed", 1)}


def test_held_up_chief_does_not_blame_workers(make_chief, clock):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask()
    clock.now += 10 * LEASE
    chief.look()
    assert statuses(chief) == {"0000": ("running", 1)}


def test_leaving_is_no_loss(make_chief):
    chief = make_chief()
    for attempt in range(1, 7):
        worker = Worker(chief)
        assert worker.ask()["task"]["attempt"] == attempt
        chief.leave("w", worker.study)
    assert [trial.losses for trial, _ in chief.snapshot()[0]] == [0]


def test_trial_that_loses_three_workers_fails(make_chief):
    chief = make_chief()
    for _ in range(3):
        Worker(chief).ask()
        chief.lost("w")
    assert statuses(chief) == {"0000": ("failed", 3)}
    (trial, _) = chief.snapshot()[0][0]
    assert trial.message == "its worker died; 3 workers were lost in this trial"
    assert Worker(chief).ask()["task"]["trial"] == "0001"


def test_three_failures_in_a_row_end_the_study(make_chief):
    chief = make_chief()
    worker = Worker(chief)
    for status in ("failed", "failed", "completed", "failed", "pruned", "failed"):
        worker.ask()
        worker.tell(status=status, message="no such layer", executions=outcome_of(worker.task)["executions"])
    assert chief.failure is None
    chief = make_chief(space={"learning_rate": [0.01 * n for n in range(1, 9)]}, overwrite=True)
    worker = Worker(chief)
    for _ in range(3):
        worker.ask()
        worker.tell(status="failed", message="no such layer", executions=[])
    assert isinstance(chief.failure, StudyError)
    assert str(chief.failure) == (
        "expected trials that can be trained, got 3 failures in a row, the last (0002): no such layer; correct the "
        "study"
    )
    assert worker.ask() == {"do": "stop", "why": str(chief.failure)}


def test_refuses_workers_of_another_study(make_chief):
    chief = make_chief()
    with pytest.raises(StudyError, match="expected w to work on the study of the chief, 'study', got another study"):
        chief.join("w", "something else")


def test_refuses_a_second_chief(make_study, make_chief, tmp_path):
    make_chief()
    with pytest.raises(StudyError, match="out: expected a folder that no other chief works on, got another chief"):
        Chief(make_study(algorithm="grid"), tmp_path / "out", LEASE)


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
def test_refuses_a_changed_study_and_names_the_key(keys, message, make_chief):
    make_chief().join("w", make_chief().study.fingerprint)
    with pytest.raises(StudyError, match=f"out: expected {message}.*--output.*--overwrite"):
        make_chief(**keys)


def test_refuses_a_changed_recipe_and_names_the_key(make_chief, recipe_folder, tmp_path):
    path = tmp_path / "balls.toml"
    text = (recipe_folder / "balls.toml").read_text()
    path.write_text(text)
    chief = make_chief(recipe=str(path))
    chief.join("w", chief.study.fingerprint)
    path.write_text(text.replace("rotation = 10.0", "rotation = 11.0"))
    message = "the recipe with augmentation.rotation = 10.0, as when .*, got augmentation.rotation = 11.0"
    with pytest.raises(StudyError, match=message):
        make_chief(recipe=str(path))


def test_overwrites_another_study_on_request(make_chief, tmp_path):
    worker = Worker(make_chief())
    worker.ask(), worker.tell()
    with pytest.raises(StudyError, match="expected the study with epochs = 3"):
        make_chief(epochs=4)
    chief = make_chief(epochs=4, overwrite=True)
    assert statuses(chief) == {}
    assert not (tmp_path / "out" / "trials").exists() and not (tmp_path / "out" / "best.toml").exists()


def test_study_can_get_more_trials(make_chief):
    for trials in (2, 4):
        worker = Worker(make_chief(trials=trials))
        while worker.ask()["do"] == "run":
            worker.tell()
    assert statuses(worker.chief) == {f"{number}": ("completed", 1) for number in range(4)}


def test_restarted_chief_waits_for_its_workers(make_chief, clock):
    """Otherwise a worker without a trial would never hear that the study is complete."""
    chief = make_chief(space={"learning_rate": [0.01, 0.02]})
    busy, idle, gone = (Worker(chief, name) for name in ("busy", "idle", "gone"))
    for worker in (busy, idle, gone):
        chief.join(worker.name, worker.study)
    busy.ask(), idle.ask(), idle.tell()
    chief.leave("gone", gone.study)
    chief = busy.chief = idle.chief = make_chief(space={"learning_rate": [0.01, 0.02]})
    assert chief.workers == ["busy", "idle"]
    assert busy.tell() and busy.ask()["do"] == "stop"
    assert chief.is_over and chief.workers == ["idle"]
    assert idle.ask()["do"] == "stop" and chief.workers == []
    assert make_chief(space={"learning_rate": [0.01, 0.02]}).workers == []
    chief = make_chief(space={"learning_rate": [0.01, 0.02]})
    chief.join("late", idle.study)
    chief = make_chief(space={"learning_rate": [0.01, 0.02]})
    clock.now += 2 * LEASE
    assert chief.workers == []  # the chief no longer waits for it
    chief.join("late", idle.study)
    assert make_chief(keep_leases=False, space={"learning_rate": [0.01, 0.02]}).workers == []


def test_complete_study_is_over_at_once(make_chief):
    worker = Worker(make_chief())
    while worker.ask()["do"] == "run":
        worker.tell()
    chief = make_chief()
    assert chief.is_over and chief.snapshot()[1] == 6


@pytest.mark.parametrize("moment", ["state", "history", "table"])
def test_full_disk_ends_the_study(moment, make_chief, monkeypatch):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask(), worker.tell()
    worker.ask()
    task = worker.task

    def fail(*_, **__):
        raise WriteError("expected to write x, got 'No space left on device'")

    module, name = {"state": ("state.State", "save"), "history": ("ledger", "write_text")}.get(
        moment, ("ledger", "write_results")
    )
    with monkeypatch.context() as patch:
        patch.setattr(f"recalib_keras.tuning.{module}.{name}", fail)
        assert not worker.tell()
    assert chief.is_over and "No space left" in str(chief.failure)
    assert worker.ask()["do"] == "stop" and not worker.report(task) and not worker.tell(task)
    chief = make_chief(keep_leases=False)
    ended = {"0000": ("completed", 1), "0001": ("completed", 1) if moment == "table" else ("waiting", 1)}
    assert statuses(chief) == ended


def test_failed_search_ends_the_study(make_chief, monkeypatch):
    chief = make_chief()
    monkeypatch.setattr(
        "recalib_keras.tuning.oracles.Grid.populate_space", lambda *_: (_ for _ in ()).throw(ZeroDivisionError("oh"))
    )
    assert Worker(chief).ask() == {"do": "stop", "why": "oh"}
    assert isinstance(chief.failure, ZeroDivisionError)


def test_state_is_one_json_file(make_chief, tmp_path):
    worker = Worker(make_chief())
    worker.ask(), worker.tell()
    content = json.loads((tmp_path / "out" / "state.json").read_text())
    assert content["format"] == 1 and content["trials"][0]["status"] == "completed"
    (tmp_path / "out" / "state.json").write_text('{"format": 2}')
    with pytest.raises(StudyError, match=r"state.json: expected a state of format 1, got format 2; .*--overwrite"):
        make_chief()


@pytest.mark.parametrize("seed", range(8))
def test_random_events_lose_no_trial_and_count_none_twice(seed, make_chief, clock):
    """Three workers, a chief that dies sometimes, answers that get lost: at random, a thousand times."""
    dice = random.Random(seed)
    chief = make_chief()
    workers = [Worker(chief, name) for name in "abc"]
    counted = {}
    for _ in range(1000):
        worker, event = dice.choice(workers), dice.random()
        if event < 0.05:  # the chief dies and restarts; its last answer may be lost
            chief = make_chief(keep_leases=dice.random() < 0.5)
            for one in workers:
                one.chief = chief
        elif event < 0.08:  # a worker dies, and another takes its name
            workers[workers.index(worker)] = Worker(chief, worker.name)
            if dice.random() < 0.5:
                chief.lost(worker.name)
        elif event < 0.2:
            clock.now += dice.random() * LEASE / 2
            chief.look()
        elif worker.task is None:
            worker.ask()
        elif event < 0.6:
            worker.task = worker.task if worker.report() else None
        else:
            task = worker.task
            known = statuses(chief)[task["trial"]]
            if worker.tell() and known != ("completed", task["attempt"]):
                counted[task["trial"]] = counted.get(task["trial"], 0) + 1
            worker.task = worker.task if dice.random() < 0.1 else None  # it tells again, since the answer was lost
        if chief.is_over:
            break
    assert chief.failure is None and chief.is_over
    trials = [trial for trial, _ in chief.snapshot()[0]]
    assert len(trials) == 6 and sorted(t.values["learning_rate"] for t in trials) == [n / 100 for n in range(1, 7)]
    completed = {trial.id for trial in trials if trial.status == "completed"}
    assert counted == dict.fromkeys(completed, 1)
    assert {trial.status for trial in trials} <= {"completed", "failed"}
    assert all(trial.losses == 3 for trial in trials if trial.status == "failed")

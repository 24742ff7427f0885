import json
import random

import pytest

from recalib_keras.core.errors import StudyError, WriteError
from recalib_keras.tuning.chief import Chief

LEASE = 60.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_chief(make_study, tmp_path, clock):
    """Makes the chief of a study in the test's folder; one that was made before lets go of it, as if it had died."""
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
    """Asks and tells as a worker does."""

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


def test_a_study_from_begin_to_end(make_chief, tmp_path):
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


def test_a_worker_that_asks_again_is_told_the_same(make_chief):
    worker = Worker(make_chief())
    assert worker.ask() == worker.ask()
    assert len(statuses(worker.chief)) == 1


def test_a_worker_that_tells_again_is_believed_once(make_chief):
    worker = Worker(make_chief())
    worker.ask()
    assert worker.tell() and worker.tell(minutes=99.0)
    assert [trial.minutes for trial, _ in worker.chief.snapshot()[0]] == [1.0]


def test_whoever_has_nothing_to_do_waits_as_long_as_a_trial_may_come_back(make_chief):
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


def test_a_silent_workers_trial_goes_to_another_and_it_is_not_heard_again(make_chief, clock):
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


def test_a_sign_of_life_keeps_a_trial(make_chief, clock):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask()
    for _ in range(20):
        clock.now += LEASE / 3
        assert worker.report()
        chief.look()
    assert statuses(chief) == {"0000": ("running", 1)} and chief.workers == ["w"]


def test_a_trial_given_up_too_early_goes_back_to_its_worker_while_nobody_has_it(make_chief):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask()
    chief.lost("w")
    assert statuses(chief) == {"0000": ("waiting", 1)}
    assert worker.report() and statuses(chief) == {"0000": ("running", 1)}
    chief.lost("w")
    assert worker.tell() and statuses(chief) == {"0000": ("completed", 1)}


def test_a_chief_that_was_held_up_itself_does_not_blame_the_workers(make_chief, clock):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask()
    clock.now += 10 * LEASE
    chief.look()
    assert statuses(chief) == {"0000": ("running", 1)}


def test_a_worker_that_leaves_gives_its_trial_back_without_blame(make_chief):
    chief = make_chief()
    for attempt in range(1, 7):
        worker = Worker(chief)
        assert worker.ask()["task"]["attempt"] == attempt
        chief.leave("w", worker.study)
    assert [trial.losses for trial, _ in chief.snapshot()[0]] == [0]


def test_a_trial_that_costs_three_workers_fails(make_chief):
    chief = make_chief()
    for _ in range(3):
        Worker(chief).ask()
        chief.lost("w")
    assert statuses(chief) == {"0000": ("failed", 3)}
    (trial, _) = chief.snapshot()[0][0]
    assert trial.message == "its worker died; it has now cost 3 workers"
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
    assert str(chief.failure) == "3 trials in a row failed, the last (0002): no such layer"
    assert worker.ask() == {"do": "stop", "why": str(chief.failure)}


def test_another_study_is_refused(make_chief):
    chief = make_chief()
    with pytest.raises(StudyError, match="w has another study than the chief, which works on 'study'"):
        chief.join("w", "something else")


def test_two_chiefs_cannot_have_one_folder(make_study, make_chief, tmp_path):
    make_chief()
    with pytest.raises(StudyError, match="another chief works on"):
        Chief(make_study(algorithm="grid"), tmp_path / "out", LEASE)


def test_a_folder_with_another_study_is_refused_and_overwritten_if_told_so(make_chief, tmp_path):
    worker = Worker(make_chief())
    worker.ask(), worker.tell()
    with pytest.raises(StudyError, match="holds another study, or one of another recipe"):
        make_chief(epochs=4)
    chief = make_chief(epochs=4, overwrite=True)
    assert statuses(chief) == {}
    assert not (tmp_path / "out" / "trials").exists() and not (tmp_path / "out" / "best.toml").exists()


def test_a_study_may_be_given_more_trials(make_chief):
    for trials in (2, 4):
        worker = Worker(make_chief(trials=trials))
        while worker.ask()["do"] == "run":
            worker.tell()
    assert statuses(worker.chief) == {f"{number}": ("completed", 1) for number in range(4)}


def test_a_chief_that_is_started_again_waits_for_the_workers_there_were(make_chief, clock):
    """Or one that had nothing to do when the chief died would never hear that the study is complete."""
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
    assert chief.workers == []  # it is not waited for any longer
    chief.join("late", idle.study)
    assert make_chief(keep_leases=False, space={"learning_rate": [0.01, 0.02]}).workers == []


def test_a_finished_study_is_over_at_once(make_chief):
    worker = Worker(make_chief())
    while worker.ask()["do"] == "run":
        worker.tell()
    chief = make_chief()
    assert chief.is_over and chief.snapshot()[1] == 6


@pytest.mark.parametrize("moment", ["state", "history", "table"])
def test_a_disk_that_fails_ends_the_study_as_it_is_on_disk(moment, make_chief, monkeypatch):
    chief = make_chief()
    worker = Worker(chief)
    worker.ask(), worker.tell()
    worker.ask()
    task = worker.task

    def fail(*_, **__):
        raise WriteError("expected to write x, got 'No space left on device'")

    module, name = {"state": ("state.State", "save"), "history": ("ledger", "atomic_write")}.get(
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


def test_a_search_that_fails_ends_the_study(make_chief, monkeypatch):
    chief = make_chief()
    monkeypatch.setattr(
        "recalib_keras.tuning.oracles.Grid.populate_space", lambda *_: (_ for _ in ()).throw(ZeroDivisionError("oh"))
    )
    assert Worker(chief).ask() == {"do": "stop", "why": "oh"}
    assert isinstance(chief.failure, ZeroDivisionError)


def test_the_state_is_one_file_of_plain_json(make_chief, tmp_path):
    worker = Worker(make_chief())
    worker.ask(), worker.tell()
    content = json.loads((tmp_path / "out" / "state.json").read_text())
    assert content["format"] == 1 and content["trials"][0]["status"] == "completed"
    (tmp_path / "out" / "state.json").write_text('{"format": 2}')
    with pytest.raises(StudyError, match="has the format 2, this version reads 1"):
        make_chief()
    (tmp_path / "out" / "state.json").write_text("{")
    with pytest.raises(StudyError, match="is no state of a study"):
        make_chief()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_in_whatever_order_no_trial_is_lost_or_counted_twice(seed, make_chief, clock):
    """Three workers, a chief that dies now and then, answers that get lost: thrown by dice, a thousand times."""
    dice = random.Random(seed)
    chief = make_chief()
    workers = [Worker(chief, name) for name in "abc"]
    counted = {}
    for _ in range(1000):
        worker, event = dice.choice(workers), dice.random()
        if event < 0.05:  # the chief dies and is started again; what it last answered may be lost
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
            worker.task = worker.task if dice.random() < 0.1 else None  # it tells again: the answer was lost
        if chief.is_over:
            break
    assert chief.failure is None and chief.is_over
    trials = [trial for trial, _ in chief.snapshot()[0]]
    assert len(trials) == 6 and sorted(t.values["learning_rate"] for t in trials) == [n / 100 for n in range(1, 7)]
    completed = {trial.id for trial in trials if trial.status == "completed"}
    assert counted == dict.fromkeys(completed, 1)
    assert {trial.status for trial in trials} <= {"completed", "failed"}
    assert all(trial.losses == 3 for trial in trials if trial.status == "failed")

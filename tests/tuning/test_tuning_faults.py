"""A study loses no trial and counts none twice, whichever process is killed, at any time: with real processes."""

import os
import resource
import signal
import time

import pytest
from study_processes import (
    RATES,
    ended,
    epochs_trained,
    finish,
    hold,
    is_alive,
    release,
    trials_of,
    wait_for,
    wait_until_held,
    workers_of,
)

# Each fault is a race: ten times in a row in the slow tests, and the death of a worker once in every run.
SLOW_TURNS = [pytest.param(turn, marks=pytest.mark.slow) for turn in range(1, 11)]
TURNS = pytest.mark.parametrize("turn", SLOW_TURNS)
EACH_EPOCH_ONCE = sorted((f"{t:04d}", str(s), str(e)) for t in range(len(RATES)) for s in (1, 2) for e in (1, 2, 3))


def assert_complete(folder):
    """Asserts that each of the study's mixes has one complete trial, with the scores it must have."""
    trials = ended(folder)
    assert len(trials) == len(trials_of(folder)) == len(RATES)
    assert sorted(trial["values"]["learning_rate"] for trial in trials.values()) == list(RATES)
    for trial in trials.values():
        scores = {one["seed"]: one["score"] for one in trial["executions"]}
        rate = trial["values"]["learning_rate"]
        assert scores == pytest.approx({seed: 0.5 + rate + 0.001 * seed + 0.03 for seed in (1, 2)})
    rows = (folder / "trials.csv").read_text().splitlines()
    assert len(rows) == 1 + len(RATES) and all("completed" in row for row in rows[1:])


@TURNS
def test_killed_worker(turn, recalib_tune, control, tmp_path):
    hold(control, "0001", 3)
    driver = recalib_tune("--workers", 2)
    killed = wait_until_held(control, "0001")
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not is_alive(killed), "the death of the worker")
    release(control)
    code, said = finish(driver)
    assert code == 0, said
    assert_complete(tmp_path / "out")
    attempts = {name: (trial["attempt"], trial["losses"]) for name, trial in trials_of(tmp_path / "out").items()}
    assert attempts == {**dict.fromkeys(attempts, (1, 0)), "0001": (2, 1)}
    assert sorted(epochs_trained(control)) == EACH_EPOCH_ONCE  # it continued from the checkpoint of the dead worker


@TURNS
def test_killed_driver(turn, recalib_tune, control, tmp_path):
    hold(control, "0004", 2)
    driver = recalib_tune("--workers", 2)
    wait_until_held(control, "0004")
    wait_for(lambda: len(ended(tmp_path / "out")) >= 3, "three trials")
    wait_for(lambda: trials_of(tmp_path / "out")["0004"]["attempt"] == 1, "the news of the trial's start")
    workers = workers_of(driver)
    assert len(workers) == 2
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not any(map(is_alive, workers)), "the end of the orphans")
    before = ended(tmp_path / "out")
    release(control)
    code, said = finish(recalib_tune("--workers", 2))
    assert code == 0, said
    assert_complete(tmp_path / "out")
    assert {name: ended(tmp_path / "out")[name] for name in before} == before
    again = [name for name, trial in trials_of(tmp_path / "out").items() if trial["attempt"] > 1]
    assert "0004" in again and not set(again) & set(before)
    assert sorted(set(epochs_trained(control))) == EACH_EPOCH_ONCE


@TURNS
def test_killed_driver_of_a_cluster(turn, recalib_tune, cluster, control, tmp_path):
    """Its workers live, and one of them is in an epoch: two workers must not train one trial at a time."""
    hold(control, "0003", 2)
    file = tmp_path / "scheduler.json"
    cluster("scheduler", file)
    wait_for(file.exists, "the scheduler")
    for _ in range(2):
        cluster("worker", file)
    driver = recalib_tune("--scheduler-file", file)
    wait_until_held(control, "0003")
    wait_for(lambda: len(ended(tmp_path / "out")) == 5, "the other trials")
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = ended(tmp_path / "out")
    again = recalib_tune("--scheduler-file", file)
    wait_for(lambda: "trial 0003 started" in again.log.read_text(), "the second attempt")
    release(control)
    code, said = finish(again)
    assert code == 0, said
    assert_complete(tmp_path / "out")
    assert {name: ended(tmp_path / "out")[name] for name in before} == before
    assert sorted(epochs_trained(control)) == EACH_EPOCH_ONCE


@TURNS
def test_killed_scheduler(turn, recalib_tune, cluster, control, tmp_path):
    hold(control, "0003", 2)
    file = tmp_path / "scheduler.json"
    scheduler = cluster("scheduler", file)
    wait_for(file.exists, "the scheduler")
    workers = [cluster("worker", file) for _ in range(2)]
    driver = recalib_tune("--scheduler-file", file)
    wait_until_held(control, "0003")
    wait_for(lambda: len(ended(tmp_path / "out")) == 5, "the other trials")
    before = ended(tmp_path / "out")
    os.kill(scheduler.pid, signal.SIGKILL)
    code, said = finish(driver)
    assert code == 2, said
    assert "expected the scheduler at tcp://127.0.0.1" in said.splitlines()[-1], said
    for worker in workers:
        os.killpg(worker.pid, signal.SIGKILL)
    file.unlink()
    release(control)
    cluster("scheduler", file)
    wait_for(file.exists, "the scheduler")
    cluster("worker", file)
    code, said = finish(recalib_tune("--scheduler-file", file))
    assert code == 0, said
    assert_complete(tmp_path / "out")
    assert {name: ended(tmp_path / "out")[name] for name in before} == before
    assert sorted(set(epochs_trained(control))) == EACH_EPOCH_ONCE


def _limit_files(size):
    """Lets the kernel refuse any file beyond some bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@TURNS
@pytest.mark.parametrize("victim", ["worker", "driver"])
def test_full_disk(turn, victim, recalib_tune, control, tmp_path):
    (control / "size").write_text("200000" if victim == "worker" else "10")
    before = _limit_files(100_000 if victim == "worker" else 6_000)
    code, said = finish(recalib_tune("--workers", 1, before=before))
    assert code == 2 and said.splitlines()[-1].startswith("recalib tune: "), said
    assert "File too large" in said.splitlines()[-1]
    reached = ended(tmp_path / "out")
    assert len(reached) < len(RATES)
    code, said = finish(recalib_tune("--workers", 1))
    assert code == 0, said
    assert_complete(tmp_path / "out")
    assert {name: ended(tmp_path / "out")[name] for name in reached} == reached


@TURNS
@pytest.mark.parametrize(
    ("send", "number", "expected"),
    [(os.kill, signal.SIGINT, 130), (os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)],
    ids=["SIGINT", "Ctrl-C", "SIGTERM"],  # a terminal sends to the whole group, workers included
)
def test_stopped_driver(turn, send, number, expected, recalib_tune, control, tmp_path):
    hold(control, "0000", 2)
    driver = recalib_tune("--workers", 2)
    wait_until_held(control, "0000")
    workers = workers_of(driver)
    send(driver.pid, number)
    start = time.monotonic()
    code, said = finish(driver)
    assert code == expected, said
    assert "Traceback" not in said
    assert time.monotonic() - start < 30
    assert len(workers) == 2 and not any(map(is_alive, workers))
    assert trials_of(tmp_path / "out")["0000"]["status"] == "waiting"
    assert trials_of(tmp_path / "out")["0000"].get("losses", 0) == 0
    release(control)
    assert finish(recalib_tune())[0] == 0  # in its own process this time
    assert_complete(tmp_path / "out")


@pytest.mark.slow
def test_trial_that_kills_its_workers(recalib_tune, control, tmp_path):
    (control / "die").write_text("0001")
    code, said = finish(recalib_tune("--workers", 2))
    assert code == 0, said
    trials = trials_of(tmp_path / "out")
    assert trials["0001"]["status"] == "failed" and "3 workers were lost" in trials["0001"]["message"]
    assert {trial["status"] for name, trial in trials.items() if name != "0001"} == {"completed"}

"""A study that is killed at random moments loses nothing: no complete trial is lost, and none is counted twice."""

import sys

import numpy as np
import pytest
from killing import KILLS, finish, run_and_kill
from study_processes import RATES, ended, trials_of

from recalib_keras.tuning.trials.state import read

COMMAND = "recalib.py"


@pytest.fixture
def command(study_path, control, request):
    """The command for the tiny study with fake trainings, without the folder of its output."""
    (control / "pace").write_text("0.03")
    script = request.path.with_name(COMMAND)
    return [sys.executable, script, "tune", study_path, "--data", control, "--workers", "2", "-o"]


def _scores(folder):
    return {
        name: [(one["seed"], one["score"], one["epochs"]) for one in trial["executions"]]
        for name, trial in ended(folder).items()
    }


def _state(folder):
    path = folder / "state.json"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.slow
def test_a_killed_study_loses_nothing(command, tmp_path):
    rng, log, reference = np.random.default_rng(0), tmp_path / "log.txt", tmp_path / "reference"
    finish([*command, reference], log)
    expected = _scores(reference)
    folder, kills = tmp_path / "study-0", 0
    while kills < KILLS:
        before = _state(folder)
        complete = _scores(folder)
        if run_and_kill([*command, folder], log, lambda at=folder, n=before: _state(at) != n, 1.5, rng):
            kills += 1
            assert read(folder)
            assert {name: score for name, score in _scores(folder).items() if name in complete} == complete
            assert all(expected[name] == score for name, score in _scores(folder).items())
        else:
            assert _scores(folder) == expected
            folder = tmp_path / f"study-{kills}"
    finish([*command, folder], log)
    assert _scores(folder) == expected and len(trials_of(folder)) == len(RATES)
    assert (folder / "trials.csv").read_text().count("completed") == len(RATES)

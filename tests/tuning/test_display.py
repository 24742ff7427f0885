import io

import pytest
from rich.console import Console

from recalib_keras.tuning import Study, Trial
from recalib_keras.tuning.reporting.display import Lines, headline, table, time_left
from recalib_keras.tuning.trials.trial import Execution

STUDY = Study(space={}, recipe="r.toml")


def trial(number, status, score=None, minutes=2.0, **changes):
    executions = () if score is None else (Execution(1, score, 2, 3), Execution(2, score, 2, 3))
    values = {"recalibration": "scse", "learning_rate": 0.01 * number}
    settings = {"attempt": 1, "worker": "worker-1", "minutes": minutes, "executions": executions}
    return Trial(f"{number}", values, epochs=3, status=status, **{**settings, **changes})


PROGRESS = {"seed": 2, "turn": 2, "turns": 2, "epoch": 1, "epochs": 3, "score": 0.71, "left": 60.0}
TRIALS = [
    (trial(1, "completed", 0.8), None),
    (trial(2, "failed", message="no such\nlayer", minutes=0.1), None),
    (trial(3, "running"), PROGRESS),
    (trial(4, "running", attempt=2), None),
]


def shown(renderable):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_table_shows_running_ended_and_best():
    text = shown(table(STUDY, TRIALS, 6, elapsed=300.0))
    assert "study: 2 of 6 trials, best 0.8000 (trial 1), 5 min so far, about" in text
    row = next(line for line in text.splitlines() if "learning_rate=0.03" in line)
    assert all(part in row for part in ("worker-1", "1/3 of 2/2", "0.7100", "60 s"))
    assert "worker-1, attempt 2" in text and "0/3" in text
    assert "failed" in text and "3+3" in text


def test_shows_only_the_last_ended_trials():
    trials = [(trial(number, "completed", 1.0 - number / 100), None) for number in range(1, 20)]
    rows = shown(table(STUDY, trials, 20, 1.0)).splitlines()
    assert [row.split()[1] for row in rows if "completed" in row] == ["1", "15", "16", "17", "18", "19"]


def test_time_left():
    # running: 60 s, and one as long as the one that has ended, 120 s; two more of 120 s; two workers
    assert time_left(TRIALS, 6) == pytest.approx((60 + 120 + 2 * 120) / 2)
    assert time_left(TRIALS, None) is None
    assert time_left([(trial(1, "running"), None)], 6) is None
    assert time_left(TRIALS[:1], 6) is None


def test_headline_of_a_new_study():
    assert headline(STUDY, [], None, 3.0) == "study: 0 of ? trials, 3 s so far"


def test_lines_of_a_trial():
    lines = Lines()
    assert lines.new(TRIALS) == [
        "trial 1 completed 0.8000  recalibration=scse learning_rate=0.01  2 min",
        "trial 2 failed  recalibration=scse learning_rate=0.02  6 s: no such layer",
        "trial 3 started  recalibration=scse learning_rate=0.03  by worker-1",
        "trial 4 started again, attempt 2  recalibration=scse learning_rate=0.04  by worker-1",
    ]
    assert lines.new(TRIALS) == []
    assert len(lines.new([*TRIALS[:2], (trial(3, "completed", 0.9), None)])) == 1

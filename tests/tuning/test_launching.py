import os
import pty
import re
import subprocess
import sys
import threading

import pytest
from recalib import execute
from study_processes import LONGEST, hold, release, wait_until_held
from training.synthetic import RECIPE, write_scans

from recalib_keras.tuning import Study, launch, search

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
    monkeypatch.setattr("recalib_keras.tuning.execution.execute", execute)


def test_search(fake, make_study, control, tmp_path):
    study, shown = make_study(algorithm="grid"), []
    results = search(study, tmp_path / "out", control, show=lambda chief: shown.append(chief.ended))
    assert shown[-1] == 6 == len(results.trials)
    assert (tmp_path / "out" / "report.md").exists()
    again = search(study, tmp_path / "out", control)  # nothing is left to do
    assert again.trials == results.trials


def test_starts_again_only_with_overwrite(fake, make_study, control, tmp_path):
    for overwrite in (False, False, True):
        search(make_study(algorithm="grid", seeds=[1], epochs=1), tmp_path / "out", control, overwrite=overwrite)
    assert len((control / "executed.txt").read_text().splitlines()) == 2 * 6


def test_early_end_raises_the_reason(make_study, control, tmp_path, monkeypatch):
    def fail(*_):
        raise ArithmeticError("too many maps")

    monkeypatch.setattr("recalib_keras.tuning.execution.execute", fail)
    with pytest.raises(
        RuntimeError,
        match=r"expected trials .*, got 3 failures in a row, the last .0002.: ArithmeticError: too many maps",
    ):
        search(make_study(algorithm="grid"), tmp_path / "out", control)


def test_failure_of_the_search_itself(fake, make_study, control, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("recalib_keras.tuning.oracles.Grid.populate_space", fail)
    with pytest.raises(RuntimeError, match="expected the search to draw trials, got ZeroDivisionError: oh"):
        search(make_study(algorithm="grid"), tmp_path / "out", control)


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
    two = launch(study, tmp_path / "study.toml", tmp_path / "two", tmp_path, workers=2)
    assert [trial.scores for trial in two.trials] == [trial.scores for trial in alone.trials]
    assert [len(trial.scores) for trial in alone.trials] == [2, 2]


STOPPED = """
import signal, sys
from recalib_keras.tuning import launching

def stop(*_):
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
try:
    with launching._signals_held() as let_signals_in:
        signal.raise_signal(signal.SIGTERM)  # unlike kill, to this thread: it has come when this returns
        print("went on")
        if sys.argv[1] == "True":
            let_signals_in()
            print("went on after the look")
    print("went on after the end")
finally:
    print("as before:", signal.getsignal(signal.SIGTERM) is stop)
"""


@pytest.mark.parametrize("looks_again", [True, False])
def test_signals_take_effect_later(looks_again):
    command = [sys.executable, "-c", STOPPED, str(looks_again)]  # a process of its own, which may be ended by a signal
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    assert (done.returncode, done.stdout) == (143, "went on\nas before: True\n"), done.stderr

import os
import signal
import subprocess
import sys

import pytest
from training.synthetic import RECIPE, write_scans

from recalib_keras.cli import main as command
from recalib_keras.cli import tune

STUDY = """
recipe = "balls.toml"
algorithm = "grid"
epochs = 1

[space]
learning_rate = [0.01, 0.06]
"network.arguments.levels" = 1
"schedule.steps_per_epoch" = 1
"input.window" = [[1, 12, 12]]
"""


@pytest.fixture
def run(monkeypatch):
    """Runs `recalib tune` in this process; returns its exit code."""
    monkeypatch.setattr(command, "COMMANDS", {**command.COMMANDS, "tune": "search for a better recipe"})
    monkeypatch.setattr(tune, "_start_light", lambda: None)  # Keras has its backend already

    return lambda *words: command.main(["tune", *map(str, words)])


@pytest.fixture
def study(tmp_path):
    """The file of a study of two trainings, beside its data."""
    (tmp_path / "balls.toml").write_text(RECIPE)
    path = tmp_path / "rates.toml"
    path.write_text(STUDY)
    write_scans(tmp_path, count=3)
    return path


def test_a_study_in_this_process_goes_on_and_reports(run, study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(study, "--data", tmp_path) == 0
    said = capsys.readouterr().out
    assert "trial 0000" in said and "2 trials; best" in said
    assert "results in runs/rates: report.md" in said
    folder = tmp_path / "runs" / "rates"
    assert (folder / "best.toml").exists() and (folder / "trials" / "0001" / "seed_3" / "best.safetensors").exists()

    (folder / "report.md").unlink()
    assert run(study, "--report", "--publish", tmp_path / "published") == 0
    assert (folder / "report.md").exists()
    assert (tmp_path / "published" / "rates" / "report.md").exists()
    assert "small results copied to" in capsys.readouterr().out

    handler = signal.getsignal(signal.SIGTERM)
    before = (folder / "state.json").read_bytes()
    assert run(study, "--data", tmp_path) == 0  # nothing is left to run
    assert (folder / "state.json").read_bytes() == before
    assert signal.getsignal(signal.SIGTERM) == handler


def test_help_is_there_at_once(run, capsys):
    with pytest.raises(SystemExit, match="0"):
        run("--help")
    said = capsys.readouterr().out
    assert "--workers N" in said and "HOST:PORT" in said and "--ends-with-parent" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", 2, "--role", "chief"), "expected --workers, or --role on a cluster, got both"),
        (("--role", "worker", "--overwrite"), "for the chief alone"),
        (("--role", "worker", "--publish", "x"), "for the chief alone"),
        (("--report", "--workers", 1), "--report runs nothing"),
        (("--report",), "expected a study in"),
        (("--role", "worker", "--oracle", "nowhere"), "expected an address such as"),
        (("--role", "worker", "--oracle", "127.0.0.1:9", "--wait", "0.2"), "did not answer for 0.2 s"),
        (("--data", "nowhere"), "expected a folder of scans at nowhere"),
    ],
)
def test_bad_input_is_told_in_a_line(words, message, run, study, tmp_path, capsys):
    assert run(study, "-o", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err


def test_a_bad_study_is_told_in_a_line(run, study, capsys):
    study.write_text(STUDY.replace("learning_rate", "learning_rat"))
    assert run(study) == 2
    assert "did you mean 'learning_rate'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--workers", 0), "expected 1 or more, got 0"), (("--lease", 0), "expected seconds above 0, got 0")],
)
def test_numbers_that_cannot_be_are_refused(words, message, run, study, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(study, *words)
    assert message in capsys.readouterr().err


def test_a_study_without_a_complete_trial_fails(run, study, tmp_path, capsys):
    study.write_text(STUDY + '"network.arguments.kernel_size" = -1\n')
    assert run(study, "--data", tmp_path, "-o", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "2 trials, none complete; see" in said and "failed" in said


def test_a_process_that_trains_nothing_needs_no_other_backend_and_takes_no_gpu(tmp_path):
    for name in ("jax", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name} is none of the core')")
    code = """
import os, sys
from recalib_keras.cli import tune
tune._start_light()
import keras, keras_tuner
print(keras.backend.backend(), os.environ["CUDA_VISIBLE_DEVICES"])
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.split()) == (0, ["tensorflow", "-1"]), done.stderr

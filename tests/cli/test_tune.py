import csv
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
    monkeypatch.setattr("recalib_keras.core.spreading.devices.hide_gpus", lambda: None)
    monkeypatch.setattr(tune, "start_backend", lambda threads=None: None)  # Keras has its backend already

    return lambda *words: command.main(["tune", *map(str, words)])


@pytest.fixture
def study(tmp_path):
    """The file of a study of two trainings, beside its data."""
    (tmp_path / "balls.toml").write_text(RECIPE)
    path = tmp_path / "rates.toml"
    path.write_text(STUDY)
    write_scans(tmp_path, count=3)
    return path


def test_study_in_this_process(run, study, tmp_path, capsys, monkeypatch):
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
    assert run(study, "--data", tmp_path) == 0  # no trial is left to run
    assert (folder / "state.json").read_bytes() == before
    assert signal.getsignal(signal.SIGTERM) == handler


def test_help(run, capsys):
    with pytest.raises(SystemExit, match="0"):
        run("--help")
    said = capsys.readouterr().out
    assert "--workers N" in said and "tls://HOST:8786" in said and "[cluster]" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", 2, "--scheduler", "tls://a:1"), "expected one of --workers, --scheduler and --scheduler-file"),
        (("--report", "--scheduler", "tls://a:1"), "expected --report alone, since it runs nothing"),
        (("--report", "--workers", 1), "expected --report alone, since it runs nothing"),
        (("--report",), "expected a study in"),
        (("--scheduler-file", "nowhere.json"), "nowhere.json: expected a scheduler file, got no such file"),
        (("--scheduler", "nowhere"), "expected a Dask scheduler at nowhere, got"),
        (("--data", "nowhere"), "expected a folder of scans at /"),
    ],
)
def test_bad_input_is_one_line(words, message, run, study, tmp_path, capsys):
    assert run(study, "-o", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err


def test_bad_study_is_one_line(run, study, capsys):
    study.write_text(STUDY.replace("learning_rate", "learning_rat"))
    assert run(study) == 2
    assert "did you mean 'learning_rate'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--workers", 0), "expected 1 or more, got 0"), (("--threads", -1), "expected 1 or more, got -1")],
)
def test_refuses_bad_numbers(words, message, run, study, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(study, *words)
    assert message in capsys.readouterr().err


def test_damaged_state_is_one_line(run, study, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "state.json").write_text("[]")
    for words in ((), ("--report",)):
        assert run(study, "--data", tmp_path, "-o", tmp_path / "out", *words) == 2
        said = capsys.readouterr().err
        assert said.startswith("recalib tune: ") and said.count("\n") == 1
        assert "state.json: expected the state of a study, got a list" in said and "--overwrite" in said


@pytest.mark.slow
def test_hyperband_on_a_small_space_trains_the_best_longer(run, study, tmp_path, capsys):
    text = STUDY.replace('"grid"', '"hyperband"').replace("epochs = 1", "epochs = 3\nseeds = [1]")
    study.write_text(text)
    assert run(study, "--data", tmp_path, "-o", tmp_path / "out") == 0
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").open()))
    assert sorted(row["epochs"] for row in rows) == ["1", "1", "3"]
    best = max(rows, key=lambda row: (float(row["dice"]), int(row["epochs"])))
    assert best["epochs"] == "3" and f"(trial {best['trial']})" in capsys.readouterr().out
    report = (tmp_path / "out" / "report.md").read_text()
    assert "for 3 epochs at most, in rounds; really trained: 1 to 3." in report


def test_no_complete_trial(run, study, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise ArithmeticError("too many maps")

    monkeypatch.setattr("recalib_keras.training.train", fail)
    assert run(study, "--data", tmp_path, "-o", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "2 trials, none complete; see" in said and "failed" in said


def test_workers_need_dask(run, study, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert run(study, "--workers", 2) == 2
    assert 'run: pip install "recalib-keras[cluster]"' in capsys.readouterr().err


def test_driver_needs_no_other_backend_and_no_gpu(tmp_path):
    for name in ("jax", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name} is not a dependency')")
    code = """
import os
from recalib_keras.core import backend
from recalib_keras.core.spreading import devices
devices.hide_gpus()
backend.start_backend(threads=1)
import keras, keras_tuner
print(keras.backend.backend(), os.environ["CUDA_VISIBLE_DEVICES"])
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.split()) == (0, ["tensorflow", "-1"]), done.stderr

"""A training that is killed at random moments loses nothing: it resumes to the same weights, bit for bit."""

import sys

import numpy as np
import pytest
from killing import KILLS, finish, run_and_kill
from safetensors.numpy import load_file
from training.runs import assert_same_run, read_log
from training.synthetic import RECIPE, write_scans

EPOCHS = 20


@pytest.fixture
def command(tmp_path):
    """The command for a training, without the folder of its run."""
    write_scans(tmp_path / "data")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace("epochs = 5", f"epochs = {EPOCHS}"), encoding="utf-8")
    words = ["train", recipe, "--data", tmp_path / "data", "--resume", "-o"]
    return [sys.executable, "-m", "recalib_keras.cli.main", *words]


def _epochs(folder):
    return len(read_log(folder)) if (folder / "log.jsonl").exists() else 0


def _assert_whole(folder, reference):
    for name in ("checkpoint.safetensors", "best.safetensors"):
        if (folder / name).exists():
            assert load_file(folder / name)
    if (folder / "checkpoint.safetensors").exists():
        ours, other = ([(line["epoch"], line["loss"]) for line in read_log(at)] for at in (folder, reference))
        assert ours == other[: len(ours)]


@pytest.mark.slow
def test_a_killed_training_loses_nothing(command, tmp_path):
    rng, log, reference = np.random.default_rng(0), tmp_path / "log.txt", tmp_path / "reference"
    finish([*command, reference], log)
    folder, kills = tmp_path / "run-0", 0
    while kills < KILLS:
        before = _epochs(folder)
        if run_and_kill([*command, folder], log, lambda at=folder, n=before: _epochs(at) > n, 1.0, rng):
            kills += 1
            _assert_whole(folder, reference)
        else:
            assert_same_run(folder, reference)
            folder = tmp_path / f"run-{kills}"
    finish([*command, folder], log)
    assert_same_run(folder, reference)
    assert (folder / "tiny3d" / "preset.json").read_bytes() and not list(folder.glob(".*"))

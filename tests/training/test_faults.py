"""Faults that a training survives: a kill at any moment, infinite numbers, a full disk, a folder without permission."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from training.runs import assert_same_run, read_log
from training.synthetic import FOLDER

from recalib_keras.core.errors import DivergedError, WriteError
from recalib_keras.training import train
from recalib_keras.training.data import examples
from recalib_keras.training.run.log import TrainingLog

# Where a run is killed, one after the other, each time it was resumed; see `dying.py` for the words.
DEATHS = [
    ("step", 3),  # before there is any checkpoint
    ("half best.safetensors", 1),
    ("replaced best.safetensors", 1),
    ("replaced log.jsonl", 2),  # the log is written when the run begins too
    ("half checkpoint.safetensors", 1),
    ("replaced checkpoint.safetensors", 1),
    ("validate", 1),
    ("replace log.csv", 2),
    ("replace checkpoint.safetensors", 1),
    ("step", 20),  # in the second epoch since
    ("validate", 2),
    ("replaced checkpoint.safetensors", 2),
    ("validate", 1),  # of the score that ends the run
]


def run_until(moment, count, recipe_path, folder, data, backend=None):
    """Runs a training in another process until it kills itself there, on the backend of this process or another."""
    command = [sys.executable, Path(__file__).with_name("dying.py"), moment, str(count), recipe_path, folder, data]
    environment = os.environ | {"KERAS_BACKEND": backend or keras.backend.backend()}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == (0 if moment == "never" else -signal.SIGKILL), done.stderr


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(run, recipe, recipe_path, data, tmp_path):
    run_until("step", 40, recipe_path, tmp_path, data)
    assert 0 < len(read_log(tmp_path)) < 5
    train(recipe, tmp_path, data, resume=True)
    assert_same_run(tmp_path, run.folder)


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_weights(run, recipe, recipe_path, data, tmp_path):
    for moment, count in DEATHS:
        run_until(moment, count, recipe_path, tmp_path, data)
    weight_set = train(recipe, tmp_path, data, resume=True)
    assert_same_run(tmp_path, run.folder)
    assert weight_set.sha256 == run.weight_set.sha256
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_killed_run_resumes_to_the_same_weights_on_other_backends(backend, recipe_path, data, tmp_path):
    pytest.importorskip(backend)
    run_until("never", 1, recipe_path, tmp_path / "whole", data, backend)
    for moment, count in (("step", 3), ("replace checkpoint.safetensors", 1), ("step", 20), ("validate", 2)):
        run_until(moment, count, recipe_path, tmp_path / "killed", data, backend)
    run_until("never", 1, recipe_path, tmp_path / "killed", data, backend)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_and_leaves_the_checkpoint(run, recipe, data, tmp_path, monkeypatch):
    make = examples.Examples._make

    def poisoned(self, step):
        images, classes = make(self, step)
        return (images * np.nan if (self.epoch, step) == (2, 1) else images), classes

    monkeypatch.setattr(examples.Examples, "_make", poisoned)
    with pytest.raises(DivergedError, match="expected a finite loss, got nan in epoch 3, step 2, on ") as error:
        train(recipe, tmp_path, data)
    message, file = str(error.value), re.escape(str(data / FOLDER / "imagesTr")) + r"/ball_\d\.nii\.gz"
    assert re.search(rf" on {file}, {file} \(the step before: {file}, {file}\); check and correct these scans", message)
    assert f"--resume: the last good checkpoint, {tmp_path / 'checkpoint.safetensors'}, is of epoch 2" in message
    assert len(read_log(tmp_path)) == 2
    monkeypatch.undo()
    train(recipe, tmp_path, data, resume=True)
    assert_same_run(tmp_path, run.folder)


def test_weights_that_are_not_finite_stop_before_the_checkpoint(recipe, data, tmp_path, monkeypatch):
    fit = keras.Model.fit

    def fit_and_overflow(self, *args, **kwargs):  # as a last step does whose gradient is not finite
        history = fit(self, *args, **kwargs)
        self.get_layer("classifier").bias.assign([0, np.inf, 0])
        return history

    monkeypatch.setattr(keras.Model, "fit", fit_and_overflow)
    expected = "expected finite weights, got .* in classifier/bias at the end of epoch 1; .* there is no checkpoint yet"
    with pytest.raises(DivergedError, match=expected):
        train(recipe, tmp_path, data)
    assert list(tmp_path.glob("*.safetensors")) == []


@contextlib.contextmanager
def largest_file(size):
    """Lets no file grow beyond a size for a while: the system then refuses to write, as on a full disk."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(run, recipe, data, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingLog, "draw", lambda *args: None)  # the picture is larger than the checkpoint
    with contextlib.ExitStack() as stack:

        def limit(line):
            if line["epoch"] == 2:
                stack.enter_context(largest_file((tmp_path / "checkpoint.safetensors").stat().st_size - 1))

        with pytest.raises(WriteError, match=r"checkpoint.safetensors, got 'File too large'; check that its folder"):
            train(recipe, tmp_path, data, on_epoch=limit)
    assert not list(tmp_path.glob(".*"))
    train(recipe, tmp_path, data, resume=True)
    assert_same_run(tmp_path, run.folder)


@pytest.fixture
def small_disk(tmp_path):
    """The folder of a disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("only root can mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_and_leaves_the_last_checkpoint(run, recipe, data, small_disk):
    def fill(line):
        if line["epoch"] == 2:
            with pytest.raises(OSError, match="No space left"):
                (small_disk / "filler").write_bytes(bytes(2**21))

    with pytest.raises(WriteError, match=r"expected to write .*/disk/run.*, got 'No space left on device'; check"):
        train(recipe, small_disk / "run", data, on_epoch=fill)
    (small_disk / "filler").unlink()
    train(recipe, small_disk / "run", data, resume=True)
    assert_same_run(small_disk / "run", run.folder)


@pytest.fixture
def readable_run(run):
    """A copy of the run that everyone may read and nobody may write."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run"
        shutil.copytree(run.folder, folder)
        os.chmod(root, 0o755)
        os.chmod(folder, 0o555)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)  # nobody: root may write everywhere
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            os.chmod(folder, 0o755)


def test_a_folder_without_permission(readable_run, recipe, data):
    before = (readable_run / "checkpoint.safetensors").read_bytes()
    with pytest.raises(
        WriteError, match="run: expected a folder that can be written, got 'Permission denied'; choose another"
    ):
        train(recipe, readable_run, data, resume=True)
    assert (readable_run / "checkpoint.safetensors").read_bytes() == before


def test_a_folder_that_cannot_be_created(recipe, data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        WriteError, match="file/run: expected a folder that can be written, got 'Not a directory'; choose another"
    ):
        train(recipe, tmp_path / "file" / "run", data)

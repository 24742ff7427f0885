import dataclasses
import errno
import os

import keras
import pytest
from training.runs import fingerprint_of

from recalib_keras.core.errors import WriteError
from recalib_keras.training import TrainingError
from recalib_keras.training.run.folder import RunFolder
from recalib_keras.training.run.log import TrainingLog
from recalib_keras.zoo import Label

STRUCTURES = (Label(1, "left"),)


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd")
    return model


def line(epoch, dice):
    return {"epoch": epoch, "loss": 1.0, "seconds": 0.1, "dice": dice}


def test_claim_removes_unfinished_files(tmp_path):
    half_written = [".0123456789abcdef.safetensors", ".fedcba9876543210.png", ".0123456789abcdef"]
    others = [".0123.safetensors", ".hidden", "best.safetensors", "0123456789abcdef.png"]
    for name in half_written + others:
        (tmp_path / name).touch()
    RunFolder(tmp_path, STRUCTURES).claim(resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_the_best_weights_are_the_first_with_the_highest_dice(tmp_path, model):
    run, kept = RunFolder(tmp_path, STRUCTURES), []
    run.begin()
    for epoch, dice in enumerate((0.5, 0.4, 0.6, 0.6), start=1):
        model.layers[0].kernel.assign([[epoch], [0.0]])
        run.keep_if_best(line(epoch, dice), model)
        run.end_epoch(line(epoch, dice), model)
        kept.append(run.best.read_bytes())
    assert kept[0] == kept[1] != kept[2] == kept[3]


def test_says_where_a_stopped_run_continues(tmp_path, model):
    run = RunFolder(tmp_path, STRUCTURES)
    assert run.last_checkpoint() == "there is no checkpoint yet, so the run starts anew"
    run.begin()
    run.end_epoch(line(1, 0.5), model)
    assert run.last_checkpoint() == f"the last good checkpoint, {tmp_path / 'checkpoint.safetensors'}, is of epoch 1"


def written_run(folder, model, fingerprint):
    run = RunFolder(folder, STRUCTURES)
    run.claim(resume=False)
    run.identify(fingerprint)
    run.begin()
    run.end_epoch(line(1, 0.5), model)


def test_a_run_resumes_only_with_its_own_fingerprint(tmp_path, model, recipe, data):
    begun = fingerprint_of(recipe, data)
    written_run(tmp_path, model, begun)
    for is_writer in (True, False):
        RunFolder(tmp_path, STRUCTURES, is_writer).identify(begun)
        other = fingerprint_of(dataclasses.replace(recipe, seed=8), data)
        with pytest.raises(
            TrainingError,
            match="a checkpoint of this run, got one of another run: its recipe has seed = 3, this one seed = 8",
        ):
            RunFolder(tmp_path, STRUCTURES, is_writer).identify(other)


def test_a_run_without_a_fingerprint_resumes_with_a_warning(tmp_path, model, recipe, data):
    written_run(tmp_path, model, None)
    with pytest.warns(UserWarning, match="does not say which recipe and which scans its run began with; make sure"):
        RunFolder(tmp_path, STRUCTURES).identify(fingerprint_of(recipe, data))


def test_refuses_a_checkpoint_of_another_network_and_other_files(tmp_path, model):
    written_run(tmp_path, model, None)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    other.compile("sgd")
    with pytest.raises(
        TrainingError, match=r"checkpoint.safetensors: expected a checkpoint of this recipe's network, got another"
    ):
        RunFolder(tmp_path, STRUCTURES).restore(other)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(
        TrainingError, match=r"checkpoint.safetensors: expected a checkpoint of this recipe's network, got another"
    ):
        RunFolder(tmp_path, STRUCTURES).identify(None)


def test_another_host_reads_and_does_not_write(tmp_path, model):
    reader = RunFolder(tmp_path / "run", STRUCTURES, is_writer=False)
    reader.claim(resume=False)
    reader.begin()
    reader.draw(None, None)
    reader.keep_if_best(line(1, 0.5), model)
    reader.end_epoch(line(1, 0.5), model)
    assert reader.history == [line(1, 0.5)] and list(tmp_path.iterdir()) == []

    writer = RunFolder(tmp_path / "run", STRUCTURES)
    writer.begin()
    writer.end_epoch(line(1, 0.7), model)
    again = RunFolder(tmp_path / "run", STRUCTURES, is_writer=False)
    again.restore(model)
    assert again.history == [line(1, 0.7)]


def test_a_disk_that_tensorboard_fills_up_is_one_clear_error(tmp_path, model, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = RunFolder(tmp_path, STRUCTURES)
    run.begin()
    monkeypatch.setattr(TrainingLog, "add", refuse)
    with pytest.raises(
        WriteError, match=f"write the log into {tmp_path}, got 'No space left on device'; check that the"
    ):
        run.end_epoch(line(1, 0.5), model)
    assert not run.checkpoint.exists()

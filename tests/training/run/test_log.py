import builtins
import csv
import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recalib_keras.core.tables import read_csv
from recalib_keras.training.run.log import TrainingLog
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Label

STRUCTURES = (Label(17, "shell", (255, 0, 0)), Label(53, "core, inner", (0, 255, 0)))


def line(epoch, dice=None):
    scores = {
        "validation_loss": 0.7,
        "dice": dice,
        "dice_sd": 0.1,
        "dice_by_structure": {"shell": dice, "core, inner": 0.5},
    }
    return {"epoch": epoch, "loss": 1.0 / epoch, "seconds": 2.0, **(scores if dice is not None else {})}


def scan_and_labels():
    labels = np.zeros((8, 9, 10), int)
    labels[2:5, 3:6, 4:8] = 17
    grid = Grid((8, 9, 10), np.eye(4))
    return Volume(labels.astype("float32"), grid), labels


def events(folder):
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def scalars(folder, tag):
    return [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events(folder).Scalars(tag)]


def test_writes_the_same_in_three_forms(tmp_path):
    log = TrainingLog(tmp_path, STRUCTURES, [])
    lines = [line(1), line(2, 0.75)]
    for added in lines:
        log.add(added)
    assert [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()] == lines
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["loss"] == "1.0" and rows[0]["dice"] == "" and rows[1]["core, inner"] == "0.5"
    assert [row["validation_loss"] for row in rows] == ["", "0.7"]
    assert scalars(tmp_path, "loss") == [(1, 1.0), (2, 0.5)] and scalars(tmp_path, "validation_loss") == [(2, 0.7)]
    assert scalars(tmp_path, "dice/shell") == [(2, 0.75)] and scalars(tmp_path, "dice/core, inner") == [(2, 0.5)]


def test_a_structure_cannot_be_a_formula_in_the_table(tmp_path):
    log = TrainingLog(tmp_path, (Label(1, "=1+1", (255, 0, 0)),), [])
    log.add({**line(1, 0.75), "dice_by_structure": {"=1+1": 0.5}})
    assert (tmp_path / "log.csv").read_text().splitlines()[0].endswith(",'=1+1")
    table = read_csv(tmp_path / "log.csv")
    assert table.columns[-1] == "=1+1" and table.rows[0]["=1+1"] == "0.5"


def test_a_resumed_run_replaces_the_epochs_that_it_trains_again(tmp_path):
    first = TrainingLog(tmp_path, STRUCTURES, [])
    for epoch in (1, 2, 3):
        first.add(line(epoch, dice=0.1))
    resumed = TrainingLog(tmp_path, STRUCTURES, [line(1, dice=0.1)])  # its checkpoint was that of the first epoch
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
    resumed.add(line(2, dice=0.2))
    assert scalars(tmp_path, "dice") == [(1, 0.1), (2, 0.2)]


def test_the_picture_of_a_validation(tmp_path):
    pytest.importorskip("matplotlib")
    log = TrainingLog(tmp_path, STRUCTURES, [])
    log.add(line(1))
    log.draw(*scan_and_labels())
    log.add(line(2, 0.75))
    pictures = events(tmp_path).Images("validation")
    assert [picture.step for picture in pictures] == [2]
    assert pictures[0].encoded_image_string == (tmp_path / "validation.png").read_bytes()


def test_without_matplotlib_there_is_a_warning_instead_of_the_picture(tmp_path, monkeypatch):
    importing = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}")
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    log = TrainingLog(tmp_path, STRUCTURES, [])
    with pytest.warns(UserWarning, match="no picture of the validation: .*pip install"):
        log.draw(*scan_and_labels())
    log.add(line(1, 0.75))
    assert not (tmp_path / "validation.png").exists()

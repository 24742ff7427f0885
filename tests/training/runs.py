"""Helpers for tests of whole trainings."""

import json

import numpy as np
from safetensors.numpy import load_file

from recalib_keras.training import find_split
from recalib_keras.training.run.fingerprint import fingerprint


class Stop(Exception):
    """The error that stops a training."""


def stop_after(epoch):
    """Returns an `on_epoch` that stops the training after an epoch."""

    def on_epoch(line):
        if line["epoch"] == epoch:
            raise Stop

    return on_epoch


def read_log(folder):
    """Returns the lines of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def without_times(lines):
    """Returns the lines of a log without the seconds, which differ from run to run."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def fingerprint_of(recipe, data_root):
    """Returns the fingerprint of a run by a recipe on the data as it is now."""
    return fingerprint(recipe, find_split(recipe, data_root))


def by_place(tensors):
    """Returns tensors of a checkpoint as `model/3`, since Keras numbers optimizers in the rest of the name."""
    return {"/".join(name.split("/")[:2]): tensor for name, tensor in tensors.items()}


def assert_same_run(folder, other):
    """Asserts that two runs have the same weights, optimizer state and log, bit for bit."""
    assert (folder / "best.safetensors").read_bytes() == (other / "best.safetensors").read_bytes()
    ours, others = (by_place(load_file(path / "checkpoint.safetensors")) for path in (folder, other))
    assert ours.keys() == others.keys() and "optimizer/10" in ours
    assert [place for place in ours if not np.array_equal(ours[place], others[place])] == []
    assert without_times(read_log(folder)) == without_times(read_log(other))

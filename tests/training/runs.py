"""What tests of whole trainings share."""

import json

import numpy as np
from safetensors.numpy import load_file


class Stop(Exception):
    """What a stopped training ends with."""


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
    """Returns the lines of a log without what differs from run to run."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def by_place(tensors):
    """Returns tensors of a checkpoint as `model/3`, since Keras numbers optimizers in the rest of the name."""
    return {"/".join(name.split("/")[:2]): tensor for name, tensor in tensors.items()}


def assert_same_run(folder, other):
    """Asserts that two runs came to the same weights, optimizer state and log, bit for bit."""
    assert (folder / "best.safetensors").read_bytes() == (other / "best.safetensors").read_bytes()
    ours, others = (by_place(load_file(path / "checkpoint.safetensors")) for path in (folder, other))
    assert ours.keys() == others.keys() and "optimizer/10" in ours
    assert [place for place in ours if not np.array_equal(ours[place], others[place])] == []
    assert without_times(read_log(folder)) == without_times(read_log(other))

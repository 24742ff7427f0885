"""All of a training's state in one file, written atomically: a run killed at any moment goes on from the last one."""

import json

import numpy as np
from keras import ops
from safetensors import safe_open
from safetensors.numpy import save

from recalib_keras.volumes import atomic_write


def save_checkpoint(path, model, progress):
    """Writes the variables of the model and of its optimizer, and how far the training has come.

    Args:
        path: where to; an existing file is replaced once the new one is complete.
        model: compiled and built `keras.Model`.
        progress: dict that JSON can hold.
    """
    tensors = {name: np.asarray(ops.convert_to_numpy(variable)) for name, variable in _variables(model)}
    content = save(tensors, metadata={"progress": json.dumps(progress)})
    atomic_write(path, lambda temporary: temporary.write_bytes(content))


def restore_checkpoint(path, model):
    """Sets the variables of the model and of its optimizer from a checkpoint; returns its progress."""
    with safe_open(path, framework="numpy") as stored:
        for name, variable in _variables(model):
            variable.assign(stored.get_tensor(name))
        return json.loads(stored.metadata()["progress"])


def _variables(model):
    yield from ((f"model/{index}/{v.path}", v) for index, v in enumerate(model.variables))
    yield from ((f"optimizer/{index}/{v.path}", v) for index, v in enumerate(model.optimizer.variables))

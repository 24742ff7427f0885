"""All of a training's state in one file, written atomically: a run killed at any moment goes on from the last one."""

import json

import numpy as np
from keras import ops
from safetensors import safe_open
from safetensors.numpy import save

from recalib_keras.core.files import write_bytes


def save_checkpoint(path, model, progress, identity=None) -> None:
    """Writes the variables of the model and of its optimizer, how far the training has come, and which it is.

    Args:
        path: where to; an existing file is replaced once the new one is complete.
        model: compiled and built `keras.Model`.
        progress: what JSON can hold.
        identity: what JSON can hold; see `recalib_keras.training.run.fingerprint`.
    """
    tensors = {name: np.asarray(ops.convert_to_numpy(variable)) for name, variable in _variables(model)}
    content = save(tensors, metadata={"progress": json.dumps(progress), "identity": json.dumps(identity)})
    write_bytes(path, content)


def restore_checkpoint(path, model):
    """Sets the variables of the model and of its optimizer from a checkpoint; returns its progress.

    Raises:
        ValueError: if the checkpoint's variables are of another number or other shapes.
    """
    variables = {_place(name): variable for name, variable in _variables(model)}
    with safe_open(path, framework="numpy") as stored:
        names = {_place(name): name for name in stored.keys()}
        if names.keys() != variables.keys():
            raise ValueError(f"it holds {len(names)} variables, the network and its optimizer have {len(variables)}")
        for place, variable in variables.items():
            variable.assign(stored.get_tensor(names[place]))
        return json.loads(stored.metadata()["progress"])


def read_identity(path):
    """Returns which training a checkpoint is of, or None if it does not say.

    Raises:
        SafetensorError: if the file is no checkpoint.
    """
    with safe_open(path, framework="numpy") as stored:
        return json.loads((stored.metadata() or {}).get("identity", "null"))


def _place(name):
    """Returns whose variable it is and its number. Keras counts up the rest of some names from model to model."""
    return "/".join(name.split("/")[:2])


def _variables(model):
    yield from ((f"model/{index}/{v.path}", v) for index, v in enumerate(model.variables))
    yield from ((f"optimizer/{index}/{v.path}", v) for index, v in enumerate(model.optimizer.variables))

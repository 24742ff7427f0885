"""The whole state of a training in one file, written atomically, so that a run killed at any moment can resume."""

import json
import os
from typing import Any

import keras
import numpy as np
from keras import ops
from safetensors import safe_open
from safetensors.numpy import save

from recalib_keras.core.files import write_bytes

# Keys of the file's metadata. Old runs have them, so they stay.
PROGRESS, FINGERPRINT = "progress", "identity"


def save_checkpoint(path: str | os.PathLike, model: keras.Model, progress: Any, fingerprint: Any = None) -> None:
    """Writes the variables of a model and of its optimizer, its progress, and the fingerprint of its run.

    Args:
        path: The file; an existing one is replaced once the new one is complete.
        model: Compiled and built model.
        progress: How far the training is, as values that JSON can hold.
        fingerprint: What identifies the run, see `recalib_keras.training.run.fingerprint`.

    Raises:
        WriteError: The file cannot be written.
    """
    tensors = {name: np.asarray(ops.convert_to_numpy(variable)) for name, variable in _variables(model)}
    content = save(tensors, metadata={PROGRESS: json.dumps(progress), FINGERPRINT: json.dumps(fingerprint)})
    write_bytes(path, content)


def restore_checkpoint(path: str | os.PathLike, model: keras.Model) -> Any:
    """Sets the variables of a model and of its optimizer from a checkpoint.

    Args:
        path: The checkpoint.
        model: Compiled and built model.

    Returns:
        The progress that was saved.

    Raises:
        ValueError: The checkpoint has another number of variables, or other shapes.
        SafetensorError: The file is not a checkpoint.
    """
    variables = {_place(name): variable for name, variable in _variables(model)}
    with safe_open(path, framework="numpy") as stored:
        names = {_place(name): name for name in stored.keys()}
        if names.keys() != variables.keys():
            raise ValueError(
                f"expected {len(variables)} variables, those of the network and its optimizer, got {len(names)}"
            )
        for place, variable in variables.items():
            variable.assign(stored.get_tensor(names[place]))
        return json.loads(stored.metadata()[PROGRESS])


def read_fingerprint(path: str | os.PathLike) -> Any:
    """Returns the fingerprint of the run that a checkpoint belongs to, or None if the checkpoint has none.

    Args:
        path: The checkpoint.

    Raises:
        SafetensorError: The file is not a checkpoint.
    """
    with safe_open(path, framework="numpy") as stored:
        return json.loads((stored.metadata() or {}).get(FINGERPRINT, "null"))


def _place(name):
    """Returns `model` or `optimizer` and the variable's number. The rest of a name may differ from model to model."""
    return "/".join(name.split("/")[:2])


def _variables(model):
    yield from ((f"model/{index}/{v.path}", v) for index, v in enumerate(model.variables))
    yield from ((f"optimizer/{index}/{v.path}", v) for index, v in enumerate(model.optimizer.variables))

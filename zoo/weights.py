"""Weights on disk: safetensors under the variables' own names, checked before they are parsed."""

import hashlib

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recalib_keras.core.errors import WeightsError


def serialize(model):
    """Returns the safetensors bytes of all variables of a model, in float32 under their paths."""
    from keras import ops  # here, so that descriptions can be read without Keras

    return save({v.path: np.asarray(ops.convert_to_numpy(v), "float32", order="C") for v in _stored(model)})


def rounded(tensors, dtype):
    """Returns the safetensors bytes of tensors rounded to `"float16"`, half the size, or kept in `"float32"`.

    Raises:
        WeightsError: if a tensor has values beyond the range of the dtype; lists which.
    """
    with np.errstate(over="ignore"):
        found = {path: np.asarray(tensor, dtype, order="C") for path, tensor in tensors.items()}
    beyond = [
        path for path, tensor in found.items() if not np.array_equal(np.isfinite(tensor), np.isfinite(tensors[path]))
    ]
    if beyond:
        raise WeightsError(f"the weights are too large for {dtype}: {_listed(beyond)}; store them in float32")
    return save(found)


def sha256(content):
    """Returns the SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read(path, expected_sha256=None):
    """Returns the tensors of a safetensors file, by name.

    Args:
        path: `pathlib.Path` of the file.
        expected_sha256: what the file's SHA-256 must be, checked before anything is parsed; None for a user's file.

    Raises:
        WeightsError: if the file is missing, is not the expected one, or is no safetensors file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from None
    if expected_sha256 is not None and sha256(content) != expected_sha256:
        raise WeightsError(
            f"the weights {path} are not those the preset describes: expected SHA-256 {expected_sha256}, got "
            f"{sha256(content)}; reinstall the package, or restore the file"
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a safetensors file ({error}); expected weights saved by this package"
        ) from None


def assign(model, tensors, skip=lambda path: False) -> None:
    """Sets the variables of a model from tensors of the same names and shapes.

    Args:
        model: `keras.Model`.
        tensors: dict of arrays by variable path.
        skip: function that says by a variable's path whether it is left as it is, such as `is_head`.

    Raises:
        WeightsError: if names or shapes differ; lists which. Nothing is assigned then.
    """
    variables = {v.path: v for v in _stored(model) if not skip(v.path)}
    tensors = {path: tensor for path, tensor in tensors.items() if not skip(path)}
    problems = [f"{path} is missing" for path in sorted(variables.keys() - tensors.keys())]
    problems += [f"{path} is not in the network" for path in sorted(tensors.keys() - variables.keys())]
    problems += [
        f"{path} has shape {tensors[path].shape}, the network's has {tuple(variable.shape)}"
        for path, variable in variables.items()
        if path in tensors and tuple(tensors[path].shape) != tuple(variable.shape)
    ]
    if problems:
        raise WeightsError(f"the weights do not fit the network {model.name!r}: {_listed(problems)}")
    for path, variable in variables.items():
        variable.assign(tensors[path])


def tells_as_many_classes(model, tensors):
    """Returns whether there is a classifier among the tensors that tells as many classes apart as a model's."""
    biases = [v.shape for v in model.weights if v.path == "classifier/bias"]
    return biases == [tensor.shape for path, tensor in tensors.items() if path == "classifier/bias"]


def is_head(path):
    """Returns whether a variable belongs to the classifier: to itself, a hidden layer before it, a block after it."""
    return path.startswith("classifier")


def is_block(path):
    """Returns whether a variable belongs to a recalibration block."""
    return path.split("/")[0].endswith("_recalibration")


def _stored(model):
    """The weights proper: all variables but the states of random generators."""
    return model.weights


def _listed(problems, most=8):
    rest = len(problems) - most
    return "; ".join(problems[:most]) + (f"; and {rest} more" if rest > 0 else "")

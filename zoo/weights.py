"""Weights on disk: safetensors under the variables' own names, checked before they are parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recalib_keras.core.errors import WeightsError
from recalib_keras.core.messages import listed
from recalib_keras.zoo.places.installed import RESTORE

SUFFIX = ".safetensors"


def file_name(name: str) -> str:
    """Returns the name of a weight set's file.

    Args:
        name: Name of the weight set.

    Example:
        >>> file_name("whole_brain")
        'whole_brain.safetensors'
    """
    return name + SUFFIX


def serialize(model: Any) -> bytes:
    """Returns the safetensors bytes of all variables of a model, in float32 under their paths.

    Args:
        model: A `keras.Model`.
    """
    from keras import ops  # here, so that descriptions can be read without Keras

    return save({v.path: np.asarray(ops.convert_to_numpy(v), "float32", order="C") for v in _stored(model)})


def rounded(tensors: Mapping[str, np.ndarray], dtype: str) -> bytes:
    """Returns the safetensors bytes of tensors, rounded to `"float16"` (half the size) or kept in `"float32"`.

    Args:
        tensors: Arrays by the paths of their variables.
        dtype: `"float16"` or `"float32"`.

    Raises:
        WeightsError: A tensor has values beyond the range of the dtype; lists which.
    """
    with np.errstate(over="ignore"):
        found = {path: np.asarray(tensor, dtype, order="C") for path, tensor in tensors.items()}
    beyond = [
        path for path, tensor in found.items() if not np.array_equal(np.isfinite(tensor), np.isfinite(tensors[path]))
    ]
    if beyond:
        raise WeightsError(
            expected=f"weights in the range of {dtype}",
            received=f"larger ones in {listed(beyond)}",
            remedy="store them in float32",
        )
    return save(found)


def sha256(content: bytes) -> str:
    """Returns the SHA-256 of bytes as 64 hexadecimal digits.

    Args:
        content: The bytes.
    """
    return hashlib.sha256(content).hexdigest()


def read(path: Path, expected_sha256: str | None = None, remedy: str = RESTORE) -> dict[str, np.ndarray]:
    """Returns the tensors of a safetensors file, by name.

    Args:
        path: The file.
        expected_sha256: What the file's SHA-256 must be, checked before anything is parsed; None for a user's file.
        remedy: What to do if it is another file or missing, for the message.

    Raises:
        WeightsError: The file is missing, is not the expected one, or is not a safetensors file.
    """
    content = _content(path, remedy)
    if expected_sha256 is not None and sha256(content) != expected_sha256:
        raise WeightsError(
            file=path,
            expected=f"the weights that the preset describes, with SHA-256 {expected_sha256}",
            received=sha256(content),
            remedy=remedy,
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise WeightsError(
            file=path, expected="a safetensors file saved by this package", received=f"another one ({error})"
        ) from None


def assign(model: Any, tensors: Mapping[str, np.ndarray], skip: Callable[[str], bool] = lambda path: False) -> None:
    """Sets the variables of a model from tensors of the same names and shapes.

    Args:
        model: A `keras.Model`.
        tensors: Arrays by the paths of their variables.
        skip: Whether a variable, given by its path, is left as it is, such as `is_head`.

    Raises:
        WeightsError: Names or shapes differ; lists which. Nothing is assigned then.
    """
    variables = {v.path: v for v in _stored(model) if not skip(v.path)}
    tensors = {path: tensor for path, tensor in tensors.items() if not skip(path)}
    problems = _differences(variables, tensors)
    if problems:
        raise WeightsError(
            expected=f"weights that fit the network {model.name!r}", received=listed(problems, separator="; ")
        )
    for path, variable in variables.items():
        variable.assign(tensors[path])


def _differences(variables, tensors):
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    return [
        *(f"{path} is missing" for path in sorted(shapes.keys() - tensors.keys())),
        *(f"{path} is not in the network" for path in sorted(tensors.keys() - shapes.keys())),
        *(
            f"{path} has shape {tensors[path].shape}, the network's has {shape}"
            for path, shape in shapes.items()
            if path in tensors and tuple(tensors[path].shape) != shape
        ),
    ]


def has_same_classes(model: Any, tensors: Mapping[str, np.ndarray]) -> bool:
    """Returns whether tensors have a classifier of as many classes as a model's.

    Args:
        model: A `keras.Model`.
        tensors: Arrays by the paths of their variables.
    """
    biases = [v.shape for v in model.weights if v.path == "classifier/bias"]
    return biases == [tensor.shape for path, tensor in tensors.items() if path == "classifier/bias"]


def is_head(path: str) -> bool:
    """Returns whether a variable belongs to the classifier: to itself, a hidden layer before it, a block after it.

    Args:
        path: The variable's path.
    """
    return path.startswith("classifier")


def is_block(path: str) -> bool:
    """Returns whether a variable belongs to a recalibration block.

    Args:
        path: The variable's path.
    """
    return path.split("/")[0].endswith("_recalibration")


def _content(path, remedy):
    received = "no such file"
    try:
        if path.is_file():  # a pipe of that name would never end
            return path.read_bytes()
        if path.exists():
            received = "no regular file"
    except OSError as error:
        received = error.strerror
    raise WeightsError(file=path, expected="a file of weights that can be read", received=received, remedy=remedy)


def _stored(model):
    """Returns the weights proper: all variables but the states of random generators."""
    return model.weights

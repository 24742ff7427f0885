"""Pretrained networks by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.zoo import places, remote
from recalib_keras.zoo import weights as _weights
from recalib_keras.zoo.preset import FILE_NAME, Input, Label, Network, Preset, ReferenceRange, WeightSet
from recalib_keras.zoo.weights import WeightsError

__all__ = [
    "Input",
    "Label",
    "Network",
    "Preset",
    "RecordError",
    "ReferenceRange",
    "WeightSet",
    "WeightsError",
    "info",
    "load",
    "names",
    "weight_set",
]


def names() -> list[str]:
    """Returns the names of all presets, sorted.

    Example:
        >>> from recalib_keras import zoo
        >>> "densenet3d_pe" in zoo.names()
        True
    """
    return sorted(places.folders())


def info(name: str | os.PathLike) -> Preset:
    """Returns the description of a preset with its weight sets, their labels, spacing and scores. It prints as a table.

    Args:
        name: One of `names()`; or the path of a folder that holds a `preset.json`, such as training writes; or the
            address of such a folder, `hf://OWNER/REPOSITORY@REVISION/FOLDER` or `https://…` (see
            `recalib_keras.zoo.remote`).

    Raises:
        ValueError: The name is unknown; the nearest known one is named.
        ImportError: For an address, if the package that fetches is not installed.
        RecordError: The `preset.json` in the folder is no valid description.

    Example:
        >>> from recalib_keras import zoo
        >>> [label.name for label in zoo.info("densenet3d_pe").weight_sets["hippocampus"].labels]
        ['background', 'anterior hippocampus', 'posterior hippocampus']
    """
    folder = places.folders().get(str(name))
    if folder is not None:  # before a folder that happens to have the same name
        return Preset.read(folder)
    if remote.is_remote(name):
        return Preset.read(remote.fetch(str(name)))
    if _holds_preset(Path(name)):
        return Preset.read(name)
    if Path(name).name != str(name):
        folder = Path(name).absolute()
        raise ValueError(f"expected a preset's folder, got {folder}, which has no {FILE_NAME}; check the path")
    hint = did_you_mean(name, names(), otherwise=f"known presets: {', '.join(names())}")
    raise ValueError(f"expected the name of a preset, got {str(name)!r}; {hint}")


def weight_set(name: str | os.PathLike, weights: str = "default") -> WeightSet:
    """Returns the description of one weight set of a preset.

    Args:
        name: One of `names()`, or the path of a preset's folder.
        weights: Name of a weight set; `"default"` for the preset's first.

    Raises:
        ValueError: The preset or the weight set is unknown, or the name is that of an ensemble.
    """
    preset = info(name)
    if weights == "default":
        return next(iter(preset.weight_sets.values()))
    if weights in preset.ensembles:
        members = ", ".join(preset.ensembles[weights])
        raise ValueError(
            f"expected weights of one network of the preset {preset.name!r}, got the ensemble {weights!r}; choose one "
            f"of its members: {members}"
        )
    if weights not in preset.weight_sets:
        known = (*preset.weight_sets, *preset.ensembles)
        hint = did_you_mean(weights, known, otherwise=f"known weights: {', '.join(known)}")
        raise ValueError(f"expected weights of the preset {preset.name!r}, got {weights!r}; {hint}")
    return preset.weight_sets[weights]


def load(
    name: str | os.PathLike,
    weights: str | os.PathLike | None = "default",
    num_classes: int | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    dtype: Any = None,
) -> Any:
    """Returns a network with its pretrained weights: a plain `keras.Model`, built from code.

    Args:
        name: One of `names()`, or the path or address of a folder that holds a `preset.json`; see `info`.
        weights: `"default"` for the preset's first weight set, the name of another one, the path of a safetensors
            file for the default's network, or `None` for fresh weights.
        num_classes: Number of classes, the background included. A number that differs from the weights' keeps the
            body and starts a new classifier. Defaults to the weight set's.
        input_shape: `(*spatial, channels)`; spatial sizes may be `None`. Defaults to the preset's window, which the
            blocks were trained to pool over.
        dtype: dtype policy, such as `"mixed_bfloat16"`; defaults to Keras's global one.

    Raises:
        ValueError: The preset or weight set is unknown.
        WeightsError: The weights' SHA-256 is not the preset's, or they do not fit the network; lists which layers and
            shapes differ.

    Example:
        >>> from recalib_keras import zoo
        >>> zoo.load("densenet3d_pe", num_classes=5).output_shape[-1]
        5
    """
    is_file = weights is not None and str(weights).endswith(".safetensors")
    described = weight_set(name, "default" if weights is None or is_file else cast("str", weights))
    model = described.build(num_classes, input_shape, dtype)
    if weights is None:
        return model
    tensors = _weights.read(Path(weights)) if is_file else described.read_weights()
    if num_classes is None or _weights.has_same_classes(model, tensors):
        _weights.assign(model, tensors)
    else:
        _weights.assign(model, tensors, skip=_weights.is_head)
    return model


def _holds_preset(folder):
    try:
        return (folder / FILE_NAME).is_file()
    except OSError:  # a name that is too long for the file system
        return False

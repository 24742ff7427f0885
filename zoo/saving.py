"""A preset made of a network that was fine-tuned in Python."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from recalib_keras.core.checks import MOST_IN_TITLE, check_name
from recalib_keras.core.files import write_bytes, write_text
from recalib_keras.core.messages import listed
from recalib_keras.models.architecture import Architecture
from recalib_keras.zoo import weights as weight_files
from recalib_keras.zoo.labels import Labels, labels_of_classes
from recalib_keras.zoo.network import Network
from recalib_keras.zoo.pages.card import card
from recalib_keras.zoo.places.folders import holds_preset
from recalib_keras.zoo.preset import FILE_NAME, Preset, WeightSet

# What a user may change without changing what the network sees or what its weights are.
FREE_ARGUMENTS = ("dropout", "classifier_activation")


def save_preset(
    model: Any,
    folder: str | os.PathLike,
    like: Preset,
    like_weights: str,
    labels: Labels | None = None,
    *,
    name: str,
    title: str | None = None,
    source: str = "not stated",
    licence: str | None = None,
) -> Path:
    """Writes a preset of a network, with its description, weights and card; see `recalib_keras.zoo.save`.

    Args:
        model: The network.
        folder: The preset's folder.
        like: The preset whose network it is.
        like_weights: The weight set of `like` that it started from.
        labels: The structure of each class.
        name: Name of the new weight set.
        title: What it segments.
        source: What it was trained on.
        licence: The licence of that.

    Returns:
        The folder.

    Raises:
        ValueError: The model is not that network, or the labels are not those of its classes.
        WriteError: A file cannot be written.
    """
    folder = Path(folder)
    check_name(name, "the name of the weight set")
    described = like.weight_sets[like_weights]
    network = _network(model, described, like)
    structures = labels_of_classes(labels, described.labels, model.output_shape[-1] + network.has_sigmoid)
    weight_set = WeightSet(
        title=listed((label.name for label in structures[1:]), most=3)[:MOST_IN_TITLE] if title is None else title,
        network=network,
        input=_input(model, described.input),
        labels=structures,
        file=weight_files.file_name(name),
        sha256="",
        parameters=model.count_params(),
        data={"source": source, "licence": licence or _licence(described), "starts_from": like.name},
    )
    write_preset(folder, name, weight_set, model)
    return folder


def write_preset(folder: Path, name: str, described: WeightSet, model: Any) -> None:
    """Writes a network as a weight set of a preset's folder: weights, description and card.

    Args:
        folder: The preset's folder, made if it is missing.
        name: Name of the weight set, which becomes the first one.
        described: Its description; the SHA-256 is filled in here.
        model: The network.

    Raises:
        WriteError: A file cannot be written.
    """
    content = weight_files.serialize(model)
    described = dataclasses.replace(described, sha256=weight_files.sha256(content))
    preset = _with_weights(folder, name, described)
    description, readme = preset.to_json(), card(preset)  # what can fail comes before the first file is replaced
    write_bytes(folder / described.file, content)
    write_text(folder / FILE_NAME, description)
    write_text(folder / "README.md", readme)


def _licence(described):
    return f"not stated; started from weights under {described.licence}"


def _with_weights(folder, name, weight_set):
    """Returns the preset of a folder, or a new one, with the weight set as its first."""
    preset = Preset.read(folder) if holds_preset(folder) else Preset(folder.resolve().name, {})
    others = {key: value for key, value in preset.weight_sets.items() if key != name}
    return dataclasses.replace(preset, weight_sets={name: weight_set, **others}, folder=folder)


def _network(model, described, like):
    """Returns the description of a model's network, which must be that of a weight set."""
    architecture = getattr(model, "architecture", None)
    if architecture is None:
        raise ValueError(
            f"expected `model` to be a network of recalib_keras.models, such as zoo.load returns, got a "
            f"{type(model).__name__}; save other models by model.save, and segment with Segmenter(weight_set, model)"
        )
    if len(model.input_shape) - 1 != len(described.input.shape) or model.input_shape[-1] % described.input.depth:
        raise ValueError(
            f"expected `model` to have an input like that of {like.name!r}, {described.input.shape}, got "
            f"{model.input_shape[1:]}; give the weights that it was loaded with"
        )
    differing = _differences(model, described)
    if differing:
        fitting = [key for key, other in like.weight_sets.items() if not _differences(model, other)]
        hint = (
            f"it is that of the weights {listed(fitting)}: give weights=…"
            if fitting
            else "only a network that zoo.load returned for these weights can be saved; a recipe trains any other one"
        )
        raise ValueError(f"expected the network of {like.name!r}, got {listed(differing)}; {hint}")
    described_as = described.network.arguments
    changed = {
        key: getattr(architecture, key)
        for key in FREE_ARGUMENTS
        if getattr(architecture, key) != described_as.get(key, getattr(Architecture, key))
    }
    return Network(described.network.architecture, {**described_as, **changed})


def _differences(model, described):
    """Returns in which arguments a model differs from the network of a weight set, in words."""
    if len(model.input_shape) - 1 != len(described.input.shape):
        return ["another number of axes"]
    any_size = (None,) * (len(model.input_shape) - 2)  # that of the model may not fit the other network
    same = described.build(model.output_shape[-1], (*any_size, model.input_shape[-1]))
    if type(model).__name__ != type(same).__name__:
        return [f"{type(model).__name__} instead of {type(same).__name__}"]
    found, wanted = model.architecture.config(), same.architecture.config()
    return [
        f"{key}={found.get(key)!r} instead of {wanted[key]!r}"
        for key in wanted
        if key not in ("input_shape", *FREE_ARGUMENTS) and found.get(key) != wanted[key]
    ]


def _input(model, expects):
    """Returns what a model expects to see, by its input; a model of any size keeps the described window."""
    with_channels = expects.with_channels(model.input_shape[-1] // expects.depth)
    sizes = model.input_shape[1:-1]
    return with_channels if None in sizes else with_channels.resized(sizes)

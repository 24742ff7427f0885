"""Pretrained networks by name."""

from __future__ import annotations

import builtins
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.zoo import weights as _weights
from recalib_keras.zoo.places import preset_folder
from recalib_keras.zoo.preset import FILE_NAME, Input, Label, Network, Preset, ReferenceRange, WeightSet
from recalib_keras.zoo.weights import WeightsError

if TYPE_CHECKING:
    from recalib_keras.zoo.listing import PresetTable
    from recalib_keras.zoo.saving import Labels

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
    "list",
    "load",
    "names",
    "save",
    "weight_set",
]


def names() -> builtins.list[str]:
    """Returns the names of all presets, sorted.

    Example:
        >>> from recalib_keras import zoo
        >>> "densenet3d_pe" in zoo.names()
        True
    """
    return sorted(folder.name for folder in _presets().iterdir() if (folder / FILE_NAME).is_file())


def list(
    pattern: str = "*",
    task: str | None = None,
    licence: str | None = None,
    architecture: str | None = None,
    block: str | None = None,
    better_than: str | None = None,
    alpha: float = 0.05,
) -> PresetTable:
    """Returns the presets with their weights, tasks, scores, sizes and licences, as a table with the best scores first.

    It prints as a table, in notebooks too. Its items have what it shows as attributes: `zoo.list()[0].dice`.

    What a preset's name alone stands for is marked by `*`: the first weight set of its `preset.json`, or the ensemble
    that it is part of. In this zoo that is the whole brain wherever a preset has weights for it. `load`, `segment`,
    `evaluate` and the command take the same.

    Args:
        pattern: Of names, such as `"*3d_pe"`.
        task: Such as `"whole_brain"`; a pattern, too.
        licence: Of the weights, in any case and spacing, such as `"apache-2.0"`, `"cc-by-nc-3.0"` or `"cc-by-*"`.
            Without a version, any version. An ensemble passes if all its members do.
        architecture: `"UNet"`, `"SDNet"` or `"DenseNet"`.
        block: Recalibration block, such as `"pe"`, or `"plain"` for none.
        better_than: Keeps what is significantly better than `"plain"`, the same network without a block, or than a
            preset of this name, on the scans that both were measured on: a larger mean Dice, and `p < alpha` in
            Wilcoxon's signed-rank test of each scan's mean Dice, with Holm's correction over the blocks of the network,
            or over all presets with such weights. These are the tests of the scoreboard. The scans have also chosen
            the best epoch, and most presets were trained once: a difference may be one of runs. Defaults to no test,
            because most presets with a block do not pass it.
        alpha: Level of significance.

    Returns:
        The table; empty if nothing passes.

    Raises:
        ValueError: The architecture, the block or the preset of `better_than` is unknown, or `alpha` is no level.

    Example:
        >>> from recalib_keras import zoo
        >>> [entry.name for entry in zoo.list("*_pe", task="whole_brain", licence="apache-2.0")]
        ['densenet3d_pe', 'unet3d_pe']
    """
    from recalib_keras.zoo.listing import Shelf

    shelf = Shelf(info(name) for name in names())
    return shelf.select(pattern, task, licence, architecture, block, better_than, alpha)


def info(name: str | os.PathLike) -> Preset:
    """Returns the description of a preset with its weight sets, their labels, spacing and scores. It prints as a table.

    Args:
        name: One of `names()`, or the path of a folder that holds a `preset.json`, such as training writes. The path
            of that file does too, and the folder above if it holds no other preset.

    Raises:
        ValueError: The name is unknown (the nearest known one is named), or the path is that of no preset.
        RecordError: The `preset.json` in the folder is no valid description.

    Example:
        >>> from recalib_keras import zoo
        >>> [label.name for label in zoo.info("densenet3d_pe").weight_sets["hippocampus"].labels]
        ['background', 'anterior hippocampus', 'posterior hippocampus']
    """
    if str(name) in names():  # before a folder that happens to have the same name
        return Preset.read(_presets() / name)
    folder = preset_folder(name)
    if folder is not None:
        return Preset.read(folder)
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
        name: One of `names()`, or the path of a folder that holds a `preset.json`.
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


def save(
    model: Any,
    folder: str | os.PathLike,
    like: str | os.PathLike,
    labels: Labels | None = None,
    *,
    weights: str = "default",
    name: str = "fine_tuned",
    title: str | None = None,
    source: str = "not stated",
    licence: str | None = None,
) -> Path:
    """Makes a preset of a network that was fine-tuned by `model.fit`, for `load`, `segment` and `evaluate`.

    The new weight set is the first, and so the default, of the preset in the folder. Other weight sets there stay; one
    of the same name is replaced.

    Args:
        model: A network that `load` returned for `like` and `weights`, with any number of classes.
        folder: The preset's folder, made if it is missing. Its name is the preset's.
        like: The preset that the network was loaded from, whose orientation, spacing and normalisation it expects.
        labels: For each class, the background first: its name, or a `Label` with its number and colour; or a dict from
            numbers in label maps to names. Classes that are named only get the numbers 0, 1, …. Defaults to the labels
            of `like`, if the network still has as many classes.
        weights: The weight set of `like` that the network was loaded with.
        name: Name of the new weight set.
        title: What it segments, in words; by default its structures.
        source: What it was trained on, for the card.
        licence: The licence of that, under which the weights come.

    Returns:
        The folder, with `preset.json`, the weights, and a card, `README.md`.

    Raises:
        ValueError: The model is not the network of `like`, or the labels are not those of its classes.
        WriteError: A file cannot be written.

    Example:
        model = zoo.load("unet3d_pe", num_classes=2)
        model.fit(...)
        zoo.save(model, "presets/lesions", like="unet3d_pe", labels=["background", "lesion"])
        recalib_keras.segment("scan.nii.gz", preset="presets/lesions")
    """
    from recalib_keras.zoo.saving import save_preset

    described, preset = weight_set(like, weights), info(like)
    known = next(key for key, each in preset.weight_sets.items() if each == described)
    details = {"name": name, "title": title, "source": source, "licence": licence}
    return save_preset(model, folder, preset, known, labels, **details)


def _presets():
    return Path(str(resources.files(__name__) / "presets"))

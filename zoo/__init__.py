"""Pretrained networks by name."""

from importlib import resources
from pathlib import Path

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
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
]


def names():
    """Returns the names of all presets, sorted.

    >>> from recalib_keras import zoo
    >>> "densenet3d_pe" in zoo.names()
    True
    """
    return sorted(folder.name for folder in _presets().iterdir() if (folder / FILE_NAME).is_file())


def info(name):
    """Returns the description of a preset: a `Preset` with its weight sets, their labels, spacing and scores.

    Args:
        name: one of `names()`, or the path of a folder that holds a `preset.json`, such as training writes.

    Raises:
        ValueError: for an unknown name; the nearest known one is named.

    >>> from recalib_keras import zoo
    >>> [label.name for label in zoo.info("densenet3d_pe").weight_sets["hippocampus"].labels]
    ['background', 'anterior hippocampus', 'posterior hippocampus']
    """
    if str(name) in names():  # before a folder that happens to have the same name
        return Preset.read(_presets() / name)
    if (Path(name) / FILE_NAME).is_file():
        return Preset.read(name)
    if Path(name).name != str(name):
        raise ValueError(f"there is no preset in the folder {Path(name).absolute()}: it has no {FILE_NAME}")
    hint = did_you_mean(name, names(), otherwise=f"there are {', '.join(names())}")
    raise ValueError(f"there is no preset {str(name)!r}; {hint}")


def weight_set(name, weights="default"):
    """Returns the description of one weight set of a preset.

    Raises:
        ValueError: for an unknown preset or weight set, and for an ensemble.
    """
    preset = info(name)
    if weights == "default":
        return next(iter(preset.weight_sets.values()))
    if weights in preset.ensembles:
        members = ", ".join(preset.ensembles[weights])
        raise ValueError(f"the weights {weights!r} of preset {preset.name!r} are those of several networks: {members}")
    if weights not in preset.weight_sets:
        there = ", ".join((*preset.weight_sets, *preset.ensembles))
        raise ValueError(f"preset {preset.name!r} has no weights {weights!r}; it has {there}")
    return preset.weight_sets[weights]


def load(name, weights="default", num_classes=None, input_shape=None, dtype=None):
    """Returns a network with its pretrained weights: a plain `keras.Model`, built from code.

    Args:
        name: one of `names()`, or the path of a folder that holds a `preset.json`.
        weights: `"default"` for the preset's first weight set, the name of another one, the path of a safetensors
            file for the default's network, or `None` for fresh weights.
        num_classes: integer, the background counted in. A number that differs from the weights' keeps the body and
            starts a new classifier. Defaults to the weight set's.
        input_shape: `(*spatial, channels)`; spatial sizes may be `None`. Defaults to the preset's window, which the
            blocks were trained to pool over.
        dtype: dtype policy, such as `"mixed_bfloat16"`; defaults to Keras's global one.

    Raises:
        ValueError: for an unknown preset or weight set; `WeightsError` for weights whose SHA-256 is not the
            preset's, or that do not fit the network (it lists which layers and shapes differ).

    >>> from recalib_keras import zoo
    >>> zoo.load("densenet3d_pe", num_classes=5).output_shape[-1]
    5
    """
    is_file = weights is not None and str(weights).endswith(".safetensors")
    described = weight_set(name, "default" if weights is None or is_file else weights)
    model = described.build(num_classes, input_shape, dtype)
    if weights is None:
        return model
    if is_file:
        tensors = _weights.read(Path(weights))
    else:
        tensors = _weights.read(info(name).folder / described.file, described.sha256)
    if num_classes is None or _weights.tells_as_many_classes(model, tensors):
        _weights.assign(model, tensors)
    else:
        _weights.assign(model, tensors, skip=_weights.is_head)
    return model


def _presets():
    return Path(str(resources.files(__name__) / "presets"))

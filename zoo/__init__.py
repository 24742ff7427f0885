"""Pretrained networks by name."""

from __future__ import annotations

import builtins
import functools
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean, listed
from recalib_keras.zoo import weights as _weights
from recalib_keras.zoo.adaptation import adapted
from recalib_keras.zoo.authors.importing import import_authors
from recalib_keras.zoo.own_asymmetry import OwnAsymmetry
from recalib_keras.zoo.places import installed, remote
from recalib_keras.zoo.places.folders import preset_folder
from recalib_keras.zoo.preset import Input, Label, Network, Preset, ReferenceRange, WeightSet
from recalib_keras.zoo.weights import WeightsError

if TYPE_CHECKING:
    from recalib_keras.models import FeaturePyramid
    from recalib_keras.volumes import Channels
    from recalib_keras.zoo.labels import Labels
    from recalib_keras.zoo.pages.listing import PresetTable
    from recalib_keras.zoo.preprocessing import SeenScan, Source

Weights = str | Sequence[str] | Mapping[str, float]

__all__ = [
    "Input",
    "Label",
    "Network",
    "OwnAsymmetry",
    "Preset",
    "RecordError",
    "ReferenceRange",
    "WeightSet",
    "WeightsError",
    "features",
    "freeze",
    "import_authors",
    "info",
    "list",
    "load",
    "names",
    "preprocess",
    "save",
    "unfreeze",
    "weight_set",
]


def names() -> builtins.list[str]:
    """Returns the names of all presets, sorted.

    Example:
        >>> from recalib_keras import zoo
        >>> "densenet3d_pe" in zoo.names()
        True
    """
    return sorted(installed.folders())


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
        ValueError: The architecture, the block or the preset of `better_than` is unknown, or `alpha` is not a level.

    Example:
        >>> from recalib_keras import zoo
        >>> [entry.name for entry in zoo.list("*_pe", task="whole_brain", licence="apache-2.0")]
        ['densenet3d_pe', 'unet3d_pe']
    """
    from recalib_keras.zoo.pages.listing import Shelf

    shelf = Shelf(info(name) for name in names())
    return shelf.select(pattern, task, licence, architecture, block, better_than, alpha)


def info(name: str | os.PathLike) -> Preset:
    """Returns the description of a preset with its weight sets, their labels, spacing and scores. It prints as a table.

    Args:
        name: One of `names()`; or the path of a folder that holds a `preset.json`, such as training writes (the path
            of that file does too, and the folder above if it holds no other preset); or the address of such a folder,
            `hf://OWNER/REPOSITORY@REVISION/FOLDER` or `https://…` (see `recalib_keras.zoo.places.remote`).

    Raises:
        ValueError: The name is unknown (the nearest known one is named), or the path is that of no preset.
        ImportError: For an address, if the package that fetches is not installed.
        RecordError: The `preset.json` in the folder is not a valid description.

    Example:
        >>> from recalib_keras import zoo
        >>> [label.name for label in zoo.info("densenet3d_pe").weight_sets["hippocampus"].labels]
        ['background', 'anterior hippocampus', 'posterior hippocampus']
    """
    folder = installed.folders().get(str(name))
    if folder is not None:  # before a folder that happens to have the same name
        return Preset.read(folder)
    if remote.is_remote(name):
        return Preset.read(remote.fetch(str(name)))
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
    weights: Weights | os.PathLike | None = "default",
    num_classes: int | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    dtype: Any = None,
    channels: int | None = None,
    classifier_activation: str | None = "default",
) -> Any:
    """Returns a network with its pretrained weights: a plain `keras.Model`, built from code.

    An ensemble is one model, too: from a volume to the average of its members' probabilities, 2-D networks slice by
    slice. It is for prediction; fine-tune its members.

    Args:
        name: One of `names()`, or the path or address of a folder that holds a `preset.json`; see `info`.
        weights: `"default"` for the preset's first weight set or the ensemble that it is part of (see `list`), the
            name of another weight set or ensemble, several weight sets by name or with their shares, the path of a
            safetensors file for the first weight set's network, or `None` for fresh weights of that network.
        num_classes: Number of classes, the background included; with a sigmoid, number of structures. A number that
            differs from the weights' keeps the body and starts a new classifier. Defaults to the weight set's. An
            ensemble has no such choice.
        input_shape: `(*spatial, channels)`; spatial sizes may be `None`. Defaults to the preset's window, which the
            blocks were trained to pool over.
        dtype: dtype policy, such as `"mixed_bfloat16"`; defaults to Keras's global one.
        channels: Number of channels of your images, such as 4 modalities or 3 colours. If the weights were trained
            with another number, the first kernel is adapted, so that an image whose channels are all alike gives the
            output of the original network; see `recalib_keras.zoo.adaptation`. A network that sees several slices has
            those of the first channel first. Defaults to the preset's.
        classifier_activation: `"sigmoid"` for structures with a probability each, which starts a new classifier;
            `"softmax"`; or `None` for logits. Defaults to the preset's; a single class has a sigmoid.

    Returns:
        The network. `model.preprocess(scan)` prepares a scan for it, see `preprocess`.

    Raises:
        ValueError: The preset or weight set is unknown; `input_shape` has other channels than `channels`; or
            `num_classes`, `channels` or `classifier_activation` is given for an ensemble: the message has the calls
            that load its members.
        WeightsError: The weights' SHA-256 is not the preset's, or they do not fit the network; lists which layers and
            shapes differ.

    Example:
        >>> from recalib_keras import zoo
        >>> zoo.load("densenet3d_pe", num_classes=5).output_shape[-1]
        5
    """
    is_file = isinstance(weights, os.PathLike) or (isinstance(weights, str) and weights.endswith(_weights.SUFFIX))
    first = next(iter(info(name).weight_sets))
    shares = {first: 1.0} if weights is None or is_file else _shares(name, cast("Weights", weights))
    changes: dict[str, Any] = {"num_classes": num_classes, "channels": channels}
    if classifier_activation != "default":
        changes["classifier_activation"] = classifier_activation
    if len(shares) > 1:
        model = _ensemble(info(name), shares, input_shape, dtype, changes)
    else:
        described = weight_set(name, *shares)
        read = (lambda: _weights.read(Path(cast("str", weights)))) if is_file else described.read_weights
        tensors = None if weights is None else read()
        model = adapted(described, tensors, input_shape, dtype, **changes)
    window, classes = _known_sizes(model.input_shape), model.output_shape[-1]
    settings = {"window": window, "channels": channels, "has_sigmoid": _has_sigmoid(model), "num_classes": classes}
    model.preprocess = functools.partial(preprocess, name, weights=shares, **settings)
    return model


def features(
    name: str | os.PathLike,
    weights: str | os.PathLike | None = "default",
    part: str = "encoder",
    **options: Any,
) -> FeaturePyramid:
    """Returns the feature maps of a pretrained network at every level: a `keras.Model` with a dict of named outputs.

    Args:
        name: See `load`.
        weights: See `load`; those of one network, no ensemble.
        part: `"encoder"` for the maps of all encoders and the bottleneck, `"decoder"` for those of the bottleneck and
            the decoders, `"all"` for both.
        **options: Other arguments of `load`, such as `input_shape` and `dtype`.

    Returns:
        The model. Its attributes `strides` and `channels` describe each map.

    Raises:
        ValueError: See `load`; also an unknown part, or the weights of an ensemble.

    Example:
        >>> from recalib_keras import zoo
        >>> zoo.features("unet3d_pe", "hippocampus").strides
        {'encoder_1': 1, 'encoder_2': 2, 'encoder_3': 4, 'bottleneck': 8}
    """
    from recalib_keras import models

    if weights is not None and not isinstance(weights, os.PathLike) and len(shares := _shares(name, weights)) > 1:
        raise ValueError(
            f"expected weights of one network of {str(name)!r} for its features, got an ensemble; give one of "
            f"{', '.join(shares)}"
        )
    return models.features(load(name, weights, **options), part)


def freeze(model: Any, part: str | Sequence[str]) -> builtins.list[str]:
    """Freezes a part of a network; compile it afterwards. See `recalib_keras.models.freeze`.

    Args:
        model: A network.
        part: `"encoder"`, `"bottleneck"`, `"decoder"`, `"classifier"`, `"body"` (all but the classifier), `"blocks"`,
            `"all"`, a stage such as `"encoder_1"`, the name of a layer, a pattern of names, or a sequence of these.

    Returns:
        The names of the layers of this part that have weights.

    Raises:
        ValueError: The model has no such part.
    """
    from recalib_keras import models

    return models.freeze(model, part)


def unfreeze(model: Any, part: str | Sequence[str] = "all") -> builtins.list[str]:
    """Lets a part of a network learn again; compile it afterwards. See `recalib_keras.models.unfreeze`.

    Args:
        model: A network.
        part: See `freeze`.

    Returns:
        The names of the layers of this part that have weights.

    Raises:
        ValueError: The model has no such part.
    """
    from recalib_keras import models

    return models.unfreeze(model, part)


def preprocess(
    name: str | os.PathLike,
    scan: Source | Channels,
    weights: Weights = "default",
    *,
    labels: Labels | None = None,
    window: tuple[int, ...] | None = None,
    channels: int | None = None,
    has_sigmoid: bool | None = None,
    num_classes: int | None = None,
    volume: int | None = None,
) -> SeenScan:
    """Returns a scan as a preset's network expects it: orientation, spacing, normalisation, windows; and the way back.

    A loaded network has it as a method: `zoo.load(name).preprocess(scan)`.

    Args:
        name: One of `names()`, or the path of a preset's folder.
        scan: Path of a NIfTI, MGZ or Analyze file or of a folder with one DICOM series, a nibabel image, or a
            `recalib_keras.volumes.Volume`. For a network that sees several channels, see
            `recalib_keras.volumes.read_channels`; or a `recalib_keras.volumes.Channels`.
        weights: See `load`.
        labels: The structure of each class of a network that was loaded with another `num_classes`; see `save`.
            Defaults to the weight set's.
        window: Spatial sizes of the network's input, if it was loaded with another `input_shape`.
        channels: Number of channels of your images, if it was loaded with another one.
        has_sigmoid: Whether it has a sigmoid, if it was loaded with another `classifier_activation`.
        num_classes: Number of outputs of the network, which `labels` must fit; None for as many as they need.
        volume: Index of the volume to take from a 4-D file or image.

    Returns:
        `.windows` for `model.fit` and `model.predict`, `.classes(label_map)` for their ground truth, `.image` for the
        whole scan, and `.restore(prediction)` for the labels on the scan's own grid.

    Raises:
        ValueError: The preset or weight set is unknown, `window` has another number of axes, or `labels` are not as
            many as the classes.
        VolumeError: The scan cannot be read.

    Example:
        seen = zoo.preprocess("unet3d_pe", "scan.nii.gz", weights="hippocampus")
        image = seen.restore(model.predict(seen.windows))
    """
    from recalib_keras import volumes
    from recalib_keras.zoo.ensembles import leader
    from recalib_keras.zoo.labels import labels_of_classes
    from recalib_keras.zoo.preprocessing import SeenScan, read_scan

    described = leader(info(name), _shares(name, weights))
    expects = described.input if channels is None else described.input.with_channels(channels)
    expects = expects if window is None else expects.resized(window)
    is_read = isinstance(scan, (volumes.Volume, volumes.Channels))
    image: Any = scan if is_read else read_scan(scan, expects, volume)
    has_sigmoid = described.network.has_sigmoid if has_sigmoid is None else has_sigmoid
    if labels is None:
        structures = described.labels
    else:
        classes = len(labels) if num_classes is None else num_classes + has_sigmoid
        structures = labels_of_classes(labels, described.labels, classes)
    return SeenScan(image, expects, structures, has_sigmoid)


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


def _shares(name, weights):
    """Returns the share of each weight set by its name; all of them exist."""
    preset = info(name)
    shares = preset.shares(weights)
    for each in shares:
        if each not in preset.weight_sets:
            weight_set(name, each)  # which says what is wrong
    return shares


def _ensemble(preset, shares, input_shape, dtype, changes):
    from recalib_keras.zoo import ensembles

    for argument, value in changes.items():
        if value is not None or argument == "classifier_activation":
            calls = ensembles.call_of_members(preset, shares, f"{argument}={value!r}")
            raise ValueError(
                f"expected no `{argument}` for the ensemble of {', '.join(shares)}, which is that of its weights, got "
                f"{value!r}; load one of its members: {calls}"
            )
    return ensembles.build(preset, shares, input_shape, dtype)


def _has_sigmoid(model):
    """Returns whether a network has a sigmoid; None for an ensemble, which has what its weights have."""
    architecture = getattr(model, "architecture", None)
    return None if architecture is None else architecture.classifier_activation == "sigmoid"


def _known_sizes(input_shape):
    """Returns the spatial sizes of an input; None if one is unknown, so that the preset's window is taken."""
    sizes = tuple(input_shape[1:-1])
    return None if None in sizes else sizes


def recipe_path(name: str) -> Path:
    """Returns the file of a recipe of the zoo, which recipes extend as `extends = "zoo:hippocampus/densenet3d_pe"`.

    Args:
        name: Path below the zoo's folder of recipes, with `.toml` or without.

    Raises:
        ValueError: The zoo has no such recipe; the nearest known one is named.

    Example:
        >>> from recalib_keras import zoo
        >>> zoo.recipe_path("hippocampus/densenet3d_pe").name
        'densenet3d_pe.toml'
    """
    folder = Path(str(resources.files(__name__) / "recipes"))
    known = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.toml"))}
    wanted = name.removesuffix(".toml")
    if wanted not in known:
        hint = did_you_mean(wanted, known, otherwise=f"known recipes: {listed(known)}")
        raise ValueError(f"expected the name of a recipe of the zoo, got {name!r}; {hint}")
    return known[wanted]

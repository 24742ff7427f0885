"""The start of a training from pretrained weights."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np
from keras import ops

from recalib_keras import zoo
from recalib_keras.models import freeze
from recalib_keras.training.recipe import Recipe
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.adaptation import with_channels
from recalib_keras.zoo.labels import Label

# The layer that tells the classes apart: its outputs are the places of a block of voxels × classes, in C order.
CLASSIFIER = ("classifier/kernel", "classifier/bias")


def start_from(model: keras.Model, recipe: Recipe) -> None:
    """Sets a fresh network's weights from the preset that its recipe names, and freezes the encoders if asked to.

    If the preset's labels are the recipe's, names and order alike, and its classifier has the same layers, all weights
    are taken. With other labels the classifier starts anew, except for structures that both lists name alike: these
    keep their classifier weights, if there is at least one besides the background.

    A network with recalibration blocks can start from the weights of one without, if the blocks change nothing at
    first (`recalibration_args = { use_identity_start = true }`).

    Args:
        model: Fresh network of the recipe.
        recipe: Recipe with an `init`.

    Raises:
        ValueError: The preset or its weight set is unknown.
        WeightsError: The network is not the preset's; lists the differences.
    """
    settings = recipe.fine_tuning
    described = zoo.weight_set(recipe.init, settings.weights)
    tensors = described.read_weights()
    channels = described.input.num_channels, recipe.input.num_channels
    tensors = with_channels(tensors, model, *channels, depth=described.input.depth)
    new_parts = []
    if described.network.has_sigmoid != recipe.network.has_sigmoid:
        new_parts.append(zoo_weights.is_head)
    elif not _is_same_classifier(model, tensors, described.labels, recipe.labels):
        has_background = not recipe.network.has_sigmoid
        carried = carried_classifier(model, tensors, described.labels, recipe.labels, has_background)
        tensors = {**tensors, **carried}
        if not carried:
            new_parts.append(zoo_weights.is_head)
    if _starts_as_identity(recipe.network) and not any(map(zoo_weights.is_block, tensors)):
        new_parts.append(zoo_weights.is_block)
    zoo_weights.assign(model, tensors, skip=lambda path: any(is_part(path) for is_part in new_parts))
    if settings.freeze_encoder:
        freeze(model, "encoder")


def carried_classifier(
    model: keras.Model,
    tensors: Mapping[str, np.ndarray],
    known: Sequence[Label],
    wanted: Sequence[Label],
    has_background: bool = True,
) -> dict[str, np.ndarray]:
    """Returns a classifier for other labels, in which structures of the same name keep their pretrained weights.

    The logits of the kept classes, the background among them, are those of the pretrained network. The other classes
    keep the weights that the model has.

    Args:
        model: Fresh network for the wanted labels.
        tensors: Pretrained weights by the paths of their variables.
        known: Labels of the pretrained network.
        wanted: Labels of the model.
        has_background: Whether the background is one of the classes; with a sigmoid it is not.

    Returns:
        The weights of the classifier by their paths. They are empty if no structure besides the background has the
        same name in both lists, or if the classifiers differ in more than their labels.
    """
    head = {v.path: ops.convert_to_numpy(v) for v in model.weights if zoo_weights.is_head(v.path)}
    kept = _classes_in_common(known, wanted)
    # A recalibration block behind the classifier mixes its classes.
    if (
        not any(wanted[new].name != "background" for new, _ in kept)
        or head.keys() != _head(tensors)
        or any(map(zoo_weights.is_block, head))
    ):
        return {}
    carried, first = {}, 0 if has_background else 1
    columns = [(new - first, old - first) for new, old in kept[first:]]
    for path, fresh in head.items():
        if path in CLASSIFIER:
            carried[path] = _with_columns(fresh, tensors[path], columns, len(wanted) - first, len(known) - first)
        else:
            carried[path] = tensors[path] if tensors[path].shape == fresh.shape else None
    return {} if any(tensor is None for tensor in carried.values()) else carried


def _classes_in_common(known, wanted):
    """Returns pairs of classes, new and old: the background, and structures of the same name."""
    classes = {label.name: index for index, label in enumerate(known) if index}
    return [(0, 0)] + [(new, classes[label.name]) for new, label in enumerate(wanted) if new and label.name in classes]


def _with_columns(fresh, pretrained, kept, number_wanted, number_known):
    """Returns a copy of a fresh tensor with the pretrained weights of some classes; None if other sizes differ."""
    by_class = np.array(fresh).reshape(*fresh.shape[:-1], -1, number_wanted)
    old_by_class = pretrained.reshape(*pretrained.shape[:-1], -1, number_known)
    if by_class.shape[:-1] != old_by_class.shape[:-1]:
        return None
    new, old = map(list, zip(*kept))
    by_class[..., new] = old_by_class[..., old]
    return by_class.reshape(fresh.shape)


def _is_same_classifier(model, tensors, known, wanted):
    same_labels = [label.name for label in known] == [label.name for label in wanted]
    return same_labels and _head(tensors) == _head(v.path for v in model.weights)


def _starts_as_identity(network):
    return bool((network.arguments.get("recalibration_args") or {}).get("use_identity_start"))


def _head(paths: Iterable[str]) -> set[str]:
    return {path for path in paths if zoo_weights.is_head(path)}

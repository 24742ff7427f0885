"""Pretrained weights for other channels and classes than they were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recalib_keras.zoo import weights as weight_files
from recalib_keras.zoo.preset import WeightSet


def adapted(
    described: WeightSet,
    tensors: Mapping[str, np.ndarray] | None,
    input_shape: tuple[int | None, ...] | None = None,
    dtype: Any = None,
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    classifier_activation: str | None = "default",
) -> Any:
    """Returns the network of a weight set, with what can be kept of weights; see `recalib_keras.zoo.load`.

    Args:
        described: The weight set.
        tensors: Weights by the paths of their variables; None for fresh ones.
        input_shape: `(*spatial, channels)`; None for that of the weight set's input.
        dtype: dtype policy; None for Keras's global one.
        num_classes: None for what the labels need.
        channels: Number of channels of the images; None for that of the weight set's input.
        classifier_activation: `"default"` for that of the weight set.

    Raises:
        ValueError: `input_shape` has other channels than `channels`.
        WeightsError: The weights do not fit the network.
    """
    expects, trained = described.input, described.network
    wanted = expects.num_channels if channels is None else channels
    shape = _shape(expects, input_shape, wanted)
    network = trained if classifier_activation == "default" else trained.activated(classifier_activation)
    labelled = trained if classifier_activation is None else network  # logits are those of the trained classes
    model = network.build(shape, labelled.num_classes(described.labels) if num_classes is None else num_classes, dtype)
    if tensors is None:
        return model
    tensors = with_channels(tensors, model, expects.num_channels, wanted, expects.depth)
    has_new_head = num_classes is not None and not weight_files.has_same_classes(model, tensors)
    keeps_head = not has_new_head and labelled.has_sigmoid == trained.has_sigmoid
    weight_files.assign(model, tensors, **({} if keeps_head else {"skip": weight_files.is_head}))
    return model


def with_channels(
    tensors: Mapping[str, np.ndarray], model: Any, trained: int, wanted: int, depth: int = 1
) -> dict[str, np.ndarray]:
    """Returns weights whose first kernels see another number of channels.

    Trained and wanted channels are matched in turn: wanted channel `i` belongs to trained channel `i` modulo their
    number. A trained channel that has several is shared equally among them, and where fewer channels are wanted, those
    that meet in one are added. So the sum over the channels stays what it was: an image whose channels are all alike
    gives the output of the original network on such an image. This is the rule of timm and Segmentation Models, except
    that their sums differ where one number does not divide the other.

    The kernels are those of the first encoder whose inputs are the image, or the image and further maps behind it; the
    channels of the image are, for each voxel of a patch, all slices of the first channel, then of the next one.

    A normalization before such a kernel, as in the authors' networks, has the values of the trained channel for each
    channel that belongs to it; where several trained channels meet in one, their mean, and the output is then close to
    that of the original network, but not equal.

    Args:
        tensors: Weights by the paths of their variables.
        model: The network with the wanted number of channels.
        trained: Number of channels that the weights were trained with.
        wanted: Number of channels of the network.
        depth: Number of slices of each channel that the network sees; 1 for all networks without context.
    """
    places = model.architecture.patch_size**model.architecture.spatial_rank
    gained = places * (wanted - trained) * depth
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    found = dict(tensors)
    for path, tensor in tensors.items():
        is_kernel = tensor.ndim > 2
        by_input = tensor if is_kernel else tensor[..., None]  # what a normalization has for each of its inputs
        grown = (*by_input.shape[:-2], by_input.shape[-2] + gained, by_input.shape[-1])
        if gained and path.startswith("encoder_1") and shapes.get(path) == (grown if is_kernel else grown[:-1]):
            of_image, others = np.split(by_input, [places * trained * depth], axis=-2)
            by_channel = of_image.reshape(*grown[:-2], places, trained, depth, grown[-1])
            adapted = _matched(by_channel, wanted, is_kernel).reshape(*grown[:-2], -1, grown[-1])
            found[path] = np.concatenate([adapted, others], axis=-2).reshape(shapes[path])
    return found


def _matched(values, wanted, keeps_sum):
    """Returns values `(…, trained, depth, filters)` for the wanted number of channels, with the same sum or mean."""
    trained = values.shape[-3]
    meets = np.equal.outer(np.arange(wanted) % trained, np.arange(trained) % wanted)
    shares = meets / meets.sum(axis=0 if keeps_sum else 1, keepdims=True)
    return np.einsum("wt,...tdf->...wdf", shares.astype(values.dtype), values)


def _shape(expects, given, channels):
    """Returns the shape of a network's input with this many channels."""
    if channels < 1:
        raise ValueError(f"expected `channels` to be at least 1, got {channels}")
    total = channels * expects.depth
    if given is not None and given[-1] != total:
        slices = "" if expects.depth == 1 else f" ({expects.depth} slices of each channel)"
        raise ValueError(
            f"expected `input_shape` to end with {total}{slices}, got {tuple(given)}; give `channels`, the number of "
            "channels of your images, too, and the first kernel is adapted to it"
        )
    return (*(given or expects.shape)[:-1], total)

"""Pretrained weights for another number of channels than they were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


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
        grown = (*tensor.shape[:-2], tensor.shape[-2] + gained, tensor.shape[-1]) if tensor.ndim > 2 else None
        if gained and path.startswith("encoder_1") and shapes.get(path) == grown:
            of_image, others = np.split(tensor, [places * trained * depth], axis=-2)
            by_channel = of_image.reshape(*tensor.shape[:-2], places, trained, depth, tensor.shape[-1])
            adapted = _shared(by_channel, wanted).reshape(*tensor.shape[:-2], -1, tensor.shape[-1])
            found[path] = np.concatenate([adapted, others], axis=-2)
    return found


def _shared(kernel, wanted):
    """Returns a kernel `(…, trained, depth, filters)` with the wanted number of channels, and the same sum."""
    trained = kernel.shape[-3]
    meets = np.equal.outer(np.arange(wanted) % trained, np.arange(trained) % wanted)
    return np.einsum("wt,...tdf->...wdf", (meets / meets.sum(axis=0)).astype(kernel.dtype), kernel)

"""Project & Excite (PE)."""

from __future__ import annotations

import functools
import operator
from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor
from recalib_keras.layers.recalibration import BottleneckRecalibration


@keras.saving.register_keras_serializable(package="recalib_keras")
class ProjectExcite(BottleneckRecalibration):
    """Rescales each value by a gate computed from the projections of the feature map onto every spatial axis.

    The projection `z_a` onto the spatial axis `a` is the mean over all other spatial axes. `z` is the sum of all
    projections, each broadcast to full size, and `Û = U · σ(W₁ δ(W₂ z))` with 1×1 convolutions `W₂: C → C/r` and
    `W₁: C/r → C` and `δ` the ReLU. Adds `2·C·(C//r)` weights, and `C + C//r` biases with `use_bias`.

    `W₂` is linear, so it is applied to the small projections *before* they are broadcast:
    `W₂ (z_h + z_w + z_d) = W₂ z_h + W₂ z_w + W₂ z_d`. The full-size sum of the projections is never computed.

    Args:
        reduction_ratio: The `r` above, from 1 to the number of channels.
        use_bias: Whether both convolutions have a bias, as in the authors' layers; the papers count none.
        **kwargs: `data_format`, `use_identity_start` (see `recalib_keras.layers.Recalibration`) and the arguments of
            `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *spatial, channels)`.

    Raises:
        ValueError: If `reduction_ratio` is below 1 or above the number of channels.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.ProjectExcite()(keras.ops.ones((2, 8, 16, 24, 4))).shape == (2, 8, 16, 24, 4)
    True

    Reference:
        Rickmann et al., "'Project & Excite' Modules for Segmentation of Volumetric Medical Scans", MICCAI 2019.
    """

    is_fused = True

    def __init__(self, reduction_ratio: float = 2, use_bias: bool = True, **kwargs: Any):
        super().__init__(reduction_ratio, use_bias, **kwargs)

    def compress(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Returns one projection for each spatial axis; averaged axes are kept with size 1."""
        *first_axes, last_axis = self.spatial_axes
        without_last = self.mean(inputs, last_axis) if first_axes else None
        onto_first = [self.mean(without_last, _others(axis, first_axes)) for axis in first_axes]
        return (*onto_first, self.mean(inputs, tuple(first_axes)))

    def process(self, descriptor: tuple[Tensor, ...]) -> Tensor:
        hidden = [self.reduce.project(projection) for projection in descriptor]
        hidden[0] = self.reduce.add_bias(hidden[0])
        *small, last = hidden
        last = ops.cast(last, self.map_dtype)
        if small:  # all but the last sum are smaller than the feature map and stay in float32
            last = ops.cast(functools.reduce(operator.add, small), self.map_dtype) + last
        return self.expand(ops.relu(last))


def _others(axis, axes):
    return tuple(other for other in axes if other != axis)

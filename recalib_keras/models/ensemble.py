"""Several networks as one model that averages their probabilities, 2-D networks of several views among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from recalib_keras.layers.acceleration import Tensor, is_traced_for_litert, is_traced_for_openvino

# Feature maps of all slices of a head at once would not fit into memory.
MOST_SLICES_AT_ONCE = 8


@dataclass(frozen=True)
class Member:
    """A network of an ensemble.

    Args:
        network: From `(batch, *spatial, channels)` to probabilities `(batch, *spatial, classes)`.
        share: Its weight in the average, above 0.
        slice_axis: The axis of the volume, 0 to 2, along which a 2-D network sees slices; None for a 3-D network.
        classes: For each class of the result, the class of the network that it gets its probability from; None for
            the network's own classes.
    """

    network: keras.Model
    share: float = 1.0
    slice_axis: int | None = None
    classes: Sequence[int] | None = None


def average_networks(
    members: Sequence[Member], input_shape: Sequence[int | None], name: str | None = None
) -> keras.Model:
    """Returns a model from volumes to the weighted average of the probabilities of several networks.

    It is for prediction: it never updates the statistics of its members. Where a member has one class for several of
    the result, such as for both sides, each of them gets all of its probability, so that the sum can be above 1.

    Args:
        members: The networks.
        input_shape: `(X, Y, Z, 1)`; sizes may be None.
        name: Name of the model.

    Returns:
        A model from `(batch, X, Y, Z, 1)` to `(batch, X, Y, Z, classes)`, float32.

    Reference:
        Roy et al., "QuickNAT", NeuroImage 2019, section 2.3 (view aggregation).
    """
    image = keras.Input(tuple(input_shape), name="image")
    predictions = []
    for index, member in enumerate(members):
        named = {"name": f"member_{index + 1}"}
        layer = WholeVolume(member.network, **named) if member.slice_axis is None else SliceWise(
            member.network, member.slice_axis, **named)  # fmt: skip
        predictions.append(layer(image))
    shares = [member.share for member in members]
    classes = [None if member.classes is None else [int(each) for each in member.classes] for member in members]
    average = WeightedAverage(shares, classes, dtype="float32", name="probabilities")(predictions)
    return keras.Model(image, average, name=name)


class _Wrapped(keras.layers.Layer):
    """Base of the layers that call a network as it predicts.

    Args:
        network: The network.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, network: keras.Model, **kwargs: Any):
        super().__init__(**kwargs)
        self.network = network

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.network.output_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> _Wrapped:
        """Returns the layer that a config describes."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


@keras.saving.register_keras_serializable(package="recalib_keras")
class WholeVolume(_Wrapped):
    """Applies a 3-D network as it predicts; see `average_networks`.

    Args:
        network: The network.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        return self.network(inputs, training=False)


@keras.saving.register_keras_serializable(package="recalib_keras")
class SliceWise(_Wrapped):
    """Applies a 2-D network to every slice of a volume along an axis; see `average_networks`.

    If the network sees the slices beside its own, as further channels, the first and the last slice are repeated.

    Args:
        network: From `(batch, height, width, slices)` to probabilities; `slices` is 1, or 1 plus those on both sides.
        axis: 0 to 2.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape: `(batch, X, Y, Z, 1)`.

    Output shape: `(batch, X, Y, Z, classes)`.
    """

    def __init__(self, network: keras.Model, axis: int, **kwargs: Any):
        super().__init__(network, **kwargs)
        self.axis = axis

    def call(self, inputs: Tensor) -> Tensor:
        slices = ops.moveaxis(ops.squeeze(inputs, -1), self.axis + 1, 1)  # (batch, slices, height, width)
        shape, count = ops.shape(slices), slices.shape[1]
        stack = self._with_neighbours(slices, shape[1])
        at_once = 1 if count is None else _largest_divisor(count, MOST_SLICES_AT_ONCE)
        predicted = self._predicted(stack, shape[2:], at_once)
        predicted = ops.reshape(predicted, (-1, *shape[1:], self.network.output_shape[-1]))
        return ops.moveaxis(predicted, 1, self.axis + 1)

    def _predicted(self, stack, sizes, at_once):
        """Returns the probabilities of all slices, some at once, each of some sizes."""
        if is_traced_for_litert() or is_traced_for_openvino():  # they refuse a loop over slices
            return self.network(ops.reshape(stack, (-1, *sizes, stack.shape[-1])), training=False)
        groups = ops.reshape(stack, (-1, at_once, *sizes, stack.shape[-1]))
        return ops.map(lambda group: self.network(group, training=False), groups)

    def _with_neighbours(self, slices, count):
        """Returns each slice with those beside it as channels."""
        beside = (self.network.input_shape[-1] - 1) // 2
        edges = [ops.repeat(edge, beside, axis=1) for edge in (slices[:, :1], slices[:, -1:])]
        longer = ops.concatenate([edges[0], slices, edges[1]], axis=1) if beside else slices
        return ops.stack([longer[:, start : start + count] for start in range(1 + 2 * beside)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable(package="recalib_keras")
class WeightedAverage(keras.layers.Layer):
    """Averages predictions with weights, class by class; see `average_networks`.

    Args:
        shares: The weight of each prediction; their sum need not be 1.
        classes: For each prediction the class that each class of the result is taken from, or None for its own.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, shares: Sequence[float], classes: Sequence[Sequence[int] | None], **kwargs: Any):
        super().__init__(**kwargs)
        self.shares, self.classes = list(shares), list(classes)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        total = sum(self.shares)
        parts = [
            (prediction if classes is None else ops.take(prediction, list(classes), axis=-1)) * (share / total)
            for prediction, share, classes in zip(inputs, self.shares, self.classes, strict=True)
        ]
        return sum(parts[1:], start=parts[0])

    def compute_output_shape(self, input_shape: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        (*spatial, channels), classes = input_shape[0], self.classes[0]
        return (*spatial, channels if classes is None else len(classes))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shares": self.shares, "classes": self.classes}


def _largest_divisor(number, most):
    return next(divisor for divisor in range(most, 0, -1) if number % divisor == 0)

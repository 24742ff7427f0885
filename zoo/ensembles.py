"""Several weight sets of a preset as one network, such as the 2-D networks of three views."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from recalib_keras.zoo import weights as weight_files
from recalib_keras.zoo.labels import matching_classes
from recalib_keras.zoo.network import Input, check_same_preprocessing
from recalib_keras.zoo.places.folders import is_shipped
from recalib_keras.zoo.preset import Preset, WeightSet


def leader(preset: Preset, shares: Mapping[str, float]) -> WeightSet:
    """Returns the description of several weight sets together: that of the one with the most labels.

    Its labels are the result's; its window is that of all of them.

    Args:
        preset: The preset.
        shares: The share of each weight set, by its name.

    Raises:
        ValueError: They expect scans preprocessed in different ways.
    """
    members = [preset.weight_sets[name] for name in shares]
    first = max(members, key=lambda member: len(member.labels))
    if len(members) == 1:
        return first
    for member in members:
        check_same_preprocessing(first.input, member.input)
    window = tuple(max(sizes) for sizes in zip(*(member.input.window for member in members)))
    together = dataclasses.replace(first, input=dataclasses.replace(first.input, window=window, context=0))
    return together if first.folder is None else together.placed(first.folder)


def build(
    preset: Preset, shares: Mapping[str, float], input_shape: tuple[int | None, ...] | None = None, dtype: Any = None
) -> Any:
    """Returns several weight sets as one `keras.Model`, with their weights.

    Args:
        preset: The preset.
        shares: The share of each weight set, by its name.
        input_shape: `(X, Y, Z, 1)`; None for the window of all of them.
        dtype: dtype policy; None for Keras's global one.

    Raises:
        ValueError: The weight sets cannot be averaged.
        WeightsError: A weight file is not the one that its description names.
    """
    from recalib_keras.models.ensemble import average_networks  # here, so that descriptions can be read without Keras

    described = leader(preset, shares)
    shape = described.input.shape if input_shape is None else tuple(input_shape)
    members = [_member(preset.weight_sets[name], share, described, shape, dtype) for name, share in shares.items()]
    return average_networks(members, shape, name=preset.name)


def call_of_members(preset: Preset, shares: Mapping[str, float], argument: str) -> str:
    """Returns the calls that load the members of an ensemble, with an argument that it cannot take as a whole.

    Args:
        preset: The preset.
        shares: The share of each weight set, by its name.
        argument: Such as `"num_classes=5"`.
    """
    name = preset.name if is_shipped(preset.folder) else str(preset.folder)
    return " or ".join(f'zoo.load("{name}", weights="{member}", {argument})' for member in shares)


def _member(described: WeightSet, share: float, of: WeightSet, shape, dtype):
    from recalib_keras.models.ensemble import Member

    classes = matching_classes(described.labels, of.labels, title=described.title)
    network = described.build(input_shape=_seen_shape(described.input, shape), dtype=dtype)
    weight_files.assign(network, described.read_weights())
    is_own = classes == list(range(len(described.labels)))
    return Member(network, share, described.input.slice_axis, None if is_own else classes)


def _seen_shape(expects: Input, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Returns what a network sees of a volume of a shape."""
    *spatial, _ = shape
    return (*(size for axis, size in enumerate(spatial) if axis != expects.slice_axis), expects.depth)

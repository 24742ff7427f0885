"""Regions of nnU-Net: structures of several label numbers, such as a whole tumour of all its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recalib_keras.datasets.annotation import IGNORE
from recalib_keras.datasets.folders import CORRECT
from recalib_keras.datasets.problems import Problem

ORDER = "regions_class_order"
EXPECTED = (
    f'each label a number or a list of numbers, "{ORDER}" with one number of each, without the background, '
    "and each other number of a list to be that of a label whose numbers are all in the list"
)


def read_regions(
    content: Mapping[str, Any], path: Path
) -> tuple[Mapping[str, Any] | None, dict[int, tuple[int, ...]], list[Problem]]:
    """Returns labels by one number each, the numbers that each includes besides its own, and what is wrong.

    The number of its own is what `regions_class_order` says: the one that is written where no inner structure is.

    Args:
        content: The content of nnU-Net's `dataset.json`.
        path: The file.

    Example:
        >>> content = {"labels": {"background": 0, "tumour": [1, 2], "core": 2}, "regions_class_order": [1, 2]}
        >>> read_regions(content, Path("dataset.json"))
        ({'background': 0, 'tumour': 1, 'core': 2}, {1: (2,)}, [])
    """
    labels = content.get("labels")
    if not isinstance(labels, dict) or not any(isinstance(value, list) for value in labels.values()):
        return labels, {}, []
    wholes = {name: value if isinstance(value, list) else [value] for name, value in labels.items()}
    apart = [name for name, numbers in wholes.items() if numbers == [0] or name == IGNORE]
    inside = sorted((name for name in wholes if name not in apart), key=lambda name: -len(wholes[name]))
    given = content.get(ORDER)
    order = dict(zip([name for name in wholes if name not in apart], given if isinstance(given, list) else ()))
    if not _are_nested(wholes, inside, order):
        received = json.dumps({"labels": labels, ORDER: given})[:200]
        return None, {}, [Problem(path, EXPECTED, received, CORRECT)]
    own = {name: order.get(name, wholes[name][0]) for name in [*apart, *inside]}
    outermost_first = list(own.values())
    includes = {
        own[name]: tuple(number for number in outermost_first if number in wholes[name] and number != own[name])
        for name in inside
    }
    return own, {number: inner for number, inner in includes.items() if inner}, []


def _are_nested(wholes, inside, order):
    """Returns whether each structure has a number of its own and consists, besides, of whole other structures."""
    numbers = [number for name in wholes for number in wholes[name]]
    if not all(type(number) is int and number >= 0 for number in numbers) or len(order) != len(inside):
        return False
    by_number = {order[name]: {*wholes[name]} for name in inside if type(order[name]) is int}
    if len(by_number) != len(inside) or any(order[name] not in wholes[name] for name in inside):
        return False
    return all(
        number == own or (number in by_number and by_number[number] < whole)
        for own, whole in by_number.items()
        for number in whole
    )

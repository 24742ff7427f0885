"""Which of a network's structures a user wants: by name, number or wildcard, of one side or of both."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Sequence

import numpy as np

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean, listed, plain_name
from recalib_keras.evaluation.structures import without_side
from recalib_keras.zoo import Label


def choose_structures(labels: Sequence[Label], wanted: Sequence[str | int]) -> tuple[Label, ...]:
    """Returns the structures that a user names, in the order of the labels.

    A name without a side means both. Upper and lower case are the same, and so are blanks, `-` and `_`.

    Args:
        labels: One for each class, background first.
        wanted: Names such as `"hippocampus"` or `"Left-Hippocampus"`, numbers such as 17, patterns such as
            `"*ventricle*"` or `"left *"`.

    Returns:
        Their labels; `includes` names chosen ones alone.

    Raises:
        RecordError: A name, number or pattern fits no structure, or nothing is wanted.

    Example:
        >>> labels = [Label(0, "background"), Label(17, "left hippocampus"), Label(53, "right hippocampus")]
        >>> [label.id for label in choose_structures(labels, ["Hippocampus"])]
        [17, 53]
    """
    structures, numbers = labels[1:], set()
    for one in wanted:
        found = {label.id for label in structures if _fits(label, str(one).strip())}
        if not found:
            raise _unknown(structures, one)
        numbers |= found
    if not numbers:
        raise RecordError(expected="structures to choose", received="none", remedy=f"known: {_known(structures)}")
    return tuple(
        dataclasses.replace(label, includes=tuple(n for n in label.includes or () if n in numbers) or None)
        for label in structures
        if label.id in numbers
    )


def restricted(array: np.ndarray, labels: Sequence[Label], chosen: Sequence[Label]) -> np.ndarray:
    """Returns a label map of the chosen structures alone.

    The voxels of a structure that is not chosen become those of the innermost chosen one around it, or background.

    Args:
        array: Label numbers.
        labels: All labels, background first.
        chosen: From `choose_structures`.
    """
    kept = {label.id for label in chosen}
    result = array.copy()
    for label in labels[1:]:
        if label.id not in kept:
            result[array == label.id] = number_around(label, [outer for outer in labels if outer.id in kept], labels[0])
    return result


def number_around(label: Label, structures: Sequence[Label], background: Label) -> int:
    """Returns the number of the innermost structure that includes another one, or of the background.

    Args:
        label: The one inside.
        structures: Those that may be around it, outer ones first.
        background: The background.
    """
    around = [outer.id for outer in structures if label.id in (outer.includes or ())]
    return around[-1] if around else background.id


def _fits(label, wanted):
    if wanted.isdecimal():
        return label.id == int(wanted)
    pattern = plain_name(wanted)
    return any(fnmatch.fnmatchcase(plain_name(name), pattern) for name in (label.name, without_side(label.name)))


def _unknown(structures, wanted):
    names = {plain_name(each): each for label in structures for each in (label.name, without_side(label.name))}
    closest = did_you_mean(plain_name(str(wanted)), names, otherwise=f"known: {_known(structures)}")
    return RecordError(
        part="structures",
        expected="names, numbers or patterns of structures of these weights",
        received=repr(wanted),
        remedy=closest,
    )


def _known(structures):
    return listed(dict.fromkeys(without_side(label.name) for label in structures), most=40)

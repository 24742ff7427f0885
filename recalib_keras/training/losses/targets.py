"""What each output of a network should be at a voxel, and whether that is known.

A voxel's code says what is known of its class. A code below the number of classes is that class. The codes after them
are sets of classes, one of which it is: where some structures were never looked for, a voxel without a label is
background or one of them; where nobody looked at all, it is any class.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

Tensor = Any  # of the backend in use, which Keras has no type for


class Tables(NamedTuple):
    """What codes mean, one row for each code.

    Args:
        truth: 1 where an output should be 1, `(codes, outputs)`.
        known: 1 where it is known what an output should be, `(codes, outputs)`.
        possible: 1 for the classes that a voxel may have, `(codes, classes)`.
        counted: 1 for the first class that a voxel may have, or no 1 if it may have any class, `(codes, classes)`.
    """

    truth: np.ndarray
    known: np.ndarray
    possible: np.ndarray
    counted: np.ndarray


def activation_of(outputs: Tensor, activation: str) -> str:
    """Returns the activation that outputs have been given, from that which was asked for: one alone has a sigmoid.

    Args:
        outputs: Anything with a last axis of outputs.
        activation: `"softmax"` or `"sigmoid"`.
    """
    return "sigmoid" if outputs.shape[-1] == 1 else activation


@functools.cache
def tables(num_classes: int, sets: tuple[tuple[int, ...], ...], regions: tuple[tuple[int, ...], ...] | None) -> Tables:
    """Returns what codes mean.

    Args:
        num_classes: Number of classes, the background included.
        sets: The classes of each code from `num_classes` on.
        regions: The classes whose voxels make up each output; None for one output for each class.

    Example:
        >>> tables(3, ((0, 2),), None).known.astype(int)
        array([[1, 1, 1],
               [1, 1, 1],
               [1, 1, 1],
               [0, 1, 0]])
    """
    classes = np.arange(num_classes)
    possible = np.stack([np.isin(classes, one) for one in (*classes, *sets)])
    inside = np.eye(num_classes) if regions is None else np.stack([np.isin(classes, one) for one in regions], axis=1)
    number = possible.sum(axis=1, keepdims=True)
    of_region = possible.astype(float) @ inside
    truth, known = of_region == number, (of_region == number) | (of_region == 0)
    counted = (classes == possible.argmax(axis=1)[:, None]) & (number < num_classes)
    return Tables(*(table.astype("float32") for table in (truth, known, possible, counted)))


def looked_up(table: np.ndarray, codes: Tensor) -> Tensor:
    """Returns the row of a table for each code, `(…, columns)`; for a number that is none, the nearest row.

    Args:
        table: A row for each code.
        codes: Integers `(…, 1)`.
    """
    # Backends differ in what they do about an index outside the table.
    return ops.take(ops.convert_to_tensor(table), ops.clip(codes[..., 0], 0, len(table) - 1), axis=0)


def nan_unless_codes(value: Tensor, codes: Tensor, number: int) -> Tensor:
    """Returns floating values as they are; all are NaN if any voxel has a number that is no code.

    Args:
        value: Of any shape.
        codes: Integers of any shape.
        number: The number of codes, which are 0, 1 and so on.
    """
    return ops.where(ops.all(ops.logical_and(codes >= 0, codes < number)), value, float("nan"))


def check_sets(sets: Sequence[Sequence[int]], num_classes: int) -> None:
    """Checks that sets hold classes, at least two each.

    Args:
        sets: Sets of classes.
        num_classes: Number of classes.

    Raises:
        ValueError: A set has fewer than two classes, or a class that the network does not have.
    """
    for one in sets:
        if len({*one}) < 2 or not {*one} <= {*range(num_classes)}:
            raise ValueError(
                f"expected sets of two or more of the classes 0 to {num_classes - 1}, got {tuple(one)}; a voxel whose "
                "class is known has that class as its code"
            )

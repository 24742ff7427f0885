"""Which slices of a scan show most of its structures, and which part of them is worth showing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EQUAL = 1e-9  # two sums of areas that differ by less are the same


def choose_slices(labels: np.ndarray, ids: Sequence[int], axis: int, count: int = 1) -> list[int]:
    """Returns the slices across an axis that show most of the structures.

    A slice shows of a structure the area that it cuts, as a share of the largest area that any slice cuts. These shares
    are added over the structures, so a small structure counts as much as a large one. A single slice is the one with
    the largest sum. Several lie where the sum, added up along the axis, passes equal parts of its total.

    Args:
        labels: Integer array `(X, Y, Z)` of label numbers.
        ids: Numbers of the structures. If there is none of them, slices are spread evenly over the array.
        axis: The axis that is cut.
        count: How many slices; fewer are returned if fewer cut a structure.

    Returns:
        Indices along the axis, ascending.

    Example:
        >>> labels = np.zeros((8, 4, 4), int)
        >>> labels[2:5, 1:3, 1:3], labels[4, 0, 0] = 1, 2  # slice 4 alone shows both structures
        >>> choose_slices(labels, [1, 2], axis=0)
        [4]
    """
    shares = _shares(labels, ids, axis)
    if not shares.any():
        shares = np.ones(labels.shape[axis])
    if count == 1:
        best = np.flatnonzero(shares >= shares.max() - EQUAL)
        middle = shares @ np.arange(shares.size) / shares.sum()
        return [int(best[np.abs(best - middle).argmin()])]
    passed = np.cumsum(shares) / shares.sum()
    places = np.searchsorted(passed, (np.arange(count) + 0.5) / count - EQUAL)
    return np.unique(places).tolist()


def _shares(labels, ids, axis):
    """Returns for each slice the sum, over the structures, of the area it cuts as a share of their largest."""
    order = np.unique(np.asarray(list(ids), "int64"))
    areas = np.zeros((labels.shape[axis], order.size))
    for place in range(len(areas) if order.size else 0):
        numbers, counts = np.unique(np.take(labels, place, axis), return_counts=True)
        is_known = np.isin(numbers, order)
        areas[place, np.searchsorted(order, numbers[is_known])] = counts[is_known]
    largest = areas.max(axis=0, initial=0)
    return (areas[:, largest > 0] / largest[largest > 0]).sum(axis=1)


def surroundings(is_occupied: np.ndarray, spacing: float, context: float, smallest: float) -> slice:
    """Returns the part of an axis that is occupied, with some context; the whole axis if nothing is occupied.

    Args:
        is_occupied: Boolean array, one value for each voxel along the axis.
        spacing: Size of a voxel (mm).
        context: Room to leave on either side (mm).
        smallest: Size of the part (mm), at least, as far as the scan reaches.

    Example:
        >>> surroundings(np.arange(100) == 50, spacing=1.0, context=5.0, smallest=21.0)
        slice(40, 61, None)
    """
    size, occupied = len(is_occupied), np.flatnonzero(is_occupied)
    if not occupied.size:
        return slice(0, size)
    room = math.ceil(max(context, (smallest - (np.ptp(occupied) + 1) * spacing) / 2) / spacing)
    return slice(int(max(0, occupied[0] - room)), int(min(size, occupied[-1] + 1 + room)))

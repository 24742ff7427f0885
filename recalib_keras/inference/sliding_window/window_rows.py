"""Probabilities of large windows, which are computed row by row when they are needed.

Those of 33 classes in a window of 160 × 192 × 160 voxels take 0.65 GB. An engine that holds the feature maps before its
classifier instead gives `WindowRows`; whatever changes probabilities voxel by voxel then changes each row as it comes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


class WindowRows:
    """The probabilities of one window: takes the place of an array `(X, Y, Z, classes)`, row by row.

    Args:
        count: The number of rows, X.
        row: Returns a row `(Y, Z, classes)` by its number.

    Example:
        >>> rows = WindowRows(2, lambda row: np.full((1, 1, 3), row))
        >>> rows[1, :, 0], np.asarray(rows).shape
        (array([[1, 1, 1]]), (2, 1, 1, 3))
    """

    def __init__(self, count: int, row: Callable[[int], np.ndarray]):
        self._count, self.row = count, row

    @classmethod
    def in_slabs(cls, slabs: int, rows: int, slab: Callable[[int], np.ndarray]) -> WindowRows:
        """Returns the rows of slabs, of which the latest is kept.

        Args:
            slabs: The number of slabs.
            rows: The number of rows of each slab.
            slab: Returns a slab `(rows, Y, Z, classes)` by its number.
        """
        latest = functools.lru_cache(maxsize=1)(slab)
        return cls(slabs * rows, lambda row: latest(row // rows)[row % rows])

    def flipped(self, axis: int) -> WindowRows:
        """Returns the mirror image along an axis of the window."""
        if axis == 0:
            return WindowRows(len(self), lambda row: self.row(len(self) - 1 - row))
        return WindowRows(len(self), lambda row: np.flip(self.row(row), axis - 1))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.row, range(len(self)))

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        """Returns a part of a row.

        Args:
            index: The number of the row, then what selects within it.
        """
        row, *inside = index
        return self.row(row)[tuple(inside)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns the whole array."""
        first = self.row(0)
        array = np.empty((len(self), *first.shape), dtype or first.dtype)
        for index, row in enumerate(self):
            array[index] = row
        return array


# The probabilities of a batch of windows: an array `(batch, *window, classes)`, or the rows of each window.
Prediction = np.ndarray | Sequence[WindowRows]


def predicted(engine: Callable[[np.ndarray], np.ndarray], windows: np.ndarray) -> Prediction:
    """Returns what an engine makes of windows: rows, if it can compute them one by one and their array would be large.

    Args:
        engine: An engine, or any function of windows.
        windows: `(batch, *spatial, channels)`.
    """
    return getattr(engine, "in_rows", engine)(windows)


def changed(change: Callable[..., np.ndarray], *predictions: Prediction) -> Prediction:
    """Returns predictions, changed voxel by voxel.

    Args:
        change: Function of an array for each prediction, `(…, classes)`, which depends on the last axis alone and
            leaves the arrays as they are.
        predictions: Of the same windows; all arrays, or all rows.
    """
    if isinstance(predictions[0], np.ndarray):
        return change(*predictions)
    return [_changed(change, windows) for windows in zip(*predictions, strict=True)]


def whole(prediction: Prediction) -> np.ndarray:
    """Returns the array of a prediction, `(batch, *window, classes)`."""
    return prediction if isinstance(prediction, np.ndarray) else np.stack([np.asarray(rows) for rows in prediction])


def flipped(prediction: Prediction, axis: int) -> Prediction:
    """Returns the mirror image of each window along one of its axes.

    Args:
        prediction: Of a batch of windows.
        axis: Axis of the window.
    """
    if isinstance(prediction, np.ndarray):
        return np.flip(prediction, axis + 1)
    return [rows.flipped(axis) for rows in prediction]


def _changed(change, windows):
    return WindowRows(len(windows[0]), lambda row: change(*(rows.row(row) for rows in windows)))

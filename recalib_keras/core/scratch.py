"""Arrays that are too large for memory: they lie in a file without a name, which is deleted with the array.

The system reads pages of such a file when they are touched, and counts them as memory of the process. `pieces` walks
through an array in the order of the file, and `release` gives the pages back; they are read again when they are needed.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from recalib_keras.core.errors import WriteError
from recalib_keras.core.memory import in_bytes

# Smaller arrays stay in memory, those of a scan and its labels up to a larger size.
LARGE, LARGE_SCAN = 2**26, 2**27
# A piece of an array spans about this many bytes of its file.
AT_ONCE = 2**24


def scratch_array(
    shape: Sequence[int],
    dtype: np.dtype,
    folder: str | os.PathLike | None = None,
    *,
    large: int | None = None,
    order: Literal["C", "F"] = "C",
) -> np.ndarray:
    """Returns an array of zeros; a large one lies in a file, so that the system can take it out of memory.

    Args:
        shape: Its shape.
        dtype: Its type.
        folder: Where the file lies; None for the folder of temporary files. It has no name there, and is gone when
            the array is, or when the process ends, however it does.
        large: The fewest bytes of an array that lies in a file; None for `LARGE`.
        order: Whether the last axis (`"C"`) or the first one (`"F"`) runs fastest.

    Raises:
        WriteError: The folder cannot be written, or its disk has not enough room.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < (LARGE if large is None else large):
        return np.zeros(shape, dtype, order)
    place = tempfile.gettempdir() if folder is None else os.fspath(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            if hasattr(os, "posix_fallocate"):  # a disk that is full later would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, dtype, "r+", shape=tuple(shape), order=order)
    except OSError as error:
        raise WriteError(
            file=place,
            expected=f"room for {in_bytes(size)} of maps while the scan is segmented",
            received=error.strerror or str(error),
            remedy="ask for fewer structures (--structures) or uint8, or make room",
        ) from error


def scan_array(
    shape: Sequence[int], dtype: np.dtype, folder: str | os.PathLike | None = None, order: Literal["C", "F"] = "C"
) -> np.ndarray:
    """Returns an array of zeros for a scan or its labels: as `scratch_array`, or in memory if there is no room.

    Args:
        shape: Its shape.
        dtype: Its type.
        folder: See `scratch_array`.
        order: See there.
    """
    try:
        return np.asarray(scratch_array(shape, dtype, folder, large=LARGE_SCAN, order=order))
    except WriteError:
        return np.zeros(shape, dtype, order)


def pieces(array: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """Yields the indices of an array's slabs in the order in which they lie in memory or in its file.

    Those of a file are released when the next one is asked for.

    Args:
        array: Of any shape, but with at least one axis.

    Example:
        >>> [index[0] for index in pieces(np.zeros((3, 2**24), "uint8"))]
        [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    steps = np.abs(array.strides)
    axis = int(steps.argmax())
    at_once = max(1, AT_ONCE // max(1, int(steps[axis])))
    for start in range(0, array.shape[axis], at_once):
        yield (*(slice(None),) * axis, slice(start, start + at_once))
        release(array)


def extremes(array: np.ndarray) -> tuple[Any, Any]:
    """Returns the smallest and the largest value of an array, NaN if there is one; piece by piece.

    Args:
        array: Of at least one value.

    Example:
        >>> extremes(np.array([[3, 1], [2, 5]]))
        (np.int64(1), np.int64(5))
    """
    if array.ndim == 0:
        return array[()], array[()]
    ends = [(array[piece].min(), array[piece].max()) for piece in pieces(array)]
    lowest, highest = zip(*ends)
    return np.min(lowest), np.max(highest)


def release(array: np.ndarray) -> None:
    """Gives the pages of an array in a file back to the system; does nothing with one in memory.

    Args:
        array: An array, or a view of one.
    """
    file = _file_of(array)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def lies_in_file(array: np.ndarray) -> bool:
    """Returns whether an array is one of a file, or a view of one."""
    return _file_of(array) is not None


def _file_of(array):
    """Returns the mapped file of an array, or None."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None

"""Arrays that are larger than the memory should be: they lie in a file without a name, which goes with the array."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence

import numpy as np

from recalib_keras.core.errors import WriteError
from recalib_keras.core.memory import in_bytes

# Smaller arrays stay in memory.
LARGE = 2**26


def scratch_array(shape: Sequence[int], dtype: np.dtype, folder: str | os.PathLike | None = None) -> np.ndarray:
    """Returns an array of zeros; a large one lies in a file, so that the system can take it out of memory.

    Args:
        shape: Its shape.
        dtype: Its type.
        folder: Where the file lies; None for the folder of temporary files. It has no name there, and is gone when
            the array is, or when the process ends, however it does.

    Raises:
        WriteError: The folder cannot be written, or its disk has not enough room.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LARGE:
        return np.zeros(shape, dtype)
    place = tempfile.gettempdir() if folder is None else os.fspath(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            if hasattr(os, "posix_fallocate"):  # a disk that is full later would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, dtype, "r+", shape=tuple(shape))
    except OSError as error:
        raise WriteError(
            file=place,
            expected=f"room for {in_bytes(size)} of maps while the scan is segmented",
            received=error.strerror or str(error),
            remedy="ask for fewer structures (--structures) or uint8, or make room",
        ) from error

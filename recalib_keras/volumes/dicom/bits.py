"""Which bits of a stored number are the pixel: those up to HighBit, as many as BitsStored says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from recalib_keras.volumes.dicom.tags import tag_value, unusable

if TYPE_CHECKING:
    from pydicom import Dataset


def pixels_of(dataset: Dataset, file: str | os.PathLike) -> np.ndarray:
    """Returns the stored numbers of an uncompressed DICOM file.

    BitsStored and HighBit say the same today (HighBit is BitsStored − 1), and pydicom looks at BitsStored alone. Old
    files may hold their pixels in upper bits; other files have a wrong HighBit. The pixels show which of both it is.

    Args:
        dataset: The file with its pixels. BitsStored is restored before this returns.
        file: The file, for messages.

    Raises:
        VolumeError: BitsStored and HighBit contradict each other, and the pixels fit neither or both differently.
    """
    stored = tag_value(dataset, "BitsStored", int, file, default=None)
    high = tag_value(dataset, "HighBit", int, file, default=None)
    allocated = tag_value(dataset, "BitsAllocated", int, file, default=16)
    values = dataset.pixel_array
    if stored is None or high is None or high + 1 == stored or not 0 <= high < allocated or values.dtype.kind == "f":
        return values
    unused = high + 1 - stored
    dataset.BitsStored = high + 1
    try:
        up_to_high = dataset.pixel_array
    finally:
        dataset.BitsStored = stored
    if unused > 0 and not np.any(up_to_high & (2**unused - 1)):
        return up_to_high >> unused
    if np.array_equal(up_to_high, values):
        return values
    raise unusable(
        file, "HighBit", f"{stored - 1} (BitsStored is {stored}), or pixels that show which is right", str(high)
    )

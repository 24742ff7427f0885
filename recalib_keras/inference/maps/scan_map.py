"""A map on a scan's own grid: stored as integers, read as numbers from 0 to 1, written to NIfTI volume by volume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener

from recalib_keras.core.files import atomic_write
from recalib_keras.volumes import Volume
from recalib_keras.volumes.writing import placed_image

PROBABILITIES, ENTROPY, MUTUAL_INFORMATION = "probabilities", "entropy", "mutual_information"
# NIfTI knows no float16. Integers of 16 bits take as much room, and are finer near 1.
DTYPES = ("uint8", "uint16", "float32")
MEANINGS = {
    PROBABILITIES: "probability of each structure, from 0 to 1; the volumes are in the order of LabelMap",
    ENTROPY: "entropy of the probabilities of each voxel, divided by the largest possible: 0 is certain",
    MUTUAL_INFORMATION: "mutual information between the class of a voxel and which of several predictions it is by, "
    "divided by the largest possible entropy: 0 means that all predictions agree",
}


def slope_of(dtype: np.dtype) -> float:
    """Returns the number that one step of a stored value stands for.

    Args:
        dtype: One of `DTYPES`.
    """
    return 1 / np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0


def stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns numbers from 0 to 1 as they are stored; integers are rounded to the nearest.

    Args:
        values: The numbers.
        dtype: One of `DTYPES`.
    """
    if np.dtype(dtype).kind != "u":
        return values.astype(dtype)
    return (np.clip(values, 0, 1) * np.iinfo(dtype).max + 0.5).astype(dtype)


@dataclass(frozen=True, eq=False)
class ScanMap:
    """A map on the grid of its scan.

    Args:
        name: `"probabilities"`, `"entropy"` or `"mutual_information"`.
        array: Stored values, `(X, Y, Z)`, or `(X, Y, Z, volumes)` for probabilities. A large one lies in a file.
        like: The scan or its label map, whose place it takes.
        structures: Name and number of each volume of probabilities, in their order.

    Attributes:
        slope: What one step of a stored value stands for.
    """

    name: str
    array: np.ndarray
    like: Volume
    structures: Sequence[tuple[str, int]] = ()

    @property
    def slope(self) -> float:
        """What one step of a stored value stands for."""
        return slope_of(self.array.dtype)

    def image(self) -> nib.Nifti1Image:
        """Returns the map as an image with the scan's affine and codes; its values are scaled when they are read."""
        image = placed_image(ScaledArray(self.array, self.slope), self.array.dtype, self.like)
        image.header["descrip"] = f"recalib-keras {self.name}".encode()
        return image

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the map atomically, one volume in memory at a time; `.gz` at the end compresses it.

        Args:
            path: Ends in `.nii` or `.nii.gz`.

        Raises:
            WriteError: It cannot be written.
        """
        return atomic_write(path, self._write)

    def sidecar(self) -> dict[str, Any]:
        """Returns what the JSON file beside a map says of it, with BIDS's key `LabelMap` for the order of structures.

        Returns:
            Its meaning and its type; for probabilities also the names and numbers of the volumes, in order.
        """
        about: dict[str, Any] = {"Description": MEANINGS[self.name], "StoredAs": str(self.array.dtype)}
        if self.structures:
            about["LabelMap"] = [name for name, _ in self.structures]
            about["LabelNumbers"] = [number for _, number in self.structures]
        return about

    def _write(self, path):
        header = self.image().header.copy()
        header.set_slope_inter(self.slope, 0)
        header.set_data_offset(0)
        volumes = self.array if self.array.ndim == 4 else self.array[..., None]
        with ImageOpener(path, "wb") as stream:
            header.write_to(stream)
            stream.write(b"\0" * (int(header["vox_offset"]) - stream.tell()))
            for index in range(volumes.shape[3]):
                stream.write(volumes[..., index].tobytes(order="F"))


class ScaledArray:
    """Stored values that become numbers from 0 to 1 when they are read; what nibabel calls an array proxy.

    Args:
        array: The stored values.
        slope: What one step of them stands for.
    """

    is_proxy = True

    def __init__(self, array: np.ndarray, slope: float):
        self._array, self._slope = array, np.float32(slope)
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, np.dtype("float32")

    def __getitem__(self, part: Any) -> np.ndarray:
        """Returns the numbers of a part."""
        return np.asarray(self._array[part], "float32") * self._slope

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns all numbers."""
        return self[()].astype(dtype or "float32", copy=False)

"""Label maps of whole heads, in memory as scans are generated from them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recalib_keras import volumes
from recalib_keras.core.errors import VolumeError
from recalib_keras.core.messages import listed
from recalib_keras.synthesis.label_table import LabelTable
from recalib_keras.volumes.names import LABEL_SUFFIXES

# Voxel sizes that differ by less, relatively, are the same.
SAME_SPACING = 1e-3


@dataclass(frozen=True, eq=False)
class LabelMaps:
    """Label maps in one array, each cropped to the head and padded with background at the end.

    Args:
        files: Path of each map, for messages.
        arrays: `(maps, X, Y, Z)`, index of each voxel's label in the table; the smallest unsigned integer type.
        spacing: Three voxel sizes in mm.
        brains: `(maps, 3, 2)`, the box around everything that is segmented: its first and last voxel along each axis.
        heads: `(maps, 3)`, size of each head in voxels; it begins at voxel 0.
    """

    files: tuple[Path, ...]
    arrays: np.ndarray
    spacing: tuple[float, float, float]
    brains: np.ndarray
    heads: np.ndarray

    @classmethod
    def read(cls, paths: Sequence[str | os.PathLike], table: LabelTable, orientation: str = "RAS") -> LabelMaps:
        """Returns the label maps of some files, turned to point along `orientation`.

        Args:
            paths: Files, or folders of which all label maps are read.
            table: What the numbers in the maps mean.
            orientation: Three letters, see `recalib_keras.volumes.Grid`.

        Raises:
            VolumeError: If there is no map, or if a map cannot be read, has a number that is not in the table, has no
                structure, or has another voxel size than the first.
        """
        files = find_label_maps(paths)
        heads, spacings = zip(*(_read_head(path, table, orientation) for path in files))
        for path, spacing in zip(files, spacings):
            if not np.allclose(spacing, spacings[0], rtol=SAME_SPACING):
                raise VolumeError(
                    file=path,
                    expected=f"voxels of {spacings[0]} mm, as in {files[0]}",
                    received=str(spacing),
                    remedy="resample the map",
                )
        sizes = np.array([head.shape for head in heads])
        arrays = np.full((len(heads), *sizes.max(axis=0)), table.background, heads[0].dtype)
        for array, head in zip(arrays, heads):
            array[tuple(map(slice, head.shape))] = head
        brains = [bounds(table.is_segmented[head]) for head in heads]
        return cls(tuple(files), arrays, spacings[0], np.array(brains), sizes)

    @property
    def centres(self) -> np.ndarray:
        """The middle of each brain, `(maps, 3)`, in voxels."""
        return self.brains.mean(axis=-1)

    def __len__(self):
        return len(self.arrays)


def find_label_maps(paths: Iterable[str | os.PathLike]) -> list[Path]:
    """Returns the label maps among files and in folders, those of a folder sorted by name.

    Args:
        paths: Files and folders.

    Raises:
        VolumeError: If there is no label map, or a path does not exist.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise VolumeError(
                file=path, expected="label maps", received="no such file or folder", remedy="check the path"
            )
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [file for file in inside if file.name.lower().endswith(LABEL_SUFFIXES) or not path.is_dir()]
    if not found:
        raise VolumeError(
            expected=f"label maps ({', '.join(LABEL_SUFFIXES)}) in {listed(paths)}",
            received="none",
            remedy="name the files or a folder of them",
        )
    return found


def bounds(mask: np.ndarray) -> np.ndarray:
    """Returns the first and last voxel of a mask along each axis, `(n, 2)`.

    Args:
        mask: Boolean, of n axes; at least one voxel is True.
    """
    rank = mask.ndim
    occupied = [np.flatnonzero(mask.any(axis=tuple(set(range(rank)) - {axis}))) for axis in range(rank)]
    return np.array([(places[0], places[-1]) for places in occupied])


def _read_head(path, table, orientation):
    """Returns the indices of the labels in the box around a head, and the voxel sizes."""
    volume = volumes.read_labels(path).conform(orientation, order=0)
    remedy = "give label maps of whole heads, and the table that belongs to them"
    if not volume.array.any():
        raise VolumeError(file=path, expected="a label map of a head", received="only background", remedy=remedy)
    box = tuple(slice(first, last + 1) for first, last in bounds(volume.array != 0))
    indices = _indices(volume.array[box], table, path)
    if not table.is_segmented[indices].any():
        received = "none of the structures of the table"
        raise VolumeError(file=path, expected="a label map of a head", received=received, remedy=remedy)
    return indices, volume.grid.spacing


def _indices(numbers, table, path):
    """Returns the index of each number in the table, in the smallest unsigned integer type."""
    most = table.numbers.max() + 1
    known = np.clip(numbers, -1, most).astype(np.int64) + 1  # from 0 up, unknown numbers at the ends
    places = np.full(most + 2, len(table.numbers))
    places[table.numbers + 1] = np.arange(len(table.numbers))
    indices = places.astype(np.min_scalar_type(len(table.numbers)))[known]
    if (indices == len(table.numbers)).any():
        unknown = np.unique(numbers[indices == len(table.numbers)])
        raise VolumeError(
            file=path,
            expected="only labels of the table",
            received=f"{unknown[:10].tolist()} too",
            remedy="add them to the table",
        )
    return indices

"""Label maps of whole heads, in memory as scans are generated from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recalib_keras import volumes
from recalib_keras.volumes.names import LABEL_SUFFIXES

# Voxel sizes that differ by less, relatively, are the same.
SAME_SPACING = 1e-3


@dataclass(frozen=True, eq=False)
class LabelMaps:
    """Label maps in one array, each cropped to the head and filled up with background behind it.

    Args:
        files: path of each map, for messages.
        arrays: `(maps, X, Y, Z)`, index of each voxel's label in the table; the smallest unsigned integer type.
        spacing: three voxel sizes in mm.
        brains: `(maps, 3, 2)`, the box around all that is segmented: its first and its last voxel along each axis.
        heads: `(maps, 3)`, size of each head in voxels; it begins at voxel 0.
    """

    files: tuple[Path, ...]
    arrays: np.ndarray
    spacing: tuple[float, float, float]
    brains: np.ndarray
    heads: np.ndarray

    @classmethod
    def read(cls, paths, table, orientation="RAS"):
        """Returns the label maps of some files, turned to point along `orientation`.

        Args:
            paths: files, or folders of which all label maps are read.
            table: `LabelTable`.
            orientation: three letters, see `recalib_keras.volumes.Grid`.

        Raises:
            VolumeError: if there is no map, one cannot be read, has a number that is not in the table, has nothing
                segmented, or another voxel size than the first.
        """
        files = find_label_maps(paths)
        heads, spacings = zip(*(_read_head(path, table, orientation) for path in files))
        for path, spacing in zip(files, spacings):
            if not np.allclose(spacing, spacings[0], rtol=SAME_SPACING):
                raise volumes.VolumeError(
                    f"{path}: expected voxels of {spacings[0]} mm, as in {files[0]}, got {spacing}; resample the map"
                )
        sizes = np.array([head.shape for head in heads])
        arrays = np.full((len(heads), *sizes.max(axis=0)), _background(table), heads[0].dtype)
        for array, head in zip(arrays, heads):
            array[tuple(map(slice, head.shape))] = head
        brains = [bounds(table.is_segmented[head]) for head in heads]
        return cls(tuple(files), arrays, spacings[0], np.array(brains), sizes)

    @property
    def centres(self):
        """`(maps, 3)`, the middle of each brain, in voxels."""
        return self.brains.mean(axis=-1)

    def __len__(self):
        return len(self.arrays)


def find_label_maps(paths):
    """Returns the label maps among files and folders, those of a folder sorted by name.

    Raises:
        VolumeError: if there is none, or no such path.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise volumes.VolumeError(f"{path}: expected label maps, got no such file or folder; check the path")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [file for file in inside if file.name.lower().endswith(LABEL_SUFFIXES) or not path.is_dir()]
    if not found:
        raise volumes.VolumeError(
            f"expected label maps ({', '.join(LABEL_SUFFIXES)}) in {', '.join(map(str, paths))}; there are none"
        )
    return found


def bounds(mask):
    """Returns the first and the last voxel of a mask along each axis, `(n, 2)`; all axes must have one."""
    rank = mask.ndim
    occupied = [np.flatnonzero(mask.any(axis=tuple(set(range(rank)) - {axis}))) for axis in range(rank)]
    return np.array([(places[0], places[-1]) for places in occupied])


def _read_head(path, table, orientation):
    """Returns the indices of the labels in the box around a head, and the voxel sizes."""
    volume = volumes.read_labels(path).conform(orientation, order=0)
    if not volume.array.any():
        raise volumes.VolumeError(f"{path}: expected a label map of a head, got background alone")
    box = tuple(slice(first, last + 1) for first, last in bounds(volume.array != 0))
    indices = _indices(volume.array[box], table, path)
    if not table.is_segmented[indices].any():
        raise volumes.VolumeError(f"{path}: expected a label map of a head, got none of the structures of the table")
    return indices, volume.grid.spacing


def _indices(numbers, table, path):
    """Returns the place of each number in the table, the smallest unsigned integer type."""
    most = table.numbers.max() + 1
    known = np.clip(numbers, -1, most).astype(np.int64) + 1  # from 0 on, unknown ones at the ends
    places = np.full(most + 2, len(table.numbers))
    places[table.numbers + 1] = np.arange(len(table.numbers))
    indices = places.astype(np.min_scalar_type(len(table.numbers)))[known]
    if (indices == len(table.numbers)).any():
        unknown = np.unique(numbers[indices == len(table.numbers)])
        raise volumes.VolumeError(
            f"{path}: expected only labels of the table, found {unknown[:10].tolist()} too; add them to the table"
        )
    return indices


def _background(table):
    return int(np.flatnonzero(table.numbers == 0)[0])

"""A scan as the viewer in a page shows it: cut to its content, in grey levels of 8 bits, with its labels."""

from __future__ import annotations

import base64
import functools
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import nibabel as nib
import numpy as np

from recalib_keras.core.errors import VolumeError
from recalib_keras.evaluation.figures.slices import grey_limits
from recalib_keras.evaluation.figures.structure_colors import as_shown
from recalib_keras.inference.foreground import foreground
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Label

# More voxels than a head of 1 mm needs would make a page slow to open; finer scans are shown with this many.
MOST_VOXELS = 12_000_000
MARGIN = 4  # voxels around structures
NIIVUE, NIIVUE_VERSION = "niivue.umd.js", "0.69.0"
NIIVUE_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"


@dataclass(frozen=True, eq=False)
class ViewerScan:
    """What the viewer shows of a scan, with axes to the right, to the front and upwards.

    Args:
        intensities: uint8 array `(X, Y, Z)`.
        classes: Unsigned integer array of the same shape: 0, or the place of the structure in `structures`, from 1.
        grid: The grid of both.
        structures: The structures.
    """

    intensities: np.ndarray
    classes: np.ndarray
    grid: Grid
    structures: Sequence[Label]

    @functools.cached_property
    def colors(self) -> list[tuple[int, int, int]]:
        """The colour of each structure, as in all pictures."""
        return [shown.color for shown in as_shown(self.structures)]

    @functools.cached_property
    def centre(self) -> list[int]:
        """The voxel whose three slices show most: many structures, and much of each; the middle if there are none."""
        shown = [np.sqrt(areas).sum(axis=1) for areas in self._areas]
        return [int(each.argmax()) if each.any() else each.size // 2 for each in shown]

    def centres(self) -> list[list[int] | None]:
        """Returns the voxel at the centre of each structure; None for one that was not found."""
        columns = zip(*(areas.T for areas in self._areas))
        return [[_middle(area) for area in each] if each[0].any() else None for each in columns]

    @functools.cached_property
    def _areas(self) -> list[np.ndarray]:
        """For each axis an array `(slices, structures)`: how many voxels of each structure a slice shows."""
        count = len(self.structures) + 1
        found = []
        for axis, size in enumerate(self.classes.shape):
            slices = np.moveaxis(self.classes, axis, 0).reshape(size, -1)
            found.append(np.array([np.bincount(each, minlength=count)[1:] for each in slices]))
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns what the viewer reads."""
        return {
            "shape": self.grid.shape,
            "spacing": [round(size, 5) for size in self.grid.spacing],
            "affine": self.grid.affine.round(5).tolist(),
            "colors": self.colors,
            "names": [structure.name for structure in self.structures],
            "centre": self.centre,
            "centres": self.centres(),
            "scan": _packed(self.intensities, self.grid),
            "labels": _packed(self.classes, self.grid),
        }


def viewer_scan(scan: Volume, labels: np.ndarray, structures: Sequence[Label]) -> ViewerScan:
    """Returns a scan as the viewer shows it: without the air around it, and no finer than a page can hold.

    Args:
        scan: The scan.
        labels: Integer array of label numbers, on the scan's grid.
        structures: The structures.

    Raises:
        VolumeError: `labels` and the scan differ in shape.
    """
    if labels.shape != scan.grid.shape:
        raise VolumeError(
            file=scan.source, expected=f"labels of the scan's shape {scan.grid.shape}", received=str(labels.shape)
        )
    image = scan.conform("RAS")
    classes = Volume(_places(labels, structures), scan.grid).conform("RAS", order=0)
    box = _box(image.array, classes.array)
    image, classes = (_coarse(Volume(each.array[box], each.grid.cropped(box)), order)
                      for each, order in ((image, 1), (classes, 0)))  # fmt: skip
    return ViewerScan(_grey(image.array, classes.array > 0), classes.array, image.grid, structures)


@functools.cache
def niivue() -> str:
    """Returns NiiVue, gzipped, as base64."""
    content = (files(__package__) / "niivue" / NIIVUE).read_bytes()
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def niivue_licence() -> str:
    """Returns the licences of NiiVue and of what is in it."""
    folder = files(__package__) / "niivue"
    return "\n\n".join((folder / name).read_text(encoding="utf-8") for name in ("LICENSE", "LICENSES-of-its-parts"))


def _middle(area):
    """Returns the slice at a structure's centre of mass; the nearest one that shows it."""
    occupied = np.flatnonzero(area)
    return int(occupied[np.abs(occupied - area @ np.arange(area.size) / area.sum()).argmin()])


def _places(labels, structures):
    """Returns the place of each voxel's structure, from 1, in the smallest type."""
    ids, places = np.array(sorted((structure.id, place) for place, structure in enumerate(structures, 1))).T
    found = np.zeros(labels.shape, np.uint8 if len(structures) < 256 else np.uint16)
    for plane, of in zip(found, labels):  # one at a time, because scans may be large
        where = np.searchsorted(ids, of).clip(max=len(ids) - 1)
        plane[...] = np.where(ids[where] == of, places[where], 0)
    return found


def _box(array, classes):
    """Returns the box of what is not air, and of all structures."""
    ends = []
    for axis, (low, high) in enumerate(foreground(array)):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero((classes > 0).any(axis=others))
        if len(occupied):
            low, high = min(low, occupied[0] - MARGIN), max(high, occupied[-1] + 1 + MARGIN)
        ends.append(slice(max(0, int(low)), min(array.shape[axis], int(high))))
    return tuple(ends)


def _coarse(volume, order):
    """Returns a volume of at most `MOST_VOXELS`; axes of thick slices keep theirs."""
    if math.prod(volume.grid.shape) <= MOST_VOXELS:
        return volume
    size = math.prod(volume.grid.shape) * volume.grid.voxel_volume
    edge = (size / MOST_VOXELS) ** (1 / 3)
    return volume.on(volume.grid.resampled([max(edge, each) for each in volume.grid.spacing]), order)


def _grey(array, inside):
    """Returns grey levels with the contrast of the structures and what lies between them."""
    axes = [np.flatnonzero(inside.any(axis=tuple(o for o in range(3) if o != axis))) for axis in range(3)]
    part = array[tuple(slice(each[0], each[-1] + 1) for each in axes)] if len(axes[0]) else array
    low, high = grey_limits([part])
    scaled = (array.astype(np.float32) - low) * np.float32(255 / (high - low) if high > low else 0)
    return np.clip(np.round(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)


def _packed(array, grid):
    """Returns an array as a gzipped NIfTI file in base64."""
    image = nib.Nifti1Image(array, grid.affine)
    image.header.set_xyzt_units("mm")
    return base64.b64encode(gzip.compress(image.to_bytes(), 6, mtime=0)).decode("ascii")

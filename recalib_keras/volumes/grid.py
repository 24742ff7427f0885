"""The places of a scan's voxels in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import nibabel as nib
import numpy as np
from nibabel import orientations

from recalib_keras.core.errors import VolumeError

# Two spacings closer than this (relative) are the same: headers store float32, scanners round to micrometres.
SAME_SPACING = 1e-3
# Nobody means more voxels than this: the voxel size is in the wrong unit, and they would exhaust the memory.
MOST_VOXELS = 2**32
# Label map and scan share a grid if no voxel is off by more than this part of the smallest voxel edge. Programs round
# affines, some to three digits. A shift by half a voxel is a fault.
SAME_PLACE = 0.25
# A scan whose axes are off those of the world by more (degrees) is oblique. Patients lie no straighter than this, and
# networks are trained on heads turned by more; below, straight axes are not worth the blur of another interpolation.
MOST_TILT = 5.0
# Straightened grids start at multiples of this many voxels. Networks that see voxels in pairs give other labels for a
# scan that is shifted by one voxel (mean Dice 0.93; by four voxels, 0.996).
ALIGNED = 4
REPAIR = "repair the scan's header"

_UNTURNED = np.array([[0, 1], [1, 1], [2, 1]])

Box: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Grid:
    """The places of a scan's voxels: how many along each axis, and where each lies in mm.

    Positions follow the NIfTI convention RAS+: x grows to the patient's right, y to the front (anterior), z to the
    head (superior). Voxel `(i, j, k)` has its centre at `affine @ (i, j, k, 1)`.

    Args:
        shape: Numbers of voxels along the three axes.
        affine: Matrix `(4, 4)` from voxel indices to mm. Kept as a read-only float64 copy.

    Raises:
        VolumeError: `shape` is not three positive numbers, or `affine` is not a finite, invertible `(4, 4)` matrix.

    Example:
        >>> grid = Grid((10, 20, 30), np.diag([-1.0, 1.0, 2.0, 1.0]))
        >>> grid.orientation, grid.spacing, grid.voxel_volume
        ('LAS', (1.0, 1.0, 2.0), 2.0)
        >>> grid.oriented("SAR").shape
        (30, 20, 10)
        >>> grid.resampled((1, 1, 1)).shape
        (10, 20, 60)
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self):
        affine = np.array(self.affine, dtype=np.float64)
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        _check_shape(self.shape)
        _check_affine(affine)

    def __str__(self) -> str:
        shape = " x ".join(str(size) for size in self.shape)
        return f"{shape} voxels of {in_millimetres(self.spacing)}, {self.orientation}"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each array axis, in mm."""
        x, y, z = (float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))
        return x, y, z

    @property
    def orientation(self) -> str:
        """Direction of each array axis as three letters such as `"RAS"`; the nearest ones if the axes are oblique."""
        return "".join(nib.aff2axcodes(self.affine))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def tilt(self) -> float:
        """The largest angle between an array axis and the nearest axis of the world (x, y or z), in degrees.

        Example:
            >>> turned = [[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]
            >>> round(Grid((4, 4, 4), turned).tilt, 1)
            36.9
        """
        cosines = np.abs(self.affine[:3, :3] / self.spacing).max(axis=0)
        return float(np.degrees(np.arccos(np.minimum(cosines, 1))).max())

    @property
    def is_oblique(self) -> bool:
        """Whether the axes are tilted by more than 5 degrees."""
        return self.tilt > MOST_TILT

    def conformed(self, orientation: str, spacing: float | Sequence[float] | None) -> Grid:
        """Returns the grid that a network sees a scan on.

        Args:
            orientation: Three letters, see `oriented`.
            spacing: Voxel size in mm along the axes of the new orientation, one number or three. None keeps the voxels,
                and with them the tilt of an oblique scan. Otherwise an oblique scan gets the grid `upright`, all others
                keep their axes, see `resampled`.

        Raises:
            VolumeError: See `oriented` and `resampled`.
        """
        if spacing is None:
            return self.oriented(orientation)
        return self.upright(orientation, spacing) if self.is_oblique else self.oriented(orientation).resampled(spacing)

    def upright(self, orientation: str, spacing: float | Sequence[float]) -> Grid:
        """Returns the smallest grid along the axes of the world that holds the whole field of view.

        It starts at a multiple of four voxels from the world's origin, so that its voxels do not depend on the tilt.

        Args:
            orientation: Three letters, see `oriented`.
            spacing: Voxel size in mm along the axes of the new orientation, one number or three.

        Raises:
            VolumeError: See `oriented` and `resampled`.

        Example:
            >>> turned = [[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]
            >>> str(Grid((10, 10, 4), turned).upright("SAR", 1))
            '15 x 18 x 17 voxels of 1 x 1 x 1 mm, SAR'
        """
        axes, signs = _orientation_axes(orientation).T
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, axes.astype(int)] * signs * _check_spacing(spacing)
        step = np.linalg.solve(affine[:3, :3], self.affine[:3])
        centre, reach = step @ [*((np.array(self.shape) - 1) / 2), 1], np.abs(step[:, :3]) @ self.shape / 2
        first = ALIGNED * np.floor((centre - reach + 0.5) / ALIGNED)
        last = np.ceil(centre + reach - 0.5)
        self._check_number(last - first + 1, spacing)
        affine[:3, 3] = affine[:3, :3] @ first
        return Grid(last - first + 1, affine)

    def oriented(self, orientation: str) -> Grid:
        """Returns the same voxels with their axes permuted and flipped to point along `orientation`.

        Args:
            orientation: Three letters, one each of L/R, P/A and I/S, such as `"RAS"` or `"LIA"`.

        Raises:
            VolumeError: `orientation` is not such a code.
        """
        wanted = _orientation_axes(orientation)
        return self._turned(orientations.ornt_transform(orientations.io_orientation(self.affine), wanted))

    def resampled(self, spacing: float | Sequence[float]) -> Grid:
        """Returns the grid of voxels of size `spacing` that covers the same field of view.

        The new voxels have exactly this size. Both fields of view share their centre, and their edges agree to half a
        new voxel, since only whole voxels fit: `new_size = max(1, round(size * old_spacing / new_spacing))`.
        An axis whose spacing is the wanted one to within 0.1 % stays as it is.

        Args:
            spacing: Distance between neighbouring voxels in mm, one number or one for each array axis.

        Raises:
            VolumeError: `spacing` is not one or three positive numbers, or would make more than 2³² voxels.
        """
        ratio = _check_spacing(spacing) / self.spacing
        ratio[np.abs(ratio - 1) <= SAME_SPACING] = 1.0
        size = np.maximum(1, np.floor(self.shape / ratio + 0.5))
        self._check_number(size, spacing)
        affine = self.affine.copy()
        affine[:3, :3] *= ratio
        # Voxel 0 lies half a new voxel inside the edge of a field of view centred on the old one's centre.
        affine[:3, 3] += self.affine[:3, :3] @ ((np.array(self.shape) - 1 - (size - 1) * ratio) / 2)
        return Grid(size, affine)

    def cropped(self, box: Box) -> Grid:
        """Returns the part of the grid inside a box.

        Args:
            box: One slice of voxels for each axis, with start and stop.

        Example:
            >>> Grid((4, 4, 4), np.eye(4)).cropped((slice(1, 4), slice(0, 9), slice(2, 3))).shape
            (3, 4, 1)
        """
        start = [part.start for part in box]
        shape = tuple(min(part.stop, size) - part.start for part, size in zip(box, self.shape, strict=True))
        affine = self.affine.copy()
        affine[:3, 3] = (self.affine @ [*start, 1])[:3]
        return Grid(shape, affine)

    def matches(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Returns whether both grids have the same shape and every voxel the same place.

        Args:
            other: Another grid.
            tolerance: How far apart (mm, along any axis) the two places of a voxel may lie.
        """
        return self.shape == other.shape and bool(self.displacements(other).max() <= tolerance)

    def coincides(self, other: Grid) -> bool:
        """Returns whether both grids have the same shape and the same places to within a quarter of a voxel.

        So much may come from rounding: a label map on this grid fits a scan on the other.

        Args:
            other: The grid of the scan.

        Example:
            >>> nudged = np.eye(4)
            >>> nudged[0, 3] = 0.11
            >>> Grid((4, 4, 4), nudged).coincides(Grid((4, 4, 4), np.eye(4)))
            True
        """
        return self.shape == other.shape and self.displacement(other) <= SAME_PLACE * min(other.spacing)

    def displacement(self, other: Grid) -> float:
        """Returns how far apart (mm) the two places of a voxel lie at most.

        Args:
            other: A grid of the same shape.
        """
        return float(np.linalg.norm(self._displacements(other), axis=0).max())

    def displacements(self, other: Grid) -> np.ndarray:
        """Returns how far apart (mm) the two places of a voxel lie at most along x, y and z.

        Args:
            other: A grid of the same shape.
        """
        return np.abs(self._displacements(other)).max(axis=1)

    def turned_like(self, other: Grid) -> Grid:
        """Returns the same voxels with their axes permuted and flipped to run along those of another grid.

        Args:
            other: Any grid; its shape does not matter.

        Example:
            >>> Grid((2, 3, 4), np.eye(4)).turned_like(Grid((9, 9, 9), np.diag([-1.0, 1, 1, 1]))).orientation
            'LAS'
        """
        step = np.linalg.solve(self.affine[:3, :3] / self.spacing, other.affine[:3, :3] / other.spacing)
        # io_orientation finds the nearest signed permutation of a matrix, in oblique grids too.
        to_self = orientations.io_orientation(np.block([[step, np.zeros((3, 1))], [np.eye(1, 4, 3)]]))
        return self._turned(orientations.ornt_transform(_UNTURNED, to_self))

    def difference(self, other: Grid) -> str:
        """Returns in words how this grid differs from another, for messages.

        Args:
            other: Another grid.

        Example:
            >>> Grid((2, 3, 4), np.eye(4)).difference(Grid((2, 3, 4), np.diag([1.0, 1, 1.5, 1])))
            'voxels up to 1.5 mm elsewhere'
        """
        turned = self.turned_like(other)
        if turned.shape != other.shape:
            return f"one of {self}"
        return f"voxels up to {turned.displacement(other):.3g} mm elsewhere"

    def _check_number(self, size, spacing):
        if size.prod() > MOST_VOXELS:
            raise VolumeError(
                expected=f"at most {MOST_VOXELS:,} voxels",
                received=f"a resampling from {self.spacing} mm to {spacing} mm that makes {size.prod():,.0f}",
                remedy="check the scan's voxel size and its unit, or ask for a larger spacing",
            )

    def _displacements(self, other):
        # An affine map that is right at all corners is right at every voxel between them.
        return ((self.affine - other.affine) @ corner_indices(self.shape))[:3]

    def _turned(self, transform):
        shape = [0, 0, 0]
        for axis, new_axis in enumerate(transform[:, 0].astype(int)):
            shape[new_axis] = self.shape[axis]
        return Grid(shape, self.affine @ orientations.inv_ornt_aff(transform, self.shape))


def corner_indices(shape: Sequence[int]) -> np.ndarray:
    """Returns the voxel indices of a box's eight corners as columns `(i, j, k, 1)` of a `(4, 8)` array.

    Args:
        shape: Numbers of voxels along the three axes.
    """
    ends = [(0, size - 1) for size in shape]
    corners = np.array(np.meshgrid(*ends, indexing="ij"), dtype=np.float64).reshape(3, -1)
    return np.vstack([corners, np.ones(corners.shape[1])])


def in_millimetres(spacing: Sequence[float] | np.ndarray) -> str:
    """Returns a voxel size in words.

    Args:
        spacing: Three numbers of mm.

    Example:
        >>> in_millimetres((0.5, 0.5, 3))
        '0.5 x 0.5 x 3 mm'
    """
    return " x ".join(f"{size:.4g}" if size < 1e4 else f"{size:,.0f}" for size in spacing) + " mm"


def _check_shape(shape):
    if len(shape) != 3 or min(shape) < 1:
        raise VolumeError(expected="a shape of three positive numbers", received=str(shape), remedy=REPAIR)


def _check_affine(affine):
    if affine.shape != (4, 4):
        raise VolumeError(expected="an affine of shape (4, 4)", received=str(affine.shape))
    if not np.isfinite(affine).all():
        raise VolumeError(expected="a finite affine", received="NaN or infinity in it", remedy=REPAIR)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    # The determinant of the unit axes is 1 for right angles and falls to 0 as two axes become one.
    if spacing.min() == 0 or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-4:
        raise VolumeError(
            expected="an affine that can be inverted",
            received="a singular one (an axis has no length, or two axes are parallel)",
            remedy=REPAIR,
        )
    if not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise VolumeError(
            expected="an affine whose last row is (0, 0, 0, 1)",
            received=str(tuple(affine[3].tolist())),
            remedy=REPAIR,
        )


def _check_spacing(spacing):
    values = np.array(spacing, dtype=np.float64)
    if values.shape not in ((), (3,)) or not np.isfinite(values).all() or values.min() <= 0:
        raise VolumeError(expected="a spacing of one or three positive numbers (mm)", received=str(spacing))
    return np.broadcast_to(values, (3,)).copy()


def _orientation_axes(orientation):
    pairs = ("LR", "PA", "IS")
    code = str(orientation).upper()
    found = ["".join(pair for pair in pairs if letter in pair) for letter in code]
    if sorted(found) != sorted(pairs):
        raise VolumeError(
            expected="an orientation of one letter each of L/R, P/A and I/S, such as RAS", received=repr(orientation)
        )
    return orientations.axcodes2ornt(code)

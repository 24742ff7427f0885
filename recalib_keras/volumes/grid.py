"""Where the voxels of a scan stand in space."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel import orientations

from recalib_keras.core.errors import VolumeError

# Two spacings closer than this (relative) are the same: headers store float32, scanners round to micrometres.
SAME_SPACING = 1e-3
# More voxels than this is never meant; it comes of a voxel size in the wrong unit, and would exhaust the memory.
MOST_VOXELS = 2**32


@dataclass(frozen=True, eq=False)
class Grid:
    """The positions of a scan's voxels: how many along each axis, and where each lies in millimetres.

    Positions follow the NIfTI convention RAS+: x grows to the patient's right, y to the front (anterior), z to the
    head (superior). Voxel `(i, j, k)` has its centre at `affine @ (i, j, k, 1)`.

    Args:
        shape: Three numbers of voxels.
        affine: Matrix `(4, 4)` from voxel indices to millimetres. Kept as a read-only float64 copy.

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

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance (mm) between neighbouring voxels along each array axis."""
        return tuple(float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def orientation(self) -> str:
        """Direction in which each array axis grows, as three letters such as `"RAS"` (the nearest ones if oblique)."""
        return "".join(nib.aff2axcodes(self.affine))

    @property
    def voxel_volume(self) -> float:
        """Volume (mm³) of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def oriented(self, orientation: str) -> "Grid":
        """Return the same voxels with their axes permuted and flipped to point along `orientation`.

        Args:
            orientation: Three letters, one each of L/R, P/A and I/S, for instance `"RAS"` or `"LIA"`.

        Raises:
            VolumeError: `orientation` is not such a code.
        """
        wanted = _orientation_axes(orientation)
        transform = orientations.ornt_transform(orientations.io_orientation(self.affine), wanted)
        shape = [0, 0, 0]
        for axis, new_axis in enumerate(transform[:, 0].astype(int)):
            shape[new_axis] = self.shape[axis]
        return Grid(shape, self.affine @ orientations.inv_ornt_aff(transform, self.shape))

    def resampled(self, spacing: float | Sequence[float]) -> "Grid":
        """Return the grid of voxels of size `spacing` that covers the same field of view.

        The new voxels have exactly the asked size. Both fields of view share their centre, and their edges agree to
        half a new voxel, since only whole voxels fit: `new_size = max(1, round(size * old_spacing / new_spacing))`.
        An axis that has the asked spacing to within 0.1 % is left untouched.

        Args:
            spacing: Millimetres between neighbouring voxels, one number or one per array axis.

        Raises:
            VolumeError: `spacing` is not one or three positive numbers, or would make more than 2³² voxels.
        """
        ratio = _check_spacing(spacing) / self.spacing
        ratio[np.abs(ratio - 1) <= SAME_SPACING] = 1.0
        size = np.maximum(1, np.floor(self.shape / ratio + 0.5))
        if size.prod() > MOST_VOXELS:
            raise VolumeError(
                f"expected at most {MOST_VOXELS:,} voxels, got a resampling from {self.spacing} mm to {spacing} mm "
                f"that makes {size.prod():,.0f}; check the scan's voxel size and its unit, or ask for a larger spacing"
            )
        affine = self.affine.copy()
        affine[:3, :3] *= ratio
        # Voxel 0 lies half a new voxel inside the edge of a field of view centred on the old one's centre.
        affine[:3, 3] += self.affine[:3, :3] @ ((np.array(self.shape) - 1 - (size - 1) * ratio) / 2)
        return Grid(size, affine)

    def matches(self, other: "Grid", tolerance: float = 1e-3) -> bool:
        """Tell whether both grids have the same shape and no voxel differs in place by more than `tolerance` mm."""
        if self.shape != other.shape:
            return False
        corners = corner_indices(self.shape)
        return bool(np.abs((self.affine - other.affine) @ corners).max() <= tolerance)


def corner_indices(shape: Sequence[int]) -> np.ndarray:
    """Return the voxel indices of a box's eight corners as columns `(i, j, k, 1)` of a `(4, 8)` array.

    An affine map that is right at all corners is right at every voxel between them.
    """
    ends = [(0, size - 1) for size in shape]
    corners = np.array(np.meshgrid(*ends, indexing="ij"), dtype=np.float64).reshape(3, -1)
    return np.vstack([corners, np.ones(corners.shape[1])])


def _check_shape(shape):
    if len(shape) != 3 or min(shape) < 1:
        raise VolumeError(f"expected a shape of three positive numbers, got {shape}")


def _check_affine(affine):
    if affine.shape != (4, 4):
        raise VolumeError(f"expected an affine of shape (4, 4), got {affine.shape}")
    if not np.isfinite(affine).all():
        raise VolumeError("expected a finite affine, got NaN or infinity in it; repair the scan's header")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    # The determinant of the unit axes is 1 for right angles and falls to 0 as two axes become one.
    if spacing.min() == 0 or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-4:
        raise VolumeError(
            "expected an affine that can be inverted, got a singular one (an axis has no length or two axes are "
            "parallel); repair the scan's header"
        )
    if not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise VolumeError(f"expected an affine whose last row is (0, 0, 0, 1), got {tuple(affine[3].tolist())}")


def _check_spacing(spacing):
    values = np.array(spacing, dtype=np.float64)
    if values.shape not in ((), (3,)) or not np.isfinite(values).all() or values.min() <= 0:
        raise VolumeError(f"expected a spacing of one or three positive numbers (mm), got {spacing}")
    return np.broadcast_to(values, (3,)).copy()


def _orientation_axes(orientation):
    pairs = ("LR", "PA", "IS")
    code = str(orientation).upper()
    found = ["".join(pair for pair in pairs if letter in pair) for letter in code]
    if sorted(found) != sorted(pairs):
        raise VolumeError(f"expected an orientation of one letter each of L/R, P/A and I/S, got {orientation!r}")
    return orientations.axcodes2ornt(code)

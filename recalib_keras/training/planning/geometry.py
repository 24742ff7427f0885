"""The grid that a network sees, its window, and how it pools: from the scans and a budget of voxels.

The rules are those of nnU-Net (Isensee et al., Nature Methods 2021), in words:

- Scans are resampled to their median spacing. If one axis is more than 3 times as coarse as the finest, it gets a finer
  one, the 10th percentile, so that few scans lose slices.
- A window is as large as the budget allows, about as long in mm along each axis, and no longer than the median scan.
- An axis is pooled while 4 voxels are left, and while its voxels are less than twice as long as the shortest.
- A kernel has size 1 along an axis whose voxels are at least twice as long as the shortest, else 3.
- Scans of a few slices are seen slice by slice, by a 2-D network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ANISOTROPIC = 3.0  # ratio of spacings from which an axis counts as coarse
COARSE_PERCENTILE = 10
SMALLEST_MAP = 4  # voxels along an axis after the last pooling
MOST_LEVELS = 5
LEAST_COVERAGE = 1 / 8  # of the median scan by a window; otherwise the grid becomes coarser
MOST_COARSENING = 2.0

Pools = tuple[tuple[int, ...], ...]


class Geometry(NamedTuple):
    """What a network sees at once.

    Args:
        spacing: Three voxel sizes in mm.
        coarsening: By how much the spacing is coarser than that of the scans.
        shape: Voxels of the median scan in this spacing.
        window: Three sizes in voxels; 1 along the axis that a 2-D network slices along.
        pools: For each level the factor of its pooling along each axis that the network sees, 1 or 2.
    """

    spacing: tuple[float, float, float]
    coarsening: float
    shape: tuple[int, int, int]
    window: tuple[int, int, int]
    pools: Pools

    @property
    def coverage(self) -> float:
        """Share of the median scan that a window covers; for a 2-D network, of a slice of it."""
        return math.prod(min(one / whole, 1) for one, whole in zip(self.window, self.shape) if one > 1)

    @property
    def is_planar(self) -> bool:
        """Whether the network is 2-D."""
        return 1 in self.window


def geometry(shapes: np.ndarray, spacings: np.ndarray, budget: int) -> Geometry:
    """Returns the geometry for scans.

    Args:
        shapes: Voxels of each scan, `(scans, 3)`.
        spacings: Their voxel sizes in mm, `(scans, 3)`.
        budget: Most voxels of a window.

    Example:
        >>> shapes, spacings = np.array([[36, 50, 35]] * 3), np.ones((3, 3))
        >>> geometry(shapes, spacings, 2**19).window
        (40, 56, 40)
    """
    native, coarsening = target_spacing(spacings), 1.0
    while True:
        spacing = native * coarsening
        shape = np.maximum(np.median(shapes * spacings / spacing, axis=0).round(), 1).astype(int)
        window, pools = _planned(shape, spacing, budget)
        found = Geometry(_rounded(spacing), coarsening, tuple(shape.tolist()), window, pools)
        if found.coverage >= LEAST_COVERAGE or coarsening >= MOST_COARSENING:
            return found
        coarsening = min(coarsening * 1.1, MOST_COARSENING)


def target_spacing(spacings: np.ndarray) -> np.ndarray:
    """Returns the voxel sizes in mm that scans are resampled to.

    Args:
        spacings: Those of each scan, `(scans, 3)`.

    Example:
        >>> target_spacing(np.array([[0.5, 0.5, 3.0], [0.5, 0.5, 5.0], [0.5, 0.5, 5.0]])).tolist()
        [0.5, 0.5, 3.4]
    """
    median = np.median(spacings, axis=0)
    coarsest = int(median.argmax())
    if median[coarsest] > ANISOTROPIC * median.min():
        median[coarsest] = np.percentile(spacings[:, coarsest], COARSE_PERCENTILE)
    return median


def pooling(window: Sequence[int], spacing: Sequence[float]) -> Pools:
    """Returns the factors of the pooling of each level along each axis, 1 or 2.

    Args:
        window: Sizes in voxels; they need not be rounded to what the pooling divides.
        spacing: Voxel sizes in mm.

    Example:
        >>> pooling((64, 64, 16), (1.0, 1.0, 4.0))
        ((2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2))
    """
    sizes, lengths = np.array(window, float), np.array(spacing, float)
    pools: list[tuple[int, ...]] = []
    while len(pools) < MOST_LEVELS:
        is_large = sizes / 2 >= SMALLEST_MAP
        if not is_large.any():
            break
        is_pooled = is_large & (lengths < 2 * lengths[is_large].min())
        factors = np.where(is_pooled, 2, 1)
        sizes, lengths = sizes / factors, lengths * factors
        pools.append(tuple(factors.tolist()))
    return tuple(pools)


def kernel_sizes(pools: Pools, spacing: Sequence[float]) -> Pools:
    """Returns the kernel size along each axis, 1 or 3, of each level and of the bottleneck.

    Args:
        pools: As from `pooling`.
        spacing: Voxel sizes in mm.

    Example:
        >>> kernel_sizes(((2, 2, 1), (2, 2, 1), (2, 2, 2)), (1.0, 1.0, 4.0))
        ((3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3))
    """
    lengths, sizes = np.array(spacing, float), []
    for factors in (*pools, (1,) * len(spacing)):
        sizes.append(tuple(np.where(lengths < 2 * lengths.min(), 3, 1).tolist()))
        lengths = lengths * factors
    return tuple(sizes)


def _planned(shape, spacing, budget):
    """Returns window and pooling, in 2-D if one axis alone has too few voxels to be pooled."""
    is_thin = shape < 2 * SMALLEST_MAP
    if is_thin.sum() != 1:
        return _window(shape, spacing, budget)
    window, pools = _window(shape[~is_thin], spacing[~is_thin], budget)
    return tuple(np.insert(window, int(is_thin.argmax()), 1).tolist()), pools


def _window(shape, spacing, budget):
    """Returns the window and its pooling."""
    sizes = _as_long_in_mm(shape, spacing, budget)
    pools = pooling(sizes, spacing) or ((2,) * len(sizes),)
    steps = np.prod(np.array(pools), axis=0)
    window = np.maximum(np.ceil(sizes / steps - 1e-6), 1).astype(int) * steps
    while window.prod() > budget and (window > steps).any():
        # Shortened where it is the longest in mm.
        longest = int(np.where(window > steps, window * spacing, -1).argmax())
        window[longest] -= steps[longest]
    return tuple(window.tolist()), pools


def _as_long_in_mm(shape, spacing, budget):
    """Returns the largest window within the budget that is equally long along each axis, or as long as the scan."""
    shortest, longest = 0.0, float((shape * spacing).max())
    for _ in range(50):
        middle = (shortest + longest) / 2
        fits = np.minimum(middle / spacing, shape).prod() <= budget
        shortest, longest = (middle, longest) if fits else (shortest, middle)
    return np.minimum(shortest / spacing, shape) if shape.prod() > budget else shape.astype(float)


def _rounded(spacing):
    return tuple(float(f"{size:.3g}") for size in spacing)

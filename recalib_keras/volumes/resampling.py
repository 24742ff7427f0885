"""Resampling: an array of voxels moves from one grid to another. Large grids are done part by part."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from recalib_keras.core.errors import VolumeError
from recalib_keras.core.memory import memory_for
from recalib_keras.volumes.grid import Box, Grid, corner_indices, in_millimetres

# Voxel centres closer than this (in voxels) coincide: far below what interpolation could show.
COINCIDENT = 1e-3
NEAREST, LINEAR = 0, 1
# Larger grids are done in parts of about this many voxels, so that the copies in between stay small.
LARGE = 2**24
# SciPy cuts a Gaussian off after this many sigma.
TRUNCATED = 4


def resample(array: np.ndarray, source: Grid, target: Grid, order: int = 1) -> np.ndarray:
    """Returns the values that an array on the grid `source` has at the voxels of the grid `target`.

    Voxels outside the source's field of view get the value of its edge.

    If the voxel centres of both grids coincide up to permuted and flipped axes, the values are moved, not interpolated:
    the result is exact and keeps the dtype with either order.

    Linear interpolation first smooths each axis that becomes coarser by a factor `r > 1`, against aliasing, with a
    Gaussian of `sigma = sqrt(r² - 1) / (2 sqrt(2 ln 2))` source voxels. It widens a point-spread function from one
    source voxel (full width at half maximum) to one target voxel.

    Args:
        array: Values of shape `source.shape`.
        source: The grid of `array`.
        target: The grid wanted.
        order: 1 for linear interpolation (intensities, probabilities), 0 for the nearest voxel (labels).

    Returns:
        Contiguous array of shape `target.shape`. Order 0 keeps the dtype and makes no new values; order 1 gives
        float32.

    Raises:
        VolumeError: The shapes of `array` and `source` differ, `order` is neither 0 nor 1, or the memory is too small.

    Example:
        >>> fine = Grid((4, 1, 1), np.eye(4))
        >>> ramp = np.arange(4.0).reshape(4, 1, 1)
        >>> resample(ramp, fine, fine.oriented("LAS")).ravel()
        array([3., 2., 1., 0.])
        >>> resample(ramp, fine, fine.resampled((2, 1, 1)), order=0).ravel()
        array([0., 2.])

    Reference:
        Cardoso et al., "Scale factor point spread function matching: beyond aliasing in image resampling", MICCAI 2015
        (the sigma).
    """
    array = np.asarray(array)
    _check(array, source, order)
    with _memory_for(array, source, target, order):
        return _in_parts(array, source, target, order)


def _memory_for(array, source, target, order):
    itemsize = array.itemsize if order == NEAREST else np.dtype(np.float32).itemsize
    return memory_for(
        math.prod(target.shape) * itemsize,
        f"{target}, resampled from voxels of {in_millimetres(source.spacing)}",
        "check the scan's voxel size and its unit, ask for a larger spacing, or use a machine with more memory",
        kind=VolumeError,
    )


def _in_parts(array, source, target, order):
    if not _is_large(source, target) or _is_turned(source, target):
        return _resample(array, source, target, order)
    values = np.empty(target.shape, array.dtype if order == NEAREST else np.float32)
    for part, box in parts(source, target, _smoothing_reach(source, target)):
        values[part] = _resample(array[box], source.cropped(box), target.cropped(part), order)
    return values


def parts(source: Grid, target: Grid, reach: float) -> Iterator[tuple[Box, Box]]:
    """Yields the parts of `target`, each with the box of `source` that it is computed from.

    Parts are slabs along the first axis; blocks if the grids are rotated against each other, because the box around a
    slab would then be most of the source.

    Args:
        source: The grid that values are taken from.
        target: The grid wanted.
        reach: How far (in source voxels) a value depends on its neighbours.
    """
    count = max(1, -(-max(math.prod(source.shape), math.prod(target.shape)) // LARGE))
    is_parallel = _axis_order(np.linalg.solve(source.affine, target.affine), target.shape) is not None
    counts = (count, 1, 1) if is_parallel else (math.ceil(count ** (1 / 3)),) * 3
    for part in itertools.product(*(_cuts(size, along) for size, along in zip(target.shape, counts, strict=True))):
        yield part, _needed(source, target.cropped(part), math.ceil(reach) + 1)


def _cuts(size, count):
    side = -(-size // count)
    return [slice(start, min(start + side, size)) for start in range(0, size, side)]


def _is_large(*grids):
    return max(math.prod(grid.shape) for grid in grids) > LARGE


def _needed(source, target, margin):
    """Returns the box of `source` that holds a target and `margin` voxels around it."""
    corners = (np.linalg.solve(source.affine, target.affine) @ corner_indices(target.shape))[:3]
    last = np.array(source.shape) - 1  # what lies outside is taken from the edge
    lows = np.clip(np.floor(corners.min(axis=1)), 0, last).astype(int) - margin
    highs = np.clip(np.ceil(corners.max(axis=1)), 0, last).astype(int) + margin + 1
    return tuple(
        slice(max(0, int(low)), min(int(high), size)) for low, high, size in zip(lows, highs, source.shape, strict=True)
    )


def _smoothing_sigma(step):
    """Returns the sigma (source voxels) of the smoothing that precedes steps of `step` source voxels."""
    return math.sqrt(max(0.0, step**2 - 1)) / (2 * math.sqrt(2 * math.log(2)))


def _smoothing_reach(source, target):
    """Returns how far (in source voxels) the smoothing reaches between two grids."""
    step = np.abs(np.linalg.solve(source.affine, target.affine)[:3, :3]).sum(axis=1).max()
    return TRUNCATED * _smoothing_sigma(float(step))


def _is_turned(source, target):
    return source.oriented(target.orientation).matches(target, COINCIDENT * min(source.spacing))


def _resample(array, source, target, order):
    to_source = np.linalg.solve(source.affine, target.affine)
    axes = _axis_order(to_source, target.shape)
    if axes is None:
        return _interpolate_oblique(array, to_source, target.shape, order)
    return _interpolate_axes(array, to_source, target.shape, order, axes)


def _check(array, source, order):
    if array.shape != source.shape:
        raise VolumeError(expected=f"an array of the grid's shape {source.shape}", received=str(array.shape))
    if order not in (NEAREST, LINEAR):
        raise VolumeError(expected="order 0 (nearest) or 1 (linear)", received=repr(order))


def _axis_order(to_source, target_shape):
    """Returns for each target axis the source axis it runs along, or None if an axis runs along several."""
    step = to_source[:3, :3]
    axes = np.abs(step).argmax(axis=0)
    if sorted(axes) != [0, 1, 2]:
        return None
    across = np.abs(step)
    across[axes, range(3)] = 0
    drift = across @ (np.array(target_shape) - 1)
    return axes if drift.max() < COINCIDENT else None


def _interpolate_axes(array, to_source, target_shape, order, axes):
    """Interpolates one axis after the other. A transform without rotation allows it, and it is several times faster."""
    values = array.transpose(axes)
    positions = [
        to_source[source_axis, axis] * np.arange(target_shape[axis]) + to_source[source_axis, 3]
        for axis, source_axis in enumerate(axes)
    ]
    if _coincide(positions, values.shape):
        # Slices, not index arrays: a flip is then one strided copy.
        flips = tuple(slice(None, None, 1 if where[-1] >= where[0] else -1) for where in positions)
        return np.array(values[flips], order="C")
    if order == NEAREST:
        nearest = [_nearest_index(where, size) for where, size in zip(positions, values.shape, strict=True)]
        return np.ascontiguousarray(values[np.ix_(*nearest)])
    steps = np.linalg.norm(to_source[:3, :3], axis=0)
    values = values.astype(np.float32)
    # The axis that shrinks most goes first, so that the others have less to do.
    for axis in np.argsort(np.array(target_shape) / values.shape):
        values = _smooth(values, steps[axis], axis)
        values = _interpolate_axis(values, positions[axis], axis)
    return np.ascontiguousarray(values)


def _coincide(positions, shape):
    for where, size in zip(positions, shape, strict=True):
        index = np.arange(size) if where[-1] >= where[0] else np.arange(size)[::-1]
        if where.size != size or np.abs(where - index).max() > COINCIDENT:
            return False
    return True


def _nearest_index(where, size):
    # Rounding moves a position half-way between two voxels either way; the small shift makes it always go down.
    return np.clip(np.ceil(where - 0.5 - 1e-6), 0, size - 1).astype(np.intp)


def _smooth(values, step, axis):
    if step <= 1 + COINCIDENT or values.shape[axis] == 1:
        return values
    return ndimage.gaussian_filter1d(values, _smoothing_sigma(step), axis=axis, mode="nearest")


def _interpolate_axis(values, where, axis):
    size = values.shape[axis]
    if where.size == size and np.abs(where - np.arange(size)).max() <= COINCIDENT:
        return values
    where = np.clip(where, 0, size - 1)
    lower = np.minimum(where.astype(np.intp), max(size - 2, 0))
    weight = (where - lower).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    result = values.take(lower, axis)
    above = values.take(np.minimum(lower + 1, size - 1), axis)
    above -= result
    above *= weight
    result += above
    return result


def _interpolate_oblique(array, to_source, target_shape, order):
    """Interpolates between grids that are rotated against each other."""
    if order == LINEAR:
        array = array.astype(np.float32)
        # The length of a target step along each source axis: 1 for a rotation, the ratio for a scaling.
        for axis, step in enumerate(np.linalg.norm(to_source[:3, :3], axis=1)):
            array = _smooth(array, step, axis)
    return ndimage.affine_transform(
        array, to_source[:3, :3], to_source[:3, 3], target_shape, output=array.dtype, order=order, mode="nearest"
    )

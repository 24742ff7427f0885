"""Move an array of voxels from one grid to another."""

import numpy as np
from scipy import ndimage

from recalib_keras.core.errors import VolumeError
from recalib_keras.volumes.grid import Grid
from recalib_keras.volumes.slabs import cropped, is_large, slabs, smoothing_reach, smoothing_sigma

# Voxel centres closer than this (in voxels) coincide: far below what interpolation could show.
COINCIDENT = 1e-3
NEAREST, LINEAR = 0, 1


def resample(array: np.ndarray, source: Grid, target: Grid, order: int = 1) -> np.ndarray:
    """Return the values that `array`, standing on the grid `source`, has at the voxels of the grid `target`.

    Beyond the source's field of view its edge is continued.

    Where the two grids' voxel centres coincide up to permuted and flipped axes, the values are moved, not
    interpolated: the result is exact and keeps the dtype, whatever the order.

    With linear interpolation an axis that becomes coarser by a factor `r > 1` is smoothed first, against aliasing, by
    a Gaussian of `sigma = sqrt(r² - 1) / (2 sqrt(2 ln 2))` source voxels: what takes a point-spread function one
    source voxel wide (full width at half maximum) to one target voxel wide.

    Args:
        array: Values of shape `source.shape`.
        source: The grid `array` stands on.
        target: The grid wanted.
        order: 1 = linear, for intensities and probabilities; 0 = nearest voxel, for labels.

    Returns:
        Contiguous array of shape `target.shape`. Order 0 keeps the dtype and makes no value that `array` has not;
        order 1 gives float32.

    Raises:
        VolumeError: `array` has not the shape of `source`, or `order` is neither 0 nor 1.

    Example:
        >>> fine = Grid((4, 1, 1), np.eye(4))
        >>> ramp = np.arange(4.0).reshape(4, 1, 1)
        >>> resample(ramp, fine, fine.oriented("LAS")).ravel()
        array([3., 2., 1., 0.])
        >>> resample(ramp, fine, fine.resampled((2, 1, 1)), order=0).ravel()
        array([0., 2.])

    Reference: Cardoso et al., "Scale factor point spread function matching: beyond aliasing in image resampling",
    MICCAI 2015 (the sigma).
    """
    array = np.asarray(array)
    _check(array, source, order)
    if not is_large(source, target) or _is_turned(source, target):
        return _resample(array, source, target, order)
    values = np.empty(target.shape, array.dtype if order == NEAREST else np.float32)
    for part, box in slabs(source, target, smoothing_reach(source, target)):
        values[part] = _resample(array[box], cropped(source, box), cropped(target, part), order)
    return values


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
        raise VolumeError(f"expected an array of the grid's shape {source.shape}, got {array.shape}")
    if order not in (NEAREST, LINEAR):
        raise VolumeError(f"expected order 0 (nearest) or 1 (linear), got {order!r}")


def _axis_order(to_source, target_shape):
    """Return for each target axis the source axis it runs along, or None if some axis runs along several."""
    step = to_source[:3, :3]
    axes = np.abs(step).argmax(axis=0)
    if sorted(axes) != [0, 1, 2]:
        return None
    across = np.abs(step)
    across[axes, range(3)] = 0
    drift = across @ (np.array(target_shape) - 1)
    return axes if drift.max() < COINCIDENT else None


def _interpolate_axes(array, to_source, target_shape, order, axes):
    """Interpolate one axis after the other: what a transform without rotation allows, and several times faster."""
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
    # A position half-way between two voxels may be off by rounding either way; the small shift settles it downwards.
    return np.clip(np.ceil(where - 0.5 - 1e-6), 0, size - 1).astype(np.intp)


def _smooth(values, step, axis):
    if step <= 1 + COINCIDENT or values.shape[axis] == 1:
        return values
    return ndimage.gaussian_filter1d(values, smoothing_sigma(step), axis=axis, mode="nearest")


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
    """Interpolate where the grids are rotated against each other."""
    if order == LINEAR:
        array = array.astype(np.float32)
        # Length of a target step as seen along each source axis: 1 under pure rotation, the ratio under scaling.
        for axis, step in enumerate(np.linalg.norm(to_source[:3, :3], axis=1)):
            array = _smooth(array, step, axis)
    return ndimage.affine_transform(
        array, to_source[:3, :3], to_source[:3, 3], target_shape, output=array.dtype, order=order, mode="nearest"
    )

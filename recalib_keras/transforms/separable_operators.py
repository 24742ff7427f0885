"""Separable operators: small matrices that act along one axis of a grid after the other.

A line of m values times a matrix `(m, k)` is a line of k values. Splines, blur and thick slices are of this kind. The
matrices are made in NumPy; their products with whole windows run on the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from keras import ops
from scipy.interpolate import BSpline, make_interp_spline
from scipy.ndimage import gaussian_filter1d

from recalib_keras.transforms import Tensor

DEGREE = 3


def along_axes(values: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Returns a grid of values after one matrix has acted along each axis.

    No axis is moved: the grid is reshaped to a stack of matrices whose rows or columns lie along the axis.

    Args:
        values: `(batch, m_1, ..., m_n)`.
        matrices: For each axis i, `(m_i, k_i)`, or `(batch, m_i, k_i)` with one matrix for each example.

    Returns:
        Tensor `(batch, k_1, ..., k_n)`.
    """
    shape = list(values.shape)
    for axis, matrix in enumerate(matrices, start=1):
        before, size, after = math.prod(shape[1:axis]), shape[axis], math.prod(shape[axis + 1 :])
        if after == 1:
            values = ops.matmul(ops.reshape(values, (shape[0], before, size)), matrix)
        else:
            turned = ops.swapaxes(ops.convert_to_tensor(matrix), -1, -2)
            turned = turned if len(turned.shape) == 2 else ops.expand_dims(turned, 1)
            values = ops.matmul(turned, ops.reshape(values, (shape[0], before, size, after)))
        shape[axis] = matrix.shape[-1]
        values = ops.reshape(values, shape)
    return values


def linear_interpolation(nodes: int, size: int) -> np.ndarray:
    """Returns the matrix `(nodes, size)` that joins evenly spaced values by straight lines, from first to last."""
    return _hats(_evenly(0, nodes - 1, size), nodes).astype("float32")


def interpolating_spline(nodes: int, size: int) -> np.ndarray:
    """Returns the matrix `(nodes, size)` of the cubic spline through evenly spaced values, from first to last."""
    line = make_interp_spline(np.arange(nodes), np.eye(nodes), k=DEGREE)
    return line(_evenly(0, nodes - 1, size)).T.astype("float32")


def b_spline(nodes: int, size: int) -> np.ndarray:
    """Returns the matrix `(nodes, size)` of the cubic B-spline of evenly spaced values.

    The spline approaches the values but does not pass through them. It fills the part in which four basis functions
    overlap everywhere.
    """
    knots = np.arange(nodes + DEGREE + 1.0)
    matrix = BSpline.design_matrix(_evenly(DEGREE, nodes, size), knots, DEGREE)
    return matrix.toarray().T.astype("float32")


def unit_deviation(nodes: int, window: Sequence[int]) -> float:
    """Returns the factor that gives the `b_spline` of independent standard normal values a mean deviation of 1.

    The deviation is that over a window, after its mean there has been subtracted.

    Args:
        nodes: Number of nodes along each axis.
        window: Sizes in voxels.
    """
    matrices = [b_spline(nodes, size).astype("float64") for size in window]
    of_voxels = math.prod(np.square(matrix).sum(axis=0).mean() for matrix in matrices)
    of_mean = math.prod(np.square(matrix.mean(axis=1)).sum() for matrix in matrices)
    return 1 / np.sqrt(of_voxels - of_mean)


def gaussian_blur(size: int, deviation: float) -> np.ndarray:
    """Returns the matrix `(size, size)` that blurs by a Gaussian of a deviation in voxels; the edge is continued."""
    if deviation <= 0:
        return np.eye(size, dtype="float32")
    return gaussian_filter1d(np.eye(size, dtype="float64"), deviation, axis=0, mode="nearest").T.astype("float32")


def noise_blur(size: int, deviation: float) -> np.ndarray:
    """Returns the `gaussian_blur` that leaves the deviation of white noise as it is in each voxel, `(size, size)`."""
    matrix = gaussian_blur(size, deviation)
    return matrix / np.sqrt(np.square(matrix).sum(axis=0))


def thick_slices(size: int, thickness: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns two matrices `(size, size)`: from voxels to thick slices, and from slices back to voxels.

    A slice is the mean over its thickness. Slices touch, and lie symmetric about the centre of the line. There are
    fewer slices than voxels: the remaining ones are 0, and no voxel uses them. Voxels are interpolated linearly between
    the centres of the slices; beyond the outer centres the edge is continued.

    Args:
        size: Number of voxels.
        thickness: Thickness of the slices in voxels, at least 1; need not be a whole number.
    """
    count = math.ceil(size / thickness)
    centres = (size - 1) / 2 + (np.arange(count) - (count - 1) / 2) * thickness
    voxels = np.arange(size)[:, None]
    ends = np.minimum(voxels + 0.5, centres + thickness / 2), np.maximum(voxels - 0.5, centres - thickness / 2)
    shares = np.maximum(0, ends[0] - ends[1])
    places = np.clip((voxels[:, 0] - centres[0]) / thickness, 0, count - 1)
    to_slices, to_voxels = np.zeros((2, size, size), "float32")
    to_slices[:, :count], to_voxels[:count] = shares / shares.sum(axis=0), _hats(places, count)
    return to_slices, to_voxels


def _hats(places, count):
    """Returns the weights `(count, places)` of values at 0, 1, … in linear interpolation at each place."""
    return np.maximum(0, 1 - np.abs(places - np.arange(count)[:, None]))


def _evenly(first, last, size):
    """Returns `size` numbers from first to last; a single one lies in the middle."""
    return np.linspace(first, last, size) if size > 1 else np.array([(first + last) / 2])

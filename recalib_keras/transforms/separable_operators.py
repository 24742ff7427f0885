"""Matrices that act on lines of values, and how they act on a grid: along one axis after the other.

A line of m values times a matrix `(m, k)` is a line of k values. Smooth fields, blur and thick slices are of this kind.
The matrices are small and made in NumPy; their products with whole windows run on the device.
"""

import math

import numpy as np
from keras import ops
from scipy.interpolate import BSpline, make_interp_spline
from scipy.ndimage import gaussian_filter1d

DEGREE = 3
# Nodes of a scan's bias field along each axis: one cubic polynomial, as the methods that correct such fields use.
BIAS_NODES = 4


def along_axes(values, matrices):
    """Returns a grid of values after a matrix has acted along each of its axes.

    No axis is moved: the grid is seen as a stack of matrices whose rows, or columns, lie along the axis.

    Args:
        values: `(batch, m_1, ..., m_n)`.
        matrices: for each axis i, `(m_i, k_i)`, or `(batch, m_i, k_i)` if each example has its own.

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


def linear(nodes, size):
    """Returns the matrix `(nodes, size)` that joins evenly placed values by straight lines, from first to last."""
    return _hats(_evenly(0, nodes - 1, size), nodes).astype("float32")


def smooth_spline(nodes, size):
    """Returns the matrix `(nodes, size)` that makes a cubic B-spline of evenly placed values.

    The line is drawn to the values, not through them; it fills the part that four splines cover everywhere.
    """
    knots = np.arange(nodes + DEGREE + 1.0)
    matrix = BSpline.design_matrix(_evenly(DEGREE, nodes, size), knots, DEGREE)
    return matrix.toarray().T.astype("float32")


def spline_through(nodes, size):
    """Returns the matrix `(nodes, size)` of the cubic spline through evenly placed values, from first to last."""
    line = make_interp_spline(np.arange(nodes), np.eye(nodes), k=DEGREE)
    return line(_evenly(0, nodes - 1, size)).T.astype("float32")


def spread(nodes, window):
    """Returns the factor that gives `smooth_spline` of independent values of deviation 1, over a window of sizes, less
    its mean there, a mean deviation of 1.
    """
    matrices = [smooth_spline(nodes, size).astype("float64") for size in window]
    of_voxels = math.prod(np.square(matrix).sum(axis=0).mean() for matrix in matrices)
    of_mean = math.prod(np.square(matrix.mean(axis=1)).sum() for matrix in matrices)
    return 1 / np.sqrt(of_voxels - of_mean)


def gaussian(size, deviation):
    """Returns the matrix `(size, size)` that blurs by a Gaussian of a deviation in voxels; the edge is continued."""
    if deviation <= 0:
        return np.eye(size, dtype="float32")
    return gaussian_filter1d(np.eye(size, dtype="float64"), deviation, axis=0, mode="nearest").T.astype("float32")


def texture(size, deviation):
    """Returns the matrix `(size, size)` that gives noise a length, a Gaussian's deviation in voxels.

    Each voxel of the result has the deviation that the noise had.
    """
    matrix = gaussian(size, deviation)
    return matrix / np.sqrt(np.square(matrix).sum(axis=0))


def slices(size, thickness):
    """Returns two matrices `(size, size)`: from voxels to thick slices, and from those back to voxels.

    A slice is the mean over its thickness, and slices touch; they lie symmetric about the line's centre. There are
    fewer slices than voxels: the others are 0, and come into no voxel. Voxels lie on straight lines between the
    slices' centres; the edge is continued beyond the outer ones.

    Args:
        size: number of voxels.
        thickness: of the slices in voxels, at least 1; need not be a whole number.
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
    """Returns the weights `(count, places)` of values at 0, 1, … in the straight line between them at each place."""
    return np.maximum(0, 1 - np.abs(places - np.arange(count)[:, None]))


def _evenly(first, last, size):
    """Returns `size` numbers from first to last; a single one lies between them."""
    return np.linspace(first, last, size) if size > 1 else np.array([(first + last) / 2])

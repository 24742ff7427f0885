"""Matrices that act on a line of values, and how they act on a grid: along one axis after the other.

A line of m values times a matrix `(m, k)` is a line of k values. All that augmentation does smoothly is of this kind:
it spreads the nodes of a coarse grid over a window, blurs, or samples in thick slices. The matrices are small and made
in NumPy; their products with whole windows run on the device.
"""

import numpy as np
from keras import ops
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter1d


def along_axes(values, matrices):
    """Returns a grid of values after a matrix has acted along each of its axes.

    Args:
        values: `(batch, m_1, ..., m_n)`.
        matrices: for each axis i, `(m_i, k_i)`, or `(batch, m_i, k_i)` if each example has its own.

    Returns:
        Tensor `(batch, k_1, ..., k_n)`.
    """
    batch = values.shape[0]
    for matrix in matrices:  # contracts the first axis and appends the new one, so that they come round in order
        lines = ops.swapaxes(ops.reshape(values, (batch, matrix.shape[-2], -1)), 1, 2)
        values = ops.matmul(lines, matrix)
    return ops.reshape(values, (batch, *(matrix.shape[-1] for matrix in matrices)))


def linear(nodes, size):
    """Returns the matrix `(nodes, size)` that joins `nodes` evenly placed values by straight lines.

    The first and the last value come to the first and the last voxel.
    """
    return _hats(np.linspace(0, nodes - 1, size), nodes)


def spline(nodes, size):
    """Returns the matrix `(nodes, size)` that makes a smooth line, a cubic B-spline, of `nodes` evenly placed values.

    The line is drawn to the values, not through them; it fills the part that four splines cover everywhere.
    """
    degree = 3
    knots = np.arange(nodes + degree + 1.0)
    return BSpline.design_matrix(np.linspace(degree, nodes, size), knots, degree).toarray().T.astype("float32")


def gaussian(size, deviation):
    """Returns the matrix `(size, size)` that blurs by a Gaussian; the edge is continued beyond the border.

    Args:
        size: number of voxels.
        deviation: standard deviation of the Gaussian in voxels, greater than 0.
    """
    return gaussian_filter1d(np.eye(size, dtype="float32"), deviation, axis=0, mode="nearest").T


def thick_slices(size, thickness):
    """Returns the matrix `(size, size)` that samples a line in thick slices, and that back in voxels.

    A slice is the mean over its thickness, and slices touch; they lie symmetric about the line's centre. Voxels lie
    on straight lines between the slices' centres; the edge is continued beyond the outer ones.

    Args:
        size: number of voxels.
        thickness: of the slices in voxels, at least 1; need not be a whole number.
    """
    count = int(np.ceil(size / thickness))
    centres = (size - 1) / 2 + (np.arange(count) - (count - 1) / 2) * thickness
    voxels = np.arange(size)[:, None]
    ends = np.minimum(voxels + 0.5, centres + thickness / 2), np.maximum(voxels - 0.5, centres - thickness / 2)
    shares = np.maximum(0, ends[0] - ends[1])
    places = np.clip((voxels[:, 0] - centres[0]) / thickness, 0, count - 1)
    return (shares / shares.sum(axis=0) @ _hats(places, count)).astype("float32")


def _hats(places, count):
    """Returns the weights `(count, places)` of values at 0, 1, ... in the straight line between them at each place."""
    return np.maximum(0, 1 - np.abs(places - np.arange(count)[:, None])).astype("float32")

"""Random changes of training examples, the same on every backend.

Few numbers decide a change: an affine matrix, the nodes of a coarse displacement grid, a gamma. They are drawn in
NumPy from a seed, so that a run can be repeated on any backend; what is done with them to every voxel runs on the
device through `keras.ops`.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops


@dataclass(frozen=True)
class Change:
    """One random change for each example of a batch, for windows of n axes.

    Args:
        matrices: `(batch, n, n)`, from the axes of the result to those of the source, about the window's centre.
        shifts: `(batch, n)`, in voxels.
        nodes: `(batch, n, *[elastic_nodes] * n)`, displacements in voxels, or None.
        gammas, contrasts, brightnesses: `(batch,)`.
        noise: `(batch, *window)`, or None.
    """

    matrices: np.ndarray
    shifts: np.ndarray
    nodes: np.ndarray | None
    gammas: np.ndarray
    contrasts: np.ndarray
    brightnesses: np.ndarray
    noise: np.ndarray | None


def draw(settings, batch_size, window, rng):
    """Returns a random `Change`.

    Args:
        settings: `recalib_keras.training.recipe.Augmentation`.
        batch_size: integer.
        window: tuple of n sizes.
        rng: `numpy.random.Generator`.
    """
    rank = len(window)
    rotations = np.stack([_rotation(np.deg2rad(settings.rotation), rank, rng) for _ in range(batch_size)])
    scales = np.exp(rng.normal(0, settings.scaling, (batch_size, 1, rank)))
    nodes = noise = None
    if settings.elastic:
        nodes = rng.normal(0, settings.elastic, (batch_size, rank) + (settings.elastic_nodes,) * rank)
    if settings.noise:
        noise = rng.standard_normal((batch_size, *window), "float32")
        noise *= rng.uniform(0, settings.noise, (batch_size,) + (1,) * rank).astype("float32")
    return Change(
        matrices=(rotations * scales).astype("float32"),
        shifts=rng.normal(0, settings.translation, (batch_size, rank)).astype("float32"),
        nodes=None if nodes is None else nodes.astype("float32"),
        gammas=np.exp(rng.normal(0, settings.gamma, batch_size)).astype("float32"),
        contrasts=np.exp(rng.normal(0, settings.contrast, batch_size)).astype("float32"),
        brightnesses=rng.normal(0, settings.brightness, batch_size).astype("float32"),
        noise=noise,
    )


def apply(images, labels, change):
    """Returns images and labels after a change.

    Args:
        images: `(batch, *window)`, float32; moved by linear interpolation, the edge continued beyond the border.
        labels: `(batch, *window)`, integer; moved by nearest neighbour, background beyond the border.
        change: `Change`.
    """
    moved_images, moved_labels = [], []
    for index in range(images.shape[0]):
        nodes = None if change.nodes is None else change.nodes[index]
        places = _places(images.shape[1:], change.matrices[index], change.shifts[index], nodes)
        moved_images.append(ops.image.map_coordinates(images[index], places, order=1, fill_mode="nearest"))
        nearest = ops.image.map_coordinates(
            ops.cast(labels[index], "float32"), ops.round(places), order=0, fill_mode="constant"
        )
        moved_labels.append(ops.cast(nearest, labels.dtype))
    return _change_intensities(ops.stack(moved_images), change), ops.stack(moved_labels)


def _change_intensities(images, change):
    shape = (-1,) + (1,) * (len(images.shape) - 1)
    axes = tuple(range(1, len(images.shape)))
    low, high = ops.min(images, axis=axes, keepdims=True), ops.max(images, axis=axes, keepdims=True)
    extent = ops.maximum(high - low, 1e-6)
    images = low + extent * ((images - low) / extent) ** ops.reshape(change.gammas, shape)
    images = images * ops.reshape(change.contrasts, shape) + ops.reshape(change.brightnesses, shape)
    return images if change.noise is None else images + change.noise


def _places(window, matrix, shift, nodes):
    """Returns where in the source each voxel of the result comes from, `(n, *window)` in voxels."""
    centre = [(size - 1) / 2 for size in window]
    axes = [ops.arange(size, dtype="float32") - middle for size, middle in zip(window, centre)]
    offsets = ops.stack(ops.meshgrid(*axes, indexing="ij"))
    target = ops.convert_to_tensor(np.array(centre, "float32")) + shift
    places = ops.tensordot(matrix, offsets, axes=1) + ops.reshape(target, (-1,) + (1,) * len(window))
    return places if nodes is None else places + _displacement(nodes, window)


def _displacement(nodes, window):
    """Returns the coarse grid of displacements interpolated linearly to every voxel, one axis after the other."""
    for size in window:  # contracts the first node axis and appends the window's, so the axes come round in order
        nodes = ops.tensordot(nodes, _interpolation(nodes.shape[1], size), axes=([1], [0]))
    return nodes


def _interpolation(nodes, size):
    """Returns the matrix `(nodes, size)` of weights that spread `nodes` evenly placed values over `size` voxels."""
    place = np.linspace(0, nodes - 1, size)
    return np.maximum(0, 1 - np.abs(place[None] - np.arange(nodes)[:, None])).astype("float32")


def _rotation(deviation, rank, rng):
    """Returns a rotation by a normally distributed angle in each plane of two axes."""
    matrix = np.eye(rank)
    for first in range(rank):
        for second in range(first + 1, rank):
            angle = rng.normal(0, deviation)
            plane = np.eye(rank)
            plane[[first, second], [first, second]] = np.cos(angle)
            plane[first, second], plane[second, first] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ plane
    return matrix

"""Random changes of training examples, the same on every backend.

Few numbers decide a change: an affine matrix, the nodes of a coarse displacement grid, a gamma. They are drawn in
NumPy from a seed, so that a run can be repeated on any backend; what is done with them to every voxel runs on the
device through `keras.ops`.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.transforms.displacement import resample, source_places
from recalib_keras.transforms.intensities import change_contrast, shade
from recalib_keras.transforms.separable_operators import BIAS_NODES, along_axes, gaussian, slices, spread

# Voxels are cubes if the ratios of their edges are, rounded to so many decimals: headers store float32.
SAME_SHAPE = 3


class Change(NamedTuple):
    """One random change for each example of a batch, for windows of n axes; stacked slices have three.

    Args:
        matrices: `(batch, n, n)`, from the axes of the result to those of the source, about the window's centre, both
            in voxels.
        shifts: `(batch, n)`, in voxels.
        nodes: `(batch, n, *[elastic_nodes] * n)`, displacements in voxels, or None.
        gammas, contrasts, brightnesses: `(batch,)`.
        noise: `(batch, *window)`, or None.
        sides: `(batch, num_classes)`, the class that each one becomes: itself, or its mirror image's in a flipped
            example; None where no class has one.
        bias: `(batch, *[BIAS_NODES] * n)`, nodes of the logarithm of the bias field, or None.
        resolutions: for each axis `(batch, size, size)`, what blur and thick slices make of a line of voxels; or None.
    """

    matrices: np.ndarray
    shifts: np.ndarray
    nodes: np.ndarray | None
    gammas: np.ndarray
    contrasts: np.ndarray
    brightnesses: np.ndarray
    noise: np.ndarray | None
    sides: np.ndarray | None = None
    bias: np.ndarray | None = None
    resolutions: tuple[np.ndarray, ...] | None = None


def draw(settings, batch_size, window, rng, mirror=None, spacings=None, depth=1):
    """Returns a random `Change`.

    Rotations turn what the voxels show, whatever their shape; shifts, displacements and blur are in voxels. Slices that
    are stacked to one window `(*window, depth)` all change in the same way, but for their noise.

    A kind of change that was added after weights were published draws no numbers while it is 0 in the settings, so
    that older recipes still give the examples that their weights were trained with.

    Args:
        settings: `recalib_keras.training.recipe.Augmentation`.
        batch_size: integer.
        window: tuple of n sizes.
        rng: `numpy.random.Generator`.
        mirror: `recalib_keras.training.data.mirror.Mirror`; needed if the settings flip.
        spacings: `(batch, n)`, sizes of the voxels of each example along the axes of the window, in one unit; None for
            voxels that are cubes.
        depth: how many slices are stacked to a window, along a last axis; 1 for windows without that axis.
    """
    rank = len(window)
    is_flipped = rng.random(batch_size) < settings.flip if settings.flip else np.zeros(batch_size, bool)
    rotations = np.stack([_rotation(np.deg2rad(settings.rotation), rank, rng) for _ in range(batch_size)])
    if spacings is not None:
        rotations = _in_voxels(rotations, np.asarray(spacings))
    scales = np.exp(rng.normal(0, settings.scaling, (batch_size, 1, rank)))
    nodes = noise = sides = bias = resolutions = None
    if settings.flip:
        scales[is_flipped, 0, mirror.axis] *= -1
        if mirror.classes is not None:
            sides = np.where(is_flipped[:, None], mirror.classes, np.arange(len(mirror.classes))).astype("int32")
    if settings.elastic:
        nodes = rng.normal(0, settings.elastic, (batch_size, rank) + (settings.elastic_nodes,) * rank)
    if settings.noise:
        shape = (*window, depth) if depth > 1 else window
        noise = rng.standard_normal((batch_size, *shape), "float32")
        noise *= rng.uniform(0, settings.noise, (batch_size,) + (1,) * len(shape)).astype("float32")
    shifts = rng.normal(0, settings.translation, (batch_size, rank))
    gammas = np.exp(rng.normal(0, settings.gamma, batch_size))
    contrasts = np.exp(rng.normal(0, settings.contrast, batch_size))
    brightnesses = rng.normal(0, settings.brightness, batch_size)
    if settings.bias_field:
        bias = _bias(settings.bias_field, batch_size, window, rng)
    if settings.blur or settings.low_resolution:
        resolutions = _resolutions(settings.blur, settings.low_resolution, batch_size, window, rng)
    change = Change(
        matrices=(rotations * scales).astype("float32"),
        shifts=shifts.astype("float32"),
        nodes=None if nodes is None else nodes.astype("float32"),
        gammas=gammas.astype("float32"),
        contrasts=contrasts.astype("float32"),
        brightnesses=brightnesses.astype("float32"),
        noise=noise,
        sides=sides,
        bias=bias,
        resolutions=resolutions,
    )
    return change if depth == 1 else _of_stacks(change, depth)


def _of_stacks(change, depth):
    """Returns the change of slices as one of stacks of them: the same along the axis that is added."""
    batch, rank = change.shifts.shape
    matrices = np.tile(np.eye(rank + 1, dtype="float32"), (batch, 1, 1))
    matrices[:, :rank, :rank] = change.matrices
    nodes, bias, resolutions = change.nodes, change.bias, change.resolutions
    if nodes is not None:
        nodes = np.concatenate([nodes, np.zeros_like(nodes[:, :1])], axis=1)
        nodes = np.repeat(nodes[..., None], nodes.shape[-1], axis=-1)
    if bias is not None:
        bias = np.repeat(bias[..., None], BIAS_NODES, axis=-1)
    if resolutions is not None:
        resolutions = (*resolutions, np.tile(np.eye(depth, dtype="float32"), (batch, 1, 1)))
    return change._replace(
        matrices=matrices,
        shifts=np.pad(change.shifts, [(0, 0), (0, 1)]),
        nodes=nodes,
        bias=bias,
        resolutions=resolutions,
    )


def apply(images, labels, change):
    """Returns images and labels after a change: moved, then shaded, blurred, of other contrast, and noisy.

    Args:
        images: `(batch, *window)`, float32; moved by linear interpolation, the edge continued beyond the border.
        labels: `(batch, *window)`, integer; moved by nearest neighbour, background beyond the border.
        change: `Change`.
    """
    places = source_places(images.shape[1:], change.matrices, change.shifts, change.nodes)
    images, labels = resample(images, labels, places)
    if change.sides is not None:
        labels = _change_sides(labels, change.sides)
    if change.bias is not None:
        images = shade(images, change.bias)
    if change.resolutions is not None:
        images = along_axes(images, change.resolutions)
    images = change_contrast(images, change.gammas, change.contrasts, change.brightnesses)
    return images if change.noise is None else ops.add(images, change.noise), labels


def _change_sides(labels, sides):
    batch, count = sides.shape
    first = ops.reshape(ops.arange(batch, dtype="int32") * count, (-1,) + (1,) * (len(labels.shape) - 1))
    changed = ops.take(ops.reshape(sides, (-1,)), ops.cast(labels, "int32") + first)
    return ops.cast(changed, labels.dtype)


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


def _in_voxels(rotations, spacings):
    """Returns what rotations of space do to voxel indices; nothing else than to space where the voxels are cubes."""
    shapes = np.round(spacings / spacings.min(axis=1, keepdims=True), SAME_SHAPE)
    return rotations * (shapes[:, None, :] / shapes[:, :, None])


def _bias(deviation, batch_size, window, rng):
    """Returns nodes whose spline, less its mean over the window, deviates by `deviation` in the mean over it."""
    nodes = rng.normal(0, deviation, (batch_size,) + (BIAS_NODES,) * len(window))
    return (nodes * spread(BIAS_NODES, window)).astype("float32")


def _resolutions(blur, low_resolution, batch_size, window, rng):
    """Returns for each axis the matrices of blur, and of thick slices along one random axis of each example."""
    matrices = [np.tile(np.eye(size, dtype="float32"), (batch_size, 1, 1)) for size in window]
    if blur:
        deviations = rng.uniform(0, blur, (batch_size, len(window)))
        for example, axis in np.ndindex(deviations.shape):
            matrices[axis][example] = gaussian(window[axis], deviations[example, axis])
    if low_resolution:
        chosen, thicknesses = rng.integers(len(window), size=batch_size), rng.uniform(1, low_resolution, batch_size)
        for example, (axis, thickness) in enumerate(zip(chosen, thicknesses)):
            matrices[axis][example] = matrices[axis][example] @ np.matmul(*slices(window[axis], thickness))
    return tuple(matrices)

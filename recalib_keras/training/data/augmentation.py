"""Augmentation: random changes of training examples, the same on every backend.

A few numbers determine a change: an affine matrix, the nodes of a coarse displacement grid, a gamma. They are drawn in
NumPy from a seed, so that a run can be repeated on any backend. `keras.ops` applies them to every voxel on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from keras import ops

from recalib_keras.transforms import Tensor
from recalib_keras.transforms.affine import planes, rotation, source_places
from recalib_keras.transforms.displacement import interpolate_nodes
from recalib_keras.transforms.intensities import BIAS_NODES, apply_bias_field, change_contrast
from recalib_keras.transforms.lookup import of_labels, resample
from recalib_keras.transforms.separable_operators import along_axes, gaussian_blur, thick_slices, unit_deviation
from recalib_keras.zoo.labels import counterpart_classes

if TYPE_CHECKING:
    from recalib_keras.training.recipe import Augmentation
    from recalib_keras.zoo import Input, Label

# Voxels are cubes if the ratios of their edges are, rounded to this many decimals: headers store float32.
SAME_SHAPE = 3


class Mirror(NamedTuple):
    """What a left-right flip does to windows and classes.

    Args:
        axis: The axis that it mirrors.
        classes: For each class the one that it becomes; or None if no class changes.
    """

    axis: int
    classes: tuple[int, ...] | None = None

    @classmethod
    def of(cls, expects: Input, labels: Sequence[Label]) -> Mirror | None:
        """Returns what a flip does to a network's windows; None if they have no left and right.

        Args:
            expects: The network's input.
            labels: The network's classes.
        """
        axis = expects.lateral_axis
        if axis == expects.slice_axis:
            return None
        if expects.slice_axis is not None and expects.slice_axis < axis:
            axis -= 1
        classes = counterpart_classes(labels)
        return cls(axis, None if classes == tuple(range(len(labels))) else classes)


class Change(NamedTuple):
    """One random change for each example of a batch, for windows of n axes; stacked slices have three.

    The channels of an example move together, and each has its own change of intensities: from `gammas` on, but for
    `sides`, arrays then have an axis for them after that of the batch.

    Args:
        matrices: `(batch, n, n)`, from voxels of the result to voxels of the source, both from the window's centre.
        shifts: `(batch, n)`, in voxels.
        nodes: `(batch, n, *[elastic_nodes] * n)`, displacements in voxels, or None.
        gammas: `(batch,)`, powers.
        contrasts: `(batch,)`, factors.
        brightnesses: `(batch,)`, summands.
        noise: `(batch, *window)`, or None.
        sides: `(batch, num_classes)`, the class that each class becomes: itself, or its mirror image's in a flipped
            example; None if no class has one.
        bias: `(batch, *[BIAS_NODES] * n)`, nodes of the logarithm of the bias field, or None.
        resolutions: For each axis `(batch, size, size)`, the blur and thick slices of a line of voxels; or None.
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


def draw(
    settings: Augmentation,
    batch_size: int,
    window: Sequence[int],
    rng: np.random.Generator,
    mirror: Mirror | None = None,
    spacings: Sequence[Sequence[float]] | None = None,
    depth: int = 1,
    channels: int = 1,
) -> Change:
    """Returns a random `Change`.

    Rotations are rotations of space, whatever the shape of the voxels; shifts, displacements and blur are in voxels.
    Slices that are stacked to one window `(*window, depth)` all change in the same way, but for their noise.

    A kind of change that was added after weights were published draws no numbers while it is 0 in the settings. So
    older recipes still give the examples that their weights were trained with.

    Args:
        settings: How far examples change.
        batch_size: Number of examples.
        window: n sizes in voxels.
        rng: Source of the random numbers.
        mirror: What a flip does; needed if the settings flip.
        spacings: `(batch, n)`, voxel sizes of each example along the axes of the window, in any unit; None if voxels
            are cubes.
        depth: How many slices are stacked to a window, along a last axis; 1 for windows without that axis.
        channels: Number of channels of each example.

    Raises:
        ValueError: If the settings flip without a `mirror`.
    """
    rank, images = len(window), batch_size * channels
    is_flipped = rng.random(batch_size) < settings.flip if settings.flip else np.zeros(batch_size, bool)
    matrices = _rotations(settings.rotation, batch_size, rank, rng)
    if spacings is not None:
        matrices = _in_voxels(matrices, np.asarray(spacings))
    scales = np.exp(rng.normal(0, settings.scaling, (batch_size, 1, rank)))
    nodes = noise = sides = bias = resolutions = None
    if settings.flip:
        if mirror is None:
            raise ValueError("expected `mirror` for settings that flip, got None; give Mirror.of(input, labels)")
        scales[np.flatnonzero(is_flipped), 0, mirror.axis] *= -1
        if mirror.classes is not None:
            sides = np.where(is_flipped[:, None], mirror.classes, np.arange(len(mirror.classes))).astype("int32")
    if settings.elastic:
        nodes = rng.normal(0, settings.elastic, (batch_size, rank) + (settings.elastic_nodes,) * rank)
    if settings.noise:
        noise = _noise(settings.noise, (images, *window, depth) if depth > 1 else (images, *window), rng)
    shifts = rng.normal(0, settings.translation, (batch_size, rank))
    gammas = np.exp(rng.normal(0, settings.gamma, images))
    contrasts = np.exp(rng.normal(0, settings.contrast, images))
    brightnesses = rng.normal(0, settings.brightness, images)
    if settings.bias_field:
        bias = _bias(settings.bias_field, images, window, rng)
    if settings.blur or settings.low_resolution:
        resolutions = _resolutions(settings.blur, settings.low_resolution, images, window, rng)
    change = Change(
        matrices=(matrices * scales).astype("float32"),
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
    change = change if depth == 1 else _of_stacks(change, depth)
    return change if channels == 1 else _by_channel(change, channels)


def apply(images: Tensor, labels: Tensor, change: Change) -> tuple[Tensor, Tensor]:
    """Returns images and labels after a change: first places, then bias field, resolution, contrast, and noise.

    Args:
        images: `(batch, *window)`, float32; moved by linear interpolation, the edge continued beyond the border. Those
            of several channels have them as last axis.
        labels: `(batch, *window)`, integer; moved by nearest neighbour, background beyond the border.
        change: One change for each example.
    """
    window = tuple(labels.shape[1:])
    middle = np.array([(size - 1) / 2 for size in window], "float32")
    displacements = None if change.nodes is None else interpolate_nodes(change.nodes, window)
    centres = ops.add(change.shifts, middle)
    places = source_places(window, change.matrices, centres, displacements)
    if len(images.shape) == len(labels.shape):
        images, labels = resample(images, labels, places)
        return _with_intensities(images, change), _with_sides(labels, change)
    channels = [resample(images[..., channel], labels, places) for channel in range(images.shape[-1])]
    images, labels = ops.stack([image for image, _ in channels], axis=1), channels[0][1]
    changed = _with_intensities(_flat(images), _as_images(change))
    changed = ops.reshape(changed, (-1, len(channels), *window))
    return ops.moveaxis(changed, 1, -1), _with_sides(labels, change)


def _with_intensities(images, change):
    """Returns images `(images, *window)` after a change of their intensities."""
    if change.bias is not None:
        images = apply_bias_field(images, change.bias)
    if change.resolutions is not None:
        images = along_axes(images, change.resolutions)
    images = change_contrast(images, change.gammas, change.contrasts, change.brightnesses)
    return images if change.noise is None else ops.add(images, change.noise)


def _with_sides(labels, change):
    return labels if change.sides is None else ops.cast(of_labels(change.sides, labels), labels.dtype)


def _by_channel(change, channels):
    """Returns a change whose arrays of intensities have an axis for the channels."""
    return _of_intensities(change, lambda array: array.reshape(-1, channels, *array.shape[1:]))


def _as_images(change):
    """Returns a change whose arrays of intensities have one entry for each channel of each example."""
    return _of_intensities(change, _flat)


def _flat(array):
    return ops.reshape(array, (-1, *array.shape[2:]))


def _of_intensities(change, reshape):
    """Returns a change with the arrays that belong to intensities reshaped."""
    arrays = {name: getattr(change, name) for name in ("gammas", "contrasts", "brightnesses", "noise", "bias")}
    resolutions = change.resolutions
    return change._replace(
        **{name: None if array is None else reshape(array) for name, array in arrays.items()},
        resolutions=None if resolutions is None else tuple(map(reshape, resolutions)),
    )


def _rotations(deviation, batch_size, rank, rng):
    """Returns for each example a rotation by normally distributed angles, whose deviation is given in degrees."""
    angles = rng.normal(0, np.deg2rad(deviation), (batch_size, planes(rank)))
    return np.stack([rotation(of_example, rank) for of_example in angles])


def _noise(largest, shape, rng):
    """Returns noise with a deviation of its own for each example."""
    noise = rng.standard_normal(shape, "float32")
    noise *= rng.uniform(0, largest, shape[:1] + (1,) * (len(shape) - 1)).astype("float32")
    return noise


def _of_stacks(change, depth):
    """Returns the change of slices as a change of stacks of slices: the same along the added axis."""
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
        images = len(resolutions[0])
        resolutions = (*resolutions, np.tile(np.eye(depth, dtype="float32"), (images, 1, 1)))
    return change._replace(
        matrices=matrices,
        shifts=np.pad(change.shifts, [(0, 0), (0, 1)]),
        nodes=nodes,
        bias=bias,
        resolutions=resolutions,
    )


def _in_voxels(rotations, spacings):
    """Returns rotations of space as matrices between voxel indices; they stay as they are if the voxels are cubes."""
    shapes = np.round(spacings / spacings.min(axis=1, keepdims=True), SAME_SHAPE)
    return rotations * (shapes[:, None, :] / shapes[:, :, None])


def _bias(deviation, batch_size, window, rng):
    """Returns nodes whose spline, less its mean over the window, has the given mean deviation over the window."""
    nodes = rng.normal(0, deviation, (batch_size,) + (BIAS_NODES,) * len(window))
    return (nodes * unit_deviation(BIAS_NODES, window)).astype("float32")


def _resolutions(blur, low_resolution, batch_size, window, rng):
    """Returns for each axis the matrices of blur, and of thick slices along one random axis of each example."""
    matrices = [np.tile(np.eye(size, dtype="float32"), (batch_size, 1, 1)) for size in window]
    if blur:
        deviations = rng.uniform(0, blur, (batch_size, len(window)))
        for example, axis in np.ndindex(deviations.shape):
            matrices[axis][example] = gaussian_blur(window[axis], deviations[example, axis])
    if low_resolution:
        chosen, thicknesses = rng.integers(len(window), size=batch_size), rng.uniform(1, low_resolution, batch_size)
        for example, (axis, thickness) in enumerate(zip(chosen, thicknesses)):
            matrices[axis][example] = matrices[axis][example] @ np.matmul(*thick_slices(window[axis], thickness))
    return tuple(matrices)

"""Acquisition: how a scanner changes intensities by a bias field, slices, noise, gamma and field of view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.synthesis.geometry import Frame
from recalib_keras.synthesis.settings import Synthesis
from recalib_keras.transforms import Tensor
from recalib_keras.transforms.intensities import BIAS_NODES, bias_logarithm, change_gamma
from recalib_keras.transforms.lookup import of_examples
from recalib_keras.transforms.separable_operators import (
    along_axes,
    b_spline,
    gaussian_blur,
    thick_slices,
    unit_deviation,
)

# Voxels of the line on which mean and deviation of the bias field are computed; more would change neither.
LINE = 64
# The scale of the prior's intensities; gamma leaves 0 and this as they are.
WHITE = 255.0


class Acquisition(NamedTuple):
    """What is done to the intensities of a batch, in this order; None for a step that is skipped.

    Args:
        bias: `(batch, *[BIAS_NODES] * n)`, nodes of the logarithm of the bias field.
        to_slices: For each axis `(batch, size, size)`, from voxels to blurred or thick slices.
        noise: `(batch,)`, deviation of the noise in the slices.
        to_voxels: For each axis `(batch, size, size)`, from slices to voxels; the last ones are continued.
        gammas: `(batch,)`, powers.
        has_signal: For each axis `(batch, size)`, 0 where the scan has ended and zeros follow, else 1.
        in_view: For each axis `(batch, size)`, 0 where the scan has ended, 1 in its field of view.
    """

    bias: np.ndarray | None = None
    to_slices: tuple[np.ndarray, ...] | None = None
    noise: np.ndarray | np.floating | None = None
    to_voxels: tuple[np.ndarray, ...] | None = None
    gammas: np.ndarray | np.floating | None = None
    has_signal: tuple[np.ndarray, ...] | None = None
    in_view: tuple[np.ndarray, ...] | None = None


def draw_acquisition(settings: Synthesis, frame: Frame, rng: np.random.Generator) -> Acquisition:
    """Returns the random `Acquisition` of one example, without the batch axis.

    Args:
        settings: How far scans vary.
        frame: Window and voxel sizes.
        rng: Source of the random numbers.
    """
    to_slices, to_voxels = _draw_resolution(settings, frame, rng)
    has_signal = in_view = None
    if settings.crop:
        lines = (_draw_ends(settings, size, step, rng) for size, step in zip(frame.window, frame.spacing))
        in_view, nearest = zip(*lines)
        is_continued = rng.random() < 0.5
        has_signal = tuple(np.ones_like(line) for line in in_view) if is_continued else in_view
        to_voxels = tuple(matrix[:, line] for matrix, line in zip(to_voxels, nearest))
    return Acquisition(
        bias=_draw_bias(settings, len(frame.window), rng) if settings.bias_field else None,
        to_slices=to_slices if settings.blur or settings.thick_slices else None,
        noise=np.float32(rng.uniform(0, settings.noise)) if settings.noise else None,
        to_voxels=to_voxels if settings.thick_slices or settings.crop else None,
        gammas=np.float32(np.exp(rng.normal(0, settings.gamma))) if settings.gamma else None,
        has_signal=has_signal,
        in_view=in_view,
    )


def acquire(image: Tensor, acquisition: Acquisition, noise: Tensor | None) -> Tensor:
    """Returns the intensities that the scanner measures.

    Args:
        image: `(batch, *window)`, not negative.
        acquisition: What the scanner does.
        noise: `(batch, *window)`, standard normal; or None.
    """
    window = tuple(image.shape[1:])
    if acquisition.bias is not None:
        image = image * ops.exp(bias_logarithm(acquisition.bias, window))
    if acquisition.to_slices is not None:
        image = along_axes(image, acquisition.to_slices)
    if acquisition.noise is not None:
        # Scanners show magnitudes: the noise of the air is not negative either.
        image = ops.abs(image + of_examples(acquisition.noise, len(window)) * noise)
    if acquisition.to_voxels is not None:
        image = along_axes(image, acquisition.to_voxels)
    if acquisition.gammas is not None:
        image = change_gamma(image, acquisition.gammas, 0.0, WHITE)
    return image


def zero_outside(values: Tensor, lines: Sequence[Tensor]) -> Tensor:
    """Returns values where the scan is, 0 elsewhere.

    Args:
        values: `(batch, *window)`.
        lines: For each axis `(batch, size)`, 1 where the scan is, else 0.
    """
    for axis, line in enumerate(lines, start=1):
        shape = [1] * len(values.shape)
        shape[0], shape[axis] = line.shape
        values = values * ops.cast(ops.reshape(line, shape), values.dtype)
    return values


def _draw_resolution(settings, frame, rng):
    """Returns for each axis the matrices from voxels to slices and from slices to voxels."""
    sizes, steps = frame.window, np.array(frame.spacing)
    blurs = rng.uniform(0, settings.blur, len(sizes)) / steps
    to_slices = [gaussian_blur(*line) for line in zip(sizes, blurs)]
    to_voxels = [np.eye(size, dtype="float32") for size in sizes]
    axis = rng.integers(len(sizes))
    if rng.random() < settings.thick_slices:
        thickness = max(1.0, rng.uniform(steps[axis], max(steps[axis], settings.slice_thickness)) / steps[axis])
        thick, to_voxels[axis] = thick_slices(sizes[axis], thickness)
        to_slices[axis] = to_slices[axis] @ thick
    return tuple(to_slices), tuple(to_voxels)


def _draw_ends(settings, size, step, rng):
    """Returns which voxels of a line are in the field of view, and for each voxel the nearest one that is."""
    depths = rng.uniform(0, settings.crop_depth / step, 2) * (rng.random(2) < settings.crop)
    depths = np.minimum(depths.astype(int), (size - 1) // 2)  # at least one voxel remains
    nearest = np.clip(np.arange(size), depths[0], size - 1 - depths[1])
    return (nearest == np.arange(size)).astype("float32"), nearest


def _draw_bias(settings, rank, rng):
    """Returns the nodes of a field whose logarithm has the mean 0."""
    deviation = rng.uniform(0, settings.bias_field)
    nodes = rng.normal(0, deviation, (BIAS_NODES,) * rank) * unit_deviation(BIAS_NODES, (LINE,) * rank)
    mean = nodes
    for _ in range(rank):
        mean = np.tensordot(b_spline(BIAS_NODES, LINE).mean(axis=1), mean, 1)
    return (nodes - mean).astype("float32")

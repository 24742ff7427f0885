"""What a scanner makes of intensities: an uneven field, slices, noise, another contrast, and an end."""

from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.transforms.separable_operators import BIAS_NODES, along_axes, gaussian, slices, smooth_spline, spread

# Voxels of the line on which the field's mean and deviation are reckoned; more would change neither.
LINE = 64
# The scale of the prior's intensities; a power leaves 0 and this as they are.
WHITE = 255.0


class Scanner(NamedTuple):
    """What is done to the intensities of a batch, in this order; None where nothing is.

    Args:
        bias: `(batch, *[BIAS_NODES] * n)`, nodes of the logarithm of a field that multiplies them.
        slices: for each axis `(batch, size, size)`, from voxels to blurred or thick slices.
        noise: `(batch,)`, deviation of the noise in the slices.
        voxels: for each axis `(batch, size, size)`, from slices to voxels, the last ones continued.
        gammas: `(batch,)`, powers.
        lit: for each axis `(batch, size)`, 0 where the scan has ended and zeros follow, else 1.
        seen: for each axis `(batch, size)`, 0 where the scan has ended, whatever follows, else 1.
    """

    bias: np.ndarray | None = None
    slices: tuple | None = None
    noise: np.ndarray | None = None
    voxels: tuple | None = None
    gammas: np.ndarray | None = None
    lit: tuple | None = None
    seen: tuple | None = None


def draw_scanner(settings, frame, rng):
    """Returns the random `Scanner` of one example, without the batch's axis; arguments as in `RandomScan`."""
    to_slices, to_voxels = _draw_resolution(settings, frame, rng)
    lit = seen = None
    if settings.crop:
        seen, ends = zip(*(_draw_ends(settings, size, step, rng) for size, step in zip(frame.window, frame.spacing)))
        is_continued = rng.random() < 0.5
        lit = tuple(np.ones_like(line) for line in seen) if is_continued else seen
        to_voxels = tuple(matrix[:, line] for matrix, line in zip(to_voxels, ends))
    return Scanner(
        bias=_draw_bias(settings, len(frame.window), rng) if settings.bias_field else None,
        slices=to_slices if settings.blur or settings.thick_slices else None,
        noise=np.float32(rng.uniform(0, settings.noise)) if settings.noise else None,
        voxels=to_voxels if settings.thick_slices or settings.crop else None,
        gammas=np.float32(np.exp(rng.normal(0, settings.gamma))) if settings.gamma else None,
        lit=lit,
        seen=seen,
    )


def scan(image, scanner, noise):
    """Returns what the scanner makes of intensities.

    Args:
        image: `(batch, *window)`, not negative.
        scanner: `Scanner`.
        noise: `(batch, *window)`, standard normal; or None.
    """
    window = tuple(image.shape[1:])
    if scanner.bias is not None:
        image = image * ops.exp(along_axes(scanner.bias, [smooth_spline(BIAS_NODES, size) for size in window]))
    if scanner.slices is not None:
        image = along_axes(image, scanner.slices)
    if scanner.noise is not None:
        image = ops.abs(image + _for_window(scanner.noise, window) * noise)  # the air's noise is not negative either
    if scanner.voxels is not None:
        image = along_axes(image, scanner.voxels)
    if scanner.gammas is not None:
        image = WHITE * (image / WHITE) ** _for_window(scanner.gammas, window)
    return image


def within(values, ends):
    """Returns values where the scan is, 0 elsewhere.

    Args:
        values: `(batch, *window)`.
        ends: for each axis `(batch, size)`, of ones and zeros.
    """
    for axis, line in enumerate(ends, start=1):
        shape = [1] * len(values.shape)
        shape[0], shape[axis] = line.shape
        values = values * ops.cast(ops.reshape(line, shape), values.dtype)
    return values


def _draw_resolution(settings, frame, rng):
    """Returns for each axis the matrices from voxels to slices and from slices to voxels."""
    sizes, steps = frame.window, np.array(frame.spacing)
    blurs = rng.uniform(0, settings.blur, len(sizes)) / steps
    to_slices = [gaussian(*line) for line in zip(sizes, blurs)]
    to_voxels = [np.eye(size, dtype="float32") for size in sizes]
    axis = rng.integers(len(sizes))
    if rng.random() < settings.thick_slices:
        thickness = max(1.0, rng.uniform(steps[axis], max(steps[axis], settings.slice_thickness)) / steps[axis])
        thick, to_voxels[axis] = slices(sizes[axis], thickness)
        to_slices[axis] = to_slices[axis] @ thick
    return tuple(to_slices), tuple(to_voxels)


def _draw_ends(settings, size, step, rng):
    """Returns where on a line of voxels the scan is, and for each voxel the nearest one where it is."""
    depths = rng.uniform(0, settings.crop_depth / step, 2) * (rng.random(2) < settings.crop)
    depths = np.minimum(depths.astype(int), (size - 1) // 2)  # one voxel at least is left
    nearest = np.clip(np.arange(size), depths[0], size - 1 - depths[1])
    return (nearest == np.arange(size)).astype("float32"), nearest


def _draw_bias(settings, rank, rng):
    """Returns the nodes of a field whose logarithm has the mean 0."""
    deviation = rng.uniform(0, settings.bias_field)
    nodes = rng.normal(0, deviation, (BIAS_NODES,) * rank) * spread(BIAS_NODES, (LINE,) * rank)
    mean = nodes
    for _ in range(rank):
        mean = np.tensordot(smooth_spline(BIAS_NODES, LINE).mean(axis=1), mean, 1)
    return (nodes - mean).astype("float32")


def _for_window(values, window):
    return ops.reshape(values, (-1,) + (1,) * len(window))

"""What an exported network is tried on: images that need no scan, in sizes that the network takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# More voxels prove no more, and take long.
MOST_VOXELS = 2**16
STEP = 32  # every network of up to five levels takes multiples of it
COARSE = 4  # side of the cubes that have one intensity, in voxels


def probes(model: Any, window: tuple[int, ...] | None = None) -> list[np.ndarray]:
    """Returns images for a model: one of its own size and, where sizes are free, a second one of another size.

    Args:
        model: `keras.Model` with one input `(batch, *spatial, channels)`.
        window: Spatial sizes that the network was made for, or None.
    """
    *sizes, channels = model.input_shape[1:]
    step = _step(model)
    if None not in sizes:
        batch = 2 if math.prod(sizes) <= MOST_VOXELS else 1
        return [image((batch, *sizes, channels))]
    rank = len(sizes)
    first = _shrunk(window or (3 * step,) * rank, step)
    second = [step * (2 + axis % 2) for axis in range(rank)]
    shapes = [[own or free for own, free in zip(sizes, chosen)] for chosen in (first, second)]
    return [image((batch, *shape, channels)) for batch, shape in zip((1, 2), shapes)]


def image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Returns a random image of mean 0 and variance 1: coarse cubes of one intensity, and fine noise.

    Args:
        shape: `(batch, *spatial, channels)`.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(shape[0], *(-(-size // COARSE) for size in shape[1:-1]), shape[-1]))
    for axis, size in enumerate(shape[1:-1], start=1):
        coarse = coarse.repeat(COARSE, axis).take(range(size), axis)
    return ((coarse + 0.3 * random.normal(size=shape)) / math.hypot(1, 0.3)).astype("float32")


def _step(model):
    """Returns a number whose multiples a model takes as sizes, which may be an ensemble of networks."""
    networks = [model, *(getattr(layer, "network", None) for layer in model.layers)]
    found = [network.architecture for network in networks if hasattr(network, "architecture")]
    return math.lcm(*(each.patch_size * 2**each.levels for each in found)) if found else STEP


def _shrunk(window, step):
    """Returns sizes that are like a window, but fewer voxels, and multiples of a step."""
    sizes = list(window)
    while math.prod(sizes) > MOST_VOXELS and max(sizes) > step:
        largest = sizes.index(max(sizes))
        sizes[largest] = max(step, sizes[largest] // 2 // step * step)
    return tuple(sizes)

"""What the machine offers a training: memory, a fast number format, and how long a step takes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np

from recalib_keras.core.memory import free_memory
from recalib_keras.training.data.examples import Examples, Scan
from recalib_keras.training.distributed.strategy import accelerator
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy
from recalib_keras.training.network import build_network, is_fast_in_bfloat16
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.recipe import Recipe

GIB = 2**30
UNKNOWN_GPU = 8 * GIB  # taken for the memory of a GPU whose backend does not say
TIMED_STEPS = 4


class Machine(NamedTuple):
    """What a training can use.

    Args:
        device: Name of the GPU, or None for the CPU.
        memory: Bytes that are free on it.
        has_bfloat16: Whether it computes in bfloat16 as fast as in float32, or faster.
    """

    device: str | None
    memory: int
    has_bfloat16: bool

    @classmethod
    def here(cls) -> Machine:
        """Returns what this machine offers."""
        device = accelerator()
        memory = (free_memory() or 4 * GIB) if device is None else _gpu_memory()
        return cls(device, memory, is_fast_in_bfloat16())


def seconds_per_step(recipe: Recipe, shape: tuple[int, int, int]) -> float:
    """Returns how long a step of a training takes here: examples are prepared, changed and learned from.

    Args:
        recipe: The recipe.
        shape: Voxels of a scan; of a large one a part is enough.
    """
    part = tuple(min(size, 2 * max(one, 8)) for size, one in zip(shape, recipe.input.window))
    scans = [_noise(part, recipe, seed) for seed in range(2)]
    model = build_network(recipe)
    model.compile(make_optimizer(recipe, 1), DiceCrossEntropy.of(recipe))
    first, timed = (_fixed(recipe, steps) for steps in (1, TIMED_STEPS))
    model.fit(Examples(scans, first, 0).for_fit(), verbose=0, shuffle=False)  # compiles
    start = time.perf_counter()
    model.fit(Examples(scans, timed, 1).for_fit(), verbose=0, shuffle=False)
    return (time.perf_counter() - start) / TIMED_STEPS


def _fixed(recipe, steps):
    return replace(recipe, schedule=replace(recipe.schedule, steps_per_epoch=steps))


def _noise(shape, recipe, seed):
    rng, channels = np.random.default_rng(seed), recipe.input.num_channels
    image = rng.standard_normal(shape if channels == 1 else (*shape, channels), "float32")
    return Scan(f"noise {seed}", image, rng.integers(len(recipe.labels), size=shape, dtype="uint8"))


def _gpu_memory():
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.mem_get_info()[0]
    if backend == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("bytes_limit", UNKNOWN_GPU)
    return UNKNOWN_GPU

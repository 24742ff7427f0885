"""The sizes of a network: what its levels pool, its kernels, and the windows that fit; see `architecture`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

# Beyond these no network was ever useful, and none can be built in reasonable time and memory.
MOST_LEVELS, MOST_FILTERS, MOST_KERNEL_SIZE, MOST_PATCH_SIZE = 16, 8192, 63, 64


def check_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    """Checks that an argument is an integer in a range.

    Args:
        name: The argument.
        value: Its value.
        least: The smallest one.
        most: The largest one; None for no limit.

    Raises:
        ValueError: If it is not an integer, or lies outside.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise ValueError(f"expected `{name}` to be an integer, got {value!r}")
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None or value < least else f"at most {most}"
        raise ValueError(f"expected `{name}` to be {allowed}, got {value}")


def as_tuples(value: Any) -> Any:
    """Returns a value with tuples instead of the lists that JSON and TOML have.

    Args:
        value: Numbers, or lists of them at any depth.
    """
    return tuple(map(as_tuples, value)) if isinstance(value, (list, tuple)) else value


def check_kernel_size(kernel_size: Any, levels: int, spatial_rank: int) -> None:
    """Checks the kernel size of a network: None, a size, one for each axis, or one or several for each level.

    Args:
        kernel_size: Integers and tuples of them.
        levels: Number of encoders; the bottleneck has a kernel size, too.
        spatial_rank: 2 or 3.

    Raises:
        ValueError: If it is none of these, or a size is below 1 or above 63.
    """
    if kernel_size is None:
        return
    by_levels = is_by_level(kernel_size)
    by_level = kernel_size if by_levels else [kernel_size]
    sizes = [size for one in by_level for size in (one if isinstance(one, tuple) else (one,) * spatial_rank)]
    fits = len(sizes) == len(by_level) * spatial_rank and (not by_levels or len(by_level) == levels + 1)
    if not fits or not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ValueError(
            f"expected `kernel_size` to be a size from 1, {spatial_rank} for the axes, or a list of {levels + 1} such "
            f"for {levels} levels and the bottleneck, at least one of them for the axes, got {kernel_size}"
        )
    if max(sizes) > MOST_KERNEL_SIZE:
        raise ValueError(f"expected `kernel_size` to be at most {MOST_KERNEL_SIZE}, got {kernel_size}")


def check_pool_sizes(pool_sizes: Any, levels: int, spatial_rank: int) -> None:
    """Checks that each level has a factor of pooling for each axis, and halves one of them at least.

    Args:
        pool_sizes: A tuple for each level, or None.
        levels: Number of encoders.
        spatial_rank: 2 or 3.

    Raises:
        ValueError: If there are more or fewer, or a factor is neither 1 nor 2.
    """
    if pool_sizes is None:
        return
    by_level = pool_sizes if isinstance(pool_sizes, tuple) else ()
    fits = all(
        one == 2 or (isinstance(one, tuple) and len(one) == spatial_rank and {*one} <= {1, 2} and 2 in one)
        for one in by_level
    )
    if len(by_level) != levels or not fits:
        example = [(2,) * (spatial_rank - 1) + (1,)] + [(2,) * spatial_rank] * (levels - 1)
        raise ValueError(
            f"expected `pool_sizes` to have, for each of {levels} levels, 1 or 2 for each of {spatial_rank} axes and 2 "
            f"for one of them, such as {example}, got {pool_sizes}"
        )


def total_pooling(levels: int, spatial_rank: int, pool_sizes: Sequence[int | Sequence[int]] | None) -> tuple[int, ...]:
    """Returns by how much all levels together pool each axis.

    Args:
        levels: Number of encoders.
        spatial_rank: 2 or 3.
        pool_sizes: As of an `Architecture`.

    Example:
        >>> total_pooling(2, 3, [(2, 2, 1), 2])
        (4, 4, 2)
    """
    by_level = [(one,) * spatial_rank if isinstance(one, int) else one for one in pool_sizes or (2,) * levels]
    return tuple(math.prod(factors) for factors in zip(*by_level))


def check_size(
    sizes: Sequence[int | None],
    levels: int,
    patch_size: int = 1,
    pool_sizes: Sequence[int | Sequence[int]] | None = None,
) -> None:
    """Checks that every known spatial size can be divided by `patch_size`, then pooled by all levels.

    Args:
        sizes: In voxels; None for an unknown one.
        levels: Number of encoders.
        patch_size: Side of the patches, in voxels.
        pool_sizes: As of an `Architecture`.

    Raises:
        ValueError: If a size does not fit; it names the nearest sizes that do.
    """
    steps = [patch_size * factor for factor in total_pooling(levels, len(sizes), pool_sizes)]
    if all(size is None or size % step == 0 for size, step in zip(sizes, steps)):
        return
    nearest = [
        "any multiple" if size is None else " or ".join(str(fit) for fit in _nearest_multiples(size, step))
        for size, step in zip(sizes, steps)
    ]
    times_patch = f", times `patch_size`, {patch_size}" if patch_size > 1 else ""
    if pool_sizes is None:
        multiple = f"every spatial size to be a multiple of {steps[0]} (2 to the number of levels, {levels}"
    else:
        multiple = f"the spatial sizes to be multiples of {tuple(steps)} (the products of `pool_sizes`"
    is_short = [size is not None and size < step for size, step in zip(sizes, steps)]
    pool_less = "; or pool the short axes less often, by `pool_sizes`" if any(is_short) and not all(is_short) else ""
    fits = f"the nearest that fit: ({', '.join(nearest)}){pool_less}"
    raise ValueError(f"expected {multiple}{times_patch}), got {tuple(sizes)}; {fits}")


def is_by_level(kernel_size: Any) -> bool:
    """Returns whether there is a kernel size for each level: a flat tuple has one for each axis.

    Args:
        kernel_size: As of an `Architecture`.
    """
    return isinstance(kernel_size, tuple) and any(isinstance(size, tuple) for size in kernel_size)


def _nearest_multiples(size, step):
    below = size // step * step
    return [fit for fit in ((below,) if size == below else (below, below + step)) if fit]

"""Normal noise for every voxel, made on the device and the same on every backend."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras import ops

from recalib_keras.transforms import Tensor

# The finalizer "lowbias32" that Chris Wellons found by search (nullprogram.com, "Prospecting for Hash Functions",
# 2018), as signed numbers: it maps a 32-bit integer to one whose bits look independent.
FACTORS = (0x7FEB352D, 0x846CA68B - 2**32)
SHIFTS = (16, 15, 16)
HALF = 16  # bits


def normal_pair(shape: Sequence[int], keys: Tensor) -> tuple[Tensor, Tensor]:
    """Returns two independent tensors `(batch, *shape)` of standard normal noise.

    The number of each voxel plus the key of its example is hashed to 32 bits. Half of the bits give the angle, half
    the radius of a point in the plane, whose two coordinates are normal (Box and Muller, 1958). With 16 bits no value
    exceeds 4.9.

    Args:
        shape: Sizes in voxels.
        keys: `(batch,)` int32, drawn from all 32-bit integers. Two keys that are close to each other would give the
            same noise, shifted; so many different keys make this improbable.
    """
    voxels = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), (1, -1))
    bits = hash_bits(voxels + ops.reshape(keys, (-1, 1)))
    turn = ops.cast(ops.bitwise_and(bits, 2**HALF - 1), "float32") * (2 * math.pi / 2**HALF)
    share = (ops.cast(_shifted(bits, HALF), "float32") + 0.5) * 2**-HALF
    radius = ops.sqrt(-2 * ops.log(share))
    return tuple(ops.reshape(radius * part(turn), (-1, *shape)) for part in (ops.cos, ops.sin))


def hash_bits(bits: Tensor) -> Tensor:
    """Returns int32 numbers whose bits look independent of the given ones; different numbers give different ones."""
    for shift, factor in zip(SHIFTS, FACTORS):
        bits = ops.bitwise_xor(bits, _shifted(bits, shift)) * ops.cast(factor, "int32")
    return ops.bitwise_xor(bits, _shifted(bits, SHIFTS[-1]))


def _shifted(bits, count):
    """Returns bits shifted to the right, filled up with zeros instead of the sign."""
    return ops.bitwise_and(ops.right_shift(bits, count), 2 ** (32 - count) - 1)

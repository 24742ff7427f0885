"""Masking: the skull is stripped, or the air gets one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.synthesis.label_table import LabelTable
from recalib_keras.synthesis.settings import Synthesis
from recalib_keras.transforms import Tensor
from recalib_keras.transforms.lookup import of_examples, of_labels
from recalib_keras.transforms.separable_operators import along_axes, gaussian_blur

# How tightly the skull is stripped. The share of brain around each voxel is averaged by a Gaussian of 4 mm, and
# intensities are kept from a share drawn between these: on a plane, 5 mm to 1 mm outside the brain.
SURROUNDINGS = 4.0  # mm
SHARES = (0.1, 0.4)
# Air begins where half of the surroundings is air.
HEAD_SHARE = 0.5
ALL = -1.0


class Mask(NamedTuple):
    """What is kept of the scans of a batch.

    Args:
        kept: `(batch, labels)`, 1 for the labels around which intensities are kept, else 0.
        shares: `(batch,)`, the smallest share of these labels around a voxel that is kept.
        fills: `(batch,)`, the intensity of everything that is not kept.
    """

    kept: np.ndarray
    shares: np.ndarray | np.floating
    fills: np.ndarray | np.floating


def draw_mask(settings: Synthesis, table: LabelTable, rng: np.random.Generator) -> Mask | None:
    """Returns the random `Mask` of one example, without the batch axis; None if the settings mask nothing.

    Args:
        settings: How far scans vary.
        table: The labels.
        rng: Source of the random numbers.
    """
    if not settings.skull_stripping and not settings.constant_background:
        return None
    is_stripped, is_constant, is_zero = rng.random(3) < (settings.skull_stripping, settings.constant_background, 0.5)
    fill = 0.0 if is_zero else rng.uniform(0, settings.background_value)
    kept = table.is_segmented if is_stripped else table.numbers != 0
    share = rng.uniform(*SHARES) if is_stripped else HEAD_SHARE if is_constant else ALL
    return Mask(kept.astype("float32"), np.float32(share), np.float32(fill))


def apply_mask(
    image: Tensor, classes: Tensor, labels: Tensor, mask: Mask, spacing: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Returns the image with one value where it is not kept, and the classes with 0 where a structure is masked.

    Args:
        image: `(batch, *window)`.
        classes: `(batch, *window)`, integer; voxels whose label is kept keep their class.
        labels: `(batch, *window)`, integer.
        mask: What is kept.
        spacing: Voxel size along each axis in mm.
    """
    around = [gaussian_blur(size, SURROUNDINGS / step) for size, step in zip(image.shape[1:], spacing)]
    kept = of_labels(mask.kept, labels)
    shares, fills = (of_examples(values, len(spacing)) for values in (mask.shares, mask.fills))
    is_seen = along_axes(kept, around) >= shares
    return ops.where(is_seen, image, fills), ops.where(ops.logical_or(is_seen, kept > 0), classes, 0)

"""What is taken out of a scan: all but the brain, or the noise of the air."""

from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.synthesis.tissues import of_labels
from recalib_keras.transforms.separable_operators import along_axes, gaussian

# How tightly the skull is stripped. The share of brain in the surroundings of each voxel is averaged by a Gaussian of
# 4 mm, and intensities are kept from a share drawn between these: on a plane, 5 mm to 1 mm outside the brain.
SURROUNDINGS = 4.0  # mm
SHARES = (0.1, 0.4)
# Air begins where half of the surroundings is air.
HEAD_SHARE = 0.5
ALL = -1.0


class Removal(NamedTuple):
    """What is kept of the scans of a batch.

    Args:
        kept: `(batch, labels)`, 1 for the labels around which intensities are kept, else 0.
        shares: `(batch,)`, from which share of them in the surroundings of a voxel.
        fills: `(batch,)`, the intensity of all that is not kept.
    """

    kept: np.ndarray
    shares: np.ndarray
    fills: np.ndarray


def draw_removal(settings, table, rng):
    """Returns the random `Removal` of one example, without the batch's axis; None if the settings remove nothing."""
    if not settings.skull_stripping and not settings.constant_background:
        return None
    is_stripped, is_constant, is_zero = rng.random(3) < (settings.skull_stripping, settings.constant_background, 0.5)
    fill = 0.0 if is_zero else rng.uniform(0, settings.background_value)
    kept = table.is_segmented if is_stripped else table.numbers != 0
    share = rng.uniform(*SHARES) if is_stripped else HEAD_SHARE if is_constant else ALL
    return Removal(kept.astype("float32"), np.float32(share), np.float32(fill))


def remove(image, classes, labels, removal, spacing):
    """Returns the image with what is not kept filled by one value, and the classes, 0 where a structure is so gone.

    Args:
        image: `(batch, *window)`.
        classes: `(batch, *window)`, integer; those of labels to keep stay as they are.
        labels: `(batch, *window)`, integer.
        removal: `Removal`.
        spacing: size of the voxels along each axis in mm.
    """
    around = [gaussian(size, SURROUNDINGS / step) for size, step in zip(image.shape[1:], spacing)]
    kept = of_labels(removal.kept, labels)
    cuts, fills = (ops.reshape(x, (-1,) + (1,) * len(spacing)) for x in (removal.shares, removal.fills))
    is_seen = along_axes(kept, around) >= cuts
    return ops.where(is_seen, image, fills), ops.where(ops.logical_or(is_seen, kept > 0), classes, 0)

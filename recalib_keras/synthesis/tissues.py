"""Tissues: from labels to intensities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.synthesis.geometry import Frame
from recalib_keras.synthesis.label_table import LabelTable
from recalib_keras.synthesis.settings import Synthesis
from recalib_keras.transforms import Tensor
from recalib_keras.transforms.lookup import of_labels
from recalib_keras.transforms.separable_operators import along_axes, noise_blur


class Tissues(NamedTuple):
    """Intensities of the labels, for a batch.

    Args:
        means: `(batch, labels)`.
        deviations: `(batch, labels)`; or None if all voxels of a tissue have the same intensity.
        blurs: For each axis `(batch, size, size)`, what makes the texture of tissues from white noise; or None.
    """

    means: np.ndarray
    deviations: np.ndarray | None
    blurs: tuple[np.ndarray, ...] | None


def draw_tissues(settings: Synthesis, table: LabelTable, frame: Frame, rng: np.random.Generator) -> Tissues:
    """Returns the random `Tissues` of one example, without the batch axis.

    Args:
        settings: How far scans vary.
        table: The labels and their prior.
        frame: Window and voxel sizes.
        rng: Source of the random numbers.
    """
    means, deviations = _draw_t1(settings, table, rng)
    if rng.random() < settings.random_contrast:
        contrast = _draw_random_contrast(settings, table, rng)
        is_air = table.numbers == 0  # air is dark in every contrast
        means, deviations = (np.where(is_air, *pair) for pair in zip((means, deviations), contrast))
    if rng.random() < settings.partial_skull:
        is_removed = table.is_outside & (rng.random(len(means)) < 0.5)
        means, deviations = (np.where(is_removed, x[table.numbers == 0], x) for x in (means, deviations))
    blurs = None
    if settings.texture and settings.texture_scale:
        length = rng.uniform(0, settings.texture_scale)
        blurs = tuple(noise_blur(size, length / step) for size, step in zip(frame.window, frame.spacing))
    return Tissues(
        means=np.maximum(means, 0).astype("float32"),
        deviations=(np.maximum(deviations, 0) * settings.texture).astype("float32") if settings.texture else None,
        blurs=blurs,
    )


def paint(places: Sequence[Tensor], tissues: Tissues, noise: Tensor | None) -> Tensor:
    """Returns intensities `(batch, *window)`: the mean of the tissues at several places in each voxel.

    Args:
        places: For each place the labels, integer tensors `(batch, *window)`.
        tissues: Intensities of the labels.
        noise: `(batch, *window)`, standard normal; or None.
    """
    image = sum(of_labels(tissues.means, labels) for labels in places) / len(places)
    if tissues.deviations is None:
        return image
    if tissues.blurs is not None:
        noise = along_axes(noise, tissues.blurs)
    deviation = sum(of_labels(tissues.deviations, labels) for labels in places) / len(places)
    return ops.maximum(image + deviation * noise, 0)  # scanners show magnitudes


def _draw_t1(settings, table, rng):
    """Returns means and deviations of a T1 scan, for each label."""
    prior, spread = table.t1_prior, settings.prior_spread
    means = rng.normal(prior.mean_mu, spread * np.array(prior.mean_sigma))
    deviations = rng.normal(prior.std_mu, spread * np.array(prior.std_sigma))
    classes = np.array([entry.class_t1 for entry in table.labels])
    return means[classes], deviations[classes]


def _draw_random_contrast(settings, table, rng):
    """Returns means and deviations drawn uniformly for each class; both sides are alike, unless asymmetry is drawn."""
    classes = np.array([entry.class_random_contrast for entry in table.labels])
    means = rng.uniform(*settings.mean_range, classes.max() + 1)
    deviations = rng.uniform(*settings.deviation_range, classes.max() + 1)
    if not rng.random() < settings.asymmetry:
        classes = np.minimum(classes, classes[table.mirrors])
    return means[classes], deviations[classes]

"""How the tissues of a scan look: from labels to intensities."""

from typing import NamedTuple

import numpy as np
from keras import ops

from recalib_keras.transforms.separable_operators import along_axes, texture


class Tissues(NamedTuple):
    """Intensities of the labels, for a batch.

    Args:
        means: `(batch, labels)`.
        deviations: `(batch, labels)`; or None where all voxels of a tissue are alike.
        lengths: for each axis `(batch, size, size)`, what gives the noise of the tissues a length; or None.
    """

    means: np.ndarray
    deviations: np.ndarray | None
    lengths: tuple | None


def draw_tissues(settings, table, frame, rng):
    """Returns the random `Tissues` of one example, without the batch's axis; arguments as in `RandomScan`."""
    means, deviations = _of_t1(settings, table, rng)
    if rng.random() < settings.random_contrast:
        contrast = _of_random_contrast(settings, table, rng)
        is_air = table.numbers == 0  # air is dark in every contrast
        means, deviations = (np.where(is_air, *pair) for pair in zip((means, deviations), contrast))
    if rng.random() < settings.partial_skull:
        is_removed = table.is_outside & (rng.random(len(means)) < 0.5)
        means, deviations = (np.where(is_removed, x[table.numbers == 0], x) for x in (means, deviations))
    lengths = None
    if settings.texture and settings.texture_scale:
        length = rng.uniform(0, settings.texture_scale)
        lengths = tuple(texture(size, length / step) for size, step in zip(frame.window, frame.spacing))
    return Tissues(
        means=np.maximum(means, 0).astype("float32"),
        deviations=(np.maximum(deviations, 0) * settings.texture).astype("float32") if settings.texture else None,
        lengths=lengths,
    )


def paint(places, tissues, noise):
    """Returns the intensities `(batch, *window)`: of the tissues at several places in each voxel, the mean.

    Args:
        places: list of tensors of labels `(batch, *window)`.
        tissues: `Tissues`.
        noise: `(batch, *window)`, standard normal; or None.
    """
    image = sum(of_labels(tissues.means, labels) for labels in places) / len(places)
    if tissues.deviations is None:
        return image
    if tissues.lengths is not None:
        noise = along_axes(noise, tissues.lengths)
    deviation = sum(of_labels(tissues.deviations, labels) for labels in places) / len(places)
    return ops.maximum(image + deviation * noise, 0)  # scanners show magnitudes


def of_labels(values, labels):
    """Returns the value of each voxel's label.

    Args:
        values: `(batch, labels)`.
        labels: `(batch, *window)`, integer.
    """
    batch, count = values.shape
    starts = ops.reshape(ops.arange(batch, dtype="int32") * count, (-1,) + (1,) * (len(labels.shape) - 1))
    return ops.take(ops.reshape(values, (-1,)), ops.cast(labels, "int32") + starts)


def _of_t1(settings, table, rng):
    prior, spread = table.t1_prior, settings.prior_spread
    means = rng.normal(prior.mean_mu, spread * np.array(prior.mean_sigma))
    deviations = rng.normal(prior.std_mu, spread * np.array(prior.std_sigma))
    classes = np.array([entry.class_t1 for entry in table.labels])
    return means[classes], deviations[classes]


def _of_random_contrast(settings, table, rng):
    """Returns means and deviations drawn evenly, by class; both sides alike, unless asymmetry will have it."""
    classes = np.array([entry.class_random_contrast for entry in table.labels])
    means = rng.uniform(*settings.mean_range, classes.max() + 1)
    deviations = rng.uniform(*settings.deviation_range, classes.max() + 1)
    if not rng.random() < settings.asymmetry:
        classes = np.minimum(classes, classes[table.mirrors])
    return means[classes], deviations[classes]

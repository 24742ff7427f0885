"""Labels of a volume of any size from a network that sees windows of one size."""

import itertools

import numpy as np

# Isensee et al., nnU-Net, Nature Methods 2021: half a window of overlap, a Gaussian of an eighth of the window.
OVERLAP = 0.5
GAUSSIAN_SIGMA = 1 / 8
# Small windows go through the network several at a time, up to about this many voxels.
VOXELS_PER_BATCH = 2**18


def predict_labels(image, predict, window, num_classes, overlap=OVERLAP, progress=None):
    """Returns the most probable class of each voxel.

    The image is padded with its own edge to the window's size where it is smaller, and covered by overlapping
    windows where it is larger; their probabilities are averaged with Gaussian weights. Probabilities are kept for one
    window's width along the first axis only: what no further window reaches becomes labels at once.

    Args:
        image: float array `(X, Y, Z)`, oriented, resampled and normalised as the network expects.
        predict: function from `(batch, *window, 1)` to probabilities `(batch, *window, num_classes)`.
        window: three sizes in voxels.
        num_classes: integer.
        overlap: fraction of a window shared with the next one, from 0 to below 1.
        progress: function that wraps the sequence of windows, such as a progress bar, or None.

    Returns:
        Integer array `(X, Y, Z)` of class indices, the smallest type that holds them.
    """
    padding = [_padding(size, wanted) for size, wanted in zip(image.shape, window)]
    padded = np.pad(np.asarray(image, "float32"), padding, mode="edge")
    starts = [_starts(size, wanted, overlap) for size, wanted in zip(padded.shape, window)]
    places = list(itertools.product(*starts))
    importance = None if len(places) == 1 else _importance(window)[..., None]
    labels = np.empty(padded.shape, np.min_scalar_type(num_classes - 1))
    slab, slab_start = np.zeros((window[0], *padded.shape[1:], num_classes), "float32"), 0
    for place, probabilities in _predicted(padded, predict, window, progress(places) if progress else places, places):
        if place[0] > slab_start:
            slab_start = _flush(slab, labels, slab_start, place[0])
        target = slab[(slice(None), *(slice(s, s + w) for s, w in zip(place[1:], window[1:])))]
        target += probabilities if importance is None else probabilities * importance
    _flush(slab, labels, slab_start, padded.shape[0])
    return labels[tuple(slice(before, before + size) for (before, _), size in zip(padding, image.shape))]


def _predicted(padded, predict, window, pacemaker, places):
    """Yields each place with the probabilities there; the last batch is filled up, so that all have one size."""
    size = min(max(1, VOXELS_PER_BATCH // int(np.prod(window))), len(places))
    batch = np.zeros((size, *window, 1), "float32")
    waiting = []
    for index, place in enumerate(pacemaker):
        batch[len(waiting), ..., 0] = padded[tuple(slice(s, s + w) for s, w in zip(place, window))]
        waiting.append(place)
        if len(waiting) == size or index + 1 == len(places):
            yield from zip(waiting, predict(batch))
            waiting = []


def _flush(slab, labels, start, stop):
    """Turns the rows of the slab that lie before `stop` into labels and moves the others up; returns `stop`."""
    done = min(stop - start, slab.shape[0])
    np.argmax(slab[:done], axis=-1, out=(classes := np.empty(slab[:done].shape[:-1], np.intp)))
    labels[start : start + done] = classes
    slab[: slab.shape[0] - done] = slab[done:].copy()
    slab[slab.shape[0] - done :] = 0
    return stop


def _padding(size, wanted):
    missing = max(0, wanted - size)
    return missing // 2, missing - missing // 2


def _starts(size, window, overlap):
    """Returns evenly spread starts of windows that cover `size` with at least the overlap asked for."""
    step = max(1, int(window * (1 - overlap)))
    count = 1 + -(-(size - window) // step)
    return [round(index * (size - window) / max(1, count - 1)) for index in range(count)]


def _importance(window):
    """Returns Gaussian weights that fall from 1 at the centre of a window towards its borders, but not to zero."""
    axes = [np.arange(size) - (size - 1) / 2 for size in window]
    profiles = [np.exp(-0.5 * (axis / (size * GAUSSIAN_SIGMA)) ** 2) for axis, size in zip(axes, window)]
    weights = np.einsum("i,j,k->ijk", *profiles)
    return np.maximum(weights, 1e-3).astype("float32")

"""Labels of a volume of any size from a network that sees windows of one size."""

import itertools
import math

import numpy as np

# Isensee et al., nnU-Net, Nature Methods 2021: half a window of overlap, a Gaussian of an eighth of the window.
OVERLAP = 0.5
GAUSSIAN_SIGMA = 1 / 8
# Small windows go through the network several at a time, up to about this many voxels.
VOXELS_PER_BATCH = 2**18
# Probabilities waiting for further windows take no more memory than this, in bytes.
SLAB_MEMORY = 2**29


def predict_labels(image, predict, window, num_classes, overlap=OVERLAP, progress=None, slab_memory=SLAB_MEMORY):
    """Returns the most probable class of each voxel.

    The image is padded with its own edge to the window's size where it is smaller, and covered by overlapping
    windows where it is larger; their probabilities are averaged with Gaussian weights. Probabilities are kept for one
    window's width along the first axis only: what no further window reaches becomes labels at once. Where even that
    would be too much, columns along the first axis are done one after the other, and windows that reach into two of
    them are predicted twice. The labels are the same whatever the memory.

    Args:
        image: float array `(X, Y, Z)`, oriented, resampled and normalised as the network expects.
        predict: function from `(batch, *window, 1)` to probabilities `(batch, *window, num_classes)`.
        window: three sizes in voxels.
        num_classes: integer.
        overlap: fraction of a window shared with the next one, from 0 to below 1.
        progress: function that wraps the sequence of windows to come, such as a progress bar, or None.
        slab_memory: bytes for probabilities that wait for further windows.

    Returns:
        Integer array `(X, Y, Z)` of class indices, the smallest type that holds them.
    """
    padding = [_padding(size, wanted) for size, wanted in zip(image.shape, window)]
    padded = np.pad(image, padding, mode="edge") if np.any(padding) else image
    starts = [_starts(size, wanted, overlap) for size, wanted in zip(padded.shape, window)]
    places = list(itertools.product(*starts))
    importance = 1.0 if len(places) == 1 else _importance(window)[..., None]
    labels = np.empty(padded.shape, np.min_scalar_type(num_classes - 1))
    tasks = [
        (column, place)
        for column in _columns(padded.shape[1:], slab_memory // (4 * window[0] * num_classes))
        for place in places
        if all(
            start < part.stop and start + size > part.start for start, size, part in zip(place[1:], window[1:], column)
        )
    ]
    slab = None
    for (column, place), probabilities in _predicted(padded, predict, window, tasks, progress):
        if slab is None or slab.column != column:
            if slab is not None:
                slab.flush(padded.shape[0])
            slab = _Slab(labels, column, window, num_classes)
        slab.add(place, probabilities * importance)
    slab.flush(padded.shape[0])
    return labels[tuple(slice(before, before + size) for (before, _), size in zip(padding, image.shape))]


class _Slab:
    """Sums of weighted probabilities for one window's width along the first axis, inside one column."""

    def __init__(self, labels, column, window, num_classes):
        self.labels, self.column, self.window = labels, column, window
        self.sums = np.zeros((window[0], *(part.stop - part.start for part in column), num_classes), "float32")
        self.start = 0

    def add(self, place, probabilities):
        """Adds a window's probabilities; windows come in the order of their first coordinate."""
        self.flush(place[0])
        inner, outer = [], []
        for start, size, part in zip(place[1:], self.window[1:], self.column):
            low, high = max(start, part.start), min(start + size, part.stop)
            inner.append(slice(low - start, high - start))
            outer.append(slice(low - part.start, high - part.start))
        self.sums[(slice(None), *outer)] += probabilities[(slice(None), *inner)]

    def flush(self, stop):
        """Turns the rows before `stop` into labels and moves the others up."""
        done = min(stop - self.start, len(self.sums))
        if done:
            self.labels[(slice(self.start, self.start + done), *self.column)] = self.sums[:done].argmax(axis=-1)
            self.sums[:-done] = self.sums[done:]
            self.sums[-done:] = 0
            self.start = stop


def _predicted(padded, predict, window, tasks, progress):
    """Yields each task with the probabilities of its window; batches are filled up, so that all have one size."""
    size = min(max(1, VOXELS_PER_BATCH // math.prod(window)), len(tasks))
    batch = np.zeros((size, *window, 1), "float32")
    waiting = []
    for index, (column, place) in enumerate(progress(tasks) if progress else tasks):
        batch[len(waiting), ..., 0] = padded[tuple(slice(s, s + w) for s, w in zip(place, window))]
        waiting.append((column, place))
        if len(waiting) == size or index + 1 == len(tasks):
            yield from zip(waiting, predict(batch))
            waiting = []


def _columns(sizes, most_voxels):
    """Yields the parts of the cross-section, of `most_voxels` at most, that are done one after the other."""
    side = max(1, math.isqrt(int(most_voxels)))
    if math.prod(sizes) <= most_voxels:
        side = max(sizes)
    cuts = [[slice(start, min(start + side, size)) for start in range(0, size, side)] for size in sizes]
    yield from itertools.product(*cuts)


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
    return np.maximum(np.einsum("i,j,k->ijk", *profiles), 1e-3).astype("float32")

"""Labels of a volume of any size from networks that see windows of one size each."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recalib_keras.inference.sliding_window.aggregator import Slab
from recalib_keras.inference.sliding_window.partition import partition
from recalib_keras.inference.sliding_window.rows import ResampledRows, Rows
from recalib_keras.inference.sliding_window.windows import OVERLAP, Lattice, cut

# Small windows go through the network several at a time, up to about this many voxels. More make a CPU no faster, and
# every batch is filled up, so that small scans would take longer.
VOXELS_PER_BATCH = 2**16
# Probabilities waiting for further windows take no more memory than this, in bytes, or than those of so many windows
# where that is more: those of one are in memory anyhow.
SLAB_MEMORY = 2**29
SLAB_WINDOWS = 2


@dataclass(frozen=True)
class View:
    """One network's way to look at a volume.

    Args:
        predict: function from `(batch, *seen, 1)` to probabilities `(batch, *window, num_classes)`.
        window: three sizes in voxels.
        weight: how much its probabilities count beside those of other views, above 0.
        voxels_per_batch: about how many voxels to predict at a time; defaults to what suits a CPU.
        margin: how far it sees beyond the window on either side, three sizes in voxels.
    """

    predict: Callable
    window: tuple[int, int, int]
    weight: float = 1.0
    voxels_per_batch: int | None = None
    margin: tuple[int, int, int] = (0, 0, 0)


def predict_labels(image, predict, window, num_classes, overlap=OVERLAP, progress=None, slab_memory=None):
    """Returns the most probable class of each voxel by one network; see `average_labels`.

    Args:
        predict: function from `(batch, *window, 1)` to probabilities `(batch, *window, num_classes)`.
        window: three sizes in voxels.
        Others: as in `average_labels`.
    """
    return average_labels(image, [View(predict, window)], num_classes, overlap, progress, slab_memory)


def average_labels(
    image, views, num_classes, overlap=OVERLAP, progress=None, slab_memory=None, observe=None, lines=None
):
    """Returns the most probable class of each voxel by the weighted average of several networks.

    The image is covered by overlapping windows of each view, where it is larger than they are, and continued by its
    own edge, where it is smaller; the probabilities of a view's windows are averaged with Gaussian weights, and those
    averages with the weights of the views. Probabilities are kept for the largest window's width along the first axis
    only: what no further window reaches becomes labels at once. Where even that would be too much, the volume is cut
    into blocks that are done one after the other, and windows that reach into several are predicted for each. The
    labels are the same whatever the memory.

    Args:
        image: float array `(X, Y, Z)`, or anything with a shape that gives such arrays for three slices, oriented,
            resampled and normalised as the networks expect.
        views: list of `View`.
        num_classes: integer.
        overlap: fraction of a window shared with the next one, from 0 to below 1.
        progress: function that wraps the sequence of windows to come, such as a progress bar, or None.
        slab_memory: bytes for probabilities that wait for further windows; defaults to half a GiB, or to what two
            windows have where that is more.
        observe: function called with classes `(Y, Z)` and the sums of probabilities they come from,
            `(Y, Z, num_classes)`, of one row of a block at a time, such as `Confidence.observe`; or None. The sums of a
            voxel's probabilities add up to the sum of the views' weights.
        lines: three `recalib_keras.inference.sliding_window.output_grid.Line`, of the voxels of another grid among those of the image; the
            labels are then wanted there, by interpolated probabilities. Or None.

    Returns:
        Integer array `(X, Y, Z)`, or of the other grid's shape, of class indices, the smallest type that holds them.
    """
    lattices = [Lattice(image.shape, view.window, overlap) for view in views]
    if slab_memory is None:
        slab_memory = max(SLAB_MEMORY, SLAB_WINDOWS * 4 * num_classes * max(lattice.voxels for lattice in lattices))
    blocks = partition(image.shape, lattices, num_classes, slab_memory)
    shape = image.shape if lines is None else [len(line) for line in lines]
    labels = np.empty(shape, np.min_scalar_type(num_classes - 1))
    tasks = [task for block in blocks for task in _tasks(_rows(labels, lines, block, observe), lattices)]
    depth = max(lattice.reach[0] for lattice in lattices)
    slab = None
    for task, probabilities in _predicted(image, views, tasks, progress):
        if slab is None or slab.rows is not task.rows:
            if slab is not None:
                slab.finish()
            slab = Slab(task.rows, depth, num_classes)
        spans = lattices[task.view].spans(task.place, task.rows.needs)
        slab.add(spans, probabilities, views[task.view].weight)
    slab.finish()
    return labels


def windows_at_a_time(window, voxels):
    """Returns how many windows of a size go through a network at a time, for about so many voxels."""
    return max(1, voxels // math.prod(window))


def central_windows(image, window, margin=(0, 0, 0), most_voxels=VOXELS_PER_BATCH):
    """Returns the windows in the middle of an image, `(batch, *seen, 1)`: one, or several of `most_voxels`."""
    lattice = Lattice(image.shape, window)
    places = lattice.central_places(windows_at_a_time(window, most_voxels))
    return np.stack([cut(image, place, window, margin) for place in places]).astype("float32")[..., None]


def as_network_sees(windows, expects):
    """Returns windows `(batch, *seen, 1)` as a network takes them, `(batch, *expects.shape)`: slices as channels.

    Args:
        windows: array; of a 3-D network they stay as they are.
        expects: `recalib_keras.zoo.Input`.
    """
    axis = expects.slice_axis
    return windows if axis is None else np.ascontiguousarray(np.moveaxis(windows[..., 0], axis + 1, -1))


def _rows(labels, lines, block, observe):
    """Returns what makes labels of a block's rows."""
    return Rows(labels, block, observe) if lines is None else ResampledRows(labels, lines, block, observe)


class _Task(NamedTuple):
    """A window to predict for the rows of a block: the index of its view, and where it starts."""

    rows: Rows | ResampledRows
    view: int
    place: tuple


def _tasks(rows, lattices):
    """Returns the windows that a block's rows need, in the order of their start along the first axis."""
    tasks = [_Task(rows, view, place) for view, lattice in enumerate(lattices) for place in lattice.places(rows.needs)]
    return sorted(tasks, key=lambda task: (task.place[0], task.view, task.place))


def _predicted(image, views, tasks, progress):
    """Yields each task with the probabilities of its window; the batches of a view all have one size."""
    counts = [sum(task.view == index for task in tasks) for index in range(len(views))]
    batches = [_batch(view, count) for view, count in zip(views, counts)]
    waiting = []
    followers = itertools.chain(tasks[1:], [None])
    for task, next_task in zip(progress(tasks) if progress else tasks, followers):
        view, batch = views[task.view], batches[task.view]
        batch[len(waiting), ..., 0] = cut(image, task.place, view.window, view.margin)
        waiting.append(task)
        if len(waiting) == len(batch) or next_task is None or next_task.view != task.view:
            yield from zip(waiting, view.predict(batch))
            waiting = []


def _batch(view, count):
    size = min(windows_at_a_time(view.window, view.voxels_per_batch or VOXELS_PER_BATCH), count)
    seen = (size + 2 * beyond for size, beyond in zip(view.window, view.margin))
    return np.zeros((size, *seen, 1), "float32")

"""Predict the labels of a volume of any size with networks that see windows of one size each."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.inference.sliding_window.aggregator import Aggregator, WeightedWindow, partition
from recalib_keras.inference.sliding_window.output_grid import LabelRows, OutputGrid, SameGrid
from recalib_keras.inference.sliding_window.voxel_maps import VoxelMap, VoxelMaps
from recalib_keras.inference.sliding_window.window_rows import Prediction, WindowRows
from recalib_keras.volumes.windows import OVERLAP, Image, Observer, WindowGrid, cut, with_channel_axis
from recalib_keras.zoo.decision import Decide, most_probable

# Small windows go through the network several at a time, up to about this many voxels. More make a CPU no faster, and
# every batch is filled up, so that small scans would take longer.
VOXELS_PER_BATCH = 2**16
# Sums of probabilities that wait for further windows take no more memory than this, in bytes, or than those of
# this many windows where that is more: those of one are in memory anyway.
AGGREGATOR_MEMORY = 2**29
AGGREGATOR_WINDOWS = 2

# Wraps the sequence of windows to predict, such as a progress bar.
Progress = Callable[[Sequence], Iterable]


@dataclass(frozen=True)
class View:
    """One network's way to look at a volume.

    Args:
        predict: Function from `(batch, *seen, channels)` to probabilities `(batch, *window, num_classes)`; large ones
            may come as `WindowRows`. Its next call may overwrite an array.
        window: Three sizes in voxels.
        weight: Weight of its probabilities beside those of other views, above 0.
        voxels_per_batch: About how many voxels to predict at a time; None for what suits a CPU.
        margin: How many voxels it sees beyond the window on either side, along three axes.
        channels: Number of channels of the image.
    """

    predict: Callable[[np.ndarray], Prediction]
    window: tuple[int, int, int]
    weight: float = 1.0
    voxels_per_batch: int | None = None
    margin: tuple[int, ...] = (0, 0, 0)
    channels: int = 1


@dataclass(frozen=True)
class SlidingWindow:
    """Predicts the most probable class of each voxel by the weighted average of one or several networks.

    Overlapping windows of each view cover the image; beyond the image, its edge is repeated. The probabilities of a
    view's windows are averaged with Gaussian weights, and those averages with the weights of the views. Sums of
    probabilities are kept for the largest window's width along the first axis at most: what no further window reaches
    becomes labels at once. If even that needs too much memory, the volume is cut into blocks that are predicted one
    after the other, and a window that overlaps with several is predicted for each. The labels do not depend on the
    memory.

    Args:
        views: The networks.
        num_classes: Number of classes.
        overlap: Fraction of a window that the next one shares, from 0 to below 1.
        output_grid: Where the labels are wanted, by interpolated probabilities; None for the image's own voxels.
        observe: Function called with the classes `(Y, Z)` of one row of a block at a time and the sums of
            probabilities `(Y, Z, num_classes)` they come from, such as `Uncertainty.observe`; or None. The sums of a
            voxel add up to the sum of the views' weights.
        decide: Returns the classes of sums of probabilities, see `recalib_keras.zoo.decision`.
        progress: Function that wraps the sequence of windows to predict, such as a progress bar, or None.
        memory: Bytes for sums that wait for further windows; None for half a GiB, or for those of two windows where
            that is more.
        maps: Further maps of the output grid, which `predict` writes beside the labels, from the same sums.
        complete: If the views give a further channel behind the probabilities, changes the complete sums of a row in
            place, `(Y, Z, num_classes + 1)`; that channel is then averaged and interpolated like a probability, and
            only `maps` see it. None without such a channel.

    Example:
        >>> bright = SlidingWindow([View(lambda windows: np.concatenate([1 - windows, windows], -1), (4, 4, 4))], 2)
        >>> bright.predict(np.array([0.1, 0.9, 0.2, 0.8, 0.7], "float32").reshape(5, 1, 1)).ravel()
        array([0, 1, 0, 1, 1], dtype=uint8)
    """

    views: Sequence[View]
    num_classes: int
    overlap: float = OVERLAP
    output_grid: OutputGrid | None = None
    observe: Observer | None = None
    decide: Decide = most_probable
    progress: Progress | None = None
    memory: int | None = None
    maps: Sequence[VoxelMap] = ()
    complete: Callable[[np.ndarray], None] | None = None

    @property
    def channels(self) -> int:
        """The number of sums of a voxel."""
        return self.num_classes + (self.complete is not None)

    def empty(self, image: Image) -> np.ndarray:
        """Returns zeros for the classes of an image, in the smallest integer type that holds all of them."""
        shape = image.shape if self.output_grid is None else self.output_grid.shape
        return np.zeros(shape, np.min_scalar_type(self.num_classes - 1))

    def predict(self, image: Image, into: np.ndarray | None = None) -> np.ndarray:
        """Returns the class of each voxel of the output grid.

        Args:
            image: Float array `(X, Y, Z)`, or anything with a `shape` of three sizes that gives such arrays for three
                slices, those of several channels `(X, Y, Z, channels)`: oriented, resampled and normalised as the
                networks expect.
            into: Zeros of the output grid's shape, which become the classes; None for a new array in the smallest
                integer type that holds all classes.
        """
        grids = [WindowGrid(image.shape, view.window, self.overlap) for view in self.views]
        output = self.output_grid or SameGrid(image.shape)
        labels = self.empty(image) if into is None else into
        blocks = partition(image.shape, grids, self.channels, self._memory(grids))
        maps = VoxelMaps(labels, self._of_probabilities(self.decide), self.maps)
        rows = (output.rows(maps, block, self._observer) for block in blocks)
        tasks = [task for of_block in rows for task in _tasks(of_block, grids)]
        for _, predicted in itertools.groupby(self._predicted(image, tasks), key=lambda pair: id(pair[0].rows)):
            self._aggregate(predicted, grids)
        return labels

    def _of_probabilities(self, decide):
        """Returns a function of sums that does not see the further channel."""
        return decide if self.complete is None else lambda sums: decide(sums[..., : self.num_classes])

    @property
    def _observer(self):
        observe = self.observe
        if observe is None or self.complete is None:
            return observe
        return lambda classes, sums: observe(classes, sums[..., : self.num_classes])

    def _memory(self, grids):
        if self.memory is not None:
            return self.memory
        return max(AGGREGATOR_MEMORY, AGGREGATOR_WINDOWS * 4 * self.channels * max(grid.voxels for grid in grids))

    def _aggregate(self, predicted, grids):
        """Averages the predictions of one block and passes them on to its rows of labels."""
        aggregator, waiting = None, []
        for task, probabilities in predicted:
            if aggregator is None:
                aggregator = Aggregator(task.rows, self.channels, self.complete)
            spans = grids[task.view].spans(task.place, task.rows.needs)
            waiting.append(WeightedWindow(spans, probabilities, self.views[task.view].weight))
            if task.is_last_of_row or not isinstance(probabilities, WindowRows):
                aggregator.add(waiting, task.until)
                waiting = []
        aggregator.finish()

    def _predicted(self, image, tasks) -> Iterator[tuple["_Task", Any]]:
        """Yields each task with the probabilities of its window; the batches of a view all have one size."""
        counts = [sum(task.view == index for task in tasks) for index in range(len(self.views))]
        batches = [_empty_batch(view, count) for view, count in zip(self.views, counts)]
        waiting = []
        followers = itertools.chain(tasks[1:], [None])
        for task, next_task in zip(self.progress(tasks) if self.progress else tasks, followers):
            view, batch = self.views[task.view], batches[task.view]
            batch[len(waiting)] = with_channel_axis(cut(image, task.place, view.window, view.margin))
            waiting.append(task)
            if len(waiting) == len(batch) or next_task is None or next_task.view != task.view:
                yield from zip(waiting, view.predict(batch))
                waiting = []


def windows_at_a_time(window: Sequence[int], voxels: int) -> int:
    """Returns how many windows of a size go through a network at a time, for about this many voxels."""
    return max(1, voxels // math.prod(window))


def central_windows(
    image: Image, window: Sequence[int], margin: Sequence[int] = (0, 0, 0), most_voxels: int = VOXELS_PER_BATCH
) -> np.ndarray:
    """Returns the windows in the middle of an image, `(batch, *seen, channels)`.

    Args:
        image: Anything with a `shape` of three sizes that gives an array for three slices.
        window: Three sizes in voxels.
        margin: Three numbers of voxels to add to the window on either side.
        most_voxels: About how many voxels all windows have together; one window may have more.
    """
    grid = WindowGrid(image.shape, window)
    places = grid.central_places(windows_at_a_time(window, most_voxels))
    return np.stack([with_channel_axis(cut(image, place, window, margin)) for place in places]).astype("float32")


class _Task(NamedTuple):
    """A window to predict for the rows of a block: the index of its view, where it starts, and the next one's row."""

    rows: LabelRows
    view: int
    place: tuple
    until: int = 0

    @property
    def is_last_of_row(self):
        """Whether no further window starts with the same row of the volume."""
        return self.until > self.place[0]


def _tasks(rows, grids):
    """Returns the windows that a block's rows need, in the order of their start along the first axis."""
    tasks = [_Task(rows, view, place) for view, grid in enumerate(grids) for place in grid.places(rows.needs)]
    tasks.sort(key=lambda task: (task.place[0], task.view, task.place))
    untils = [task.place[0] for task in tasks[1:]] + [rows.needs[0][1]]
    return [task._replace(until=until) for task, until in zip(tasks, untils)]


def _empty_batch(view, count):
    size = min(windows_at_a_time(view.window, view.voxels_per_batch or VOXELS_PER_BATCH), count)
    seen = (size + 2 * beyond for size, beyond in zip(view.window, view.margin))
    return np.zeros((size, *seen, view.channels), "float32")

"""Sums of probabilities for the part of a volume that still waits for windows."""

import numpy as np


class Slab:
    """Sums weighted probabilities of windows inside a block, and passes rows on as soon as they are complete.

    Only as many rows along the first axis are kept as the largest window covers; rows take turns in memory.

    Args:
        rows: `recalib_keras.inference.sliding_window.rows.Rows` or `ResampledRows`: says which block it needs, and takes its rows.
        depth: the most rows that a window covers.
        num_classes: integer.
    """

    def __init__(self, rows, depth, num_classes):
        self.rows = rows
        (self._start, self._stop), *across = rows.needs
        sizes = [high - low for low, high in across]
        self._sums = np.zeros((min(depth, self._stop - self._start), *sizes, num_classes), "float32")

    def add(self, spans, probabilities, weight) -> None:
        """Adds a window's probabilities; windows come in the order of their first row inside the block.

        Args:
            spans: three `Span`, the part of the window inside the block.
            probabilities: array `(*window, num_classes)`.
            weight: number.
        """
        rows, *across = spans
        self._flush(rows.start)
        inner = tuple(slice(span.offset, span.offset + span.stop - span.start) for span in across)
        outer = tuple(slice(s.start - low, s.stop - low) for s, (low, _) in zip(across, self.rows.needs[1:]))
        plane = np.multiply.outer(*(span.weights for span in across))[..., None]
        for index, row_weight in enumerate(rows.weights):
            sums = self._sums[(rows.start + index) % len(self._sums)]
            sums[outer] += probabilities[(rows.offset + index, *inner)] * (plane * np.float32(weight * row_weight))

    def finish(self) -> None:
        """Passes on all rows that are left."""
        self._flush(self._stop)

    def _flush(self, stop):
        for row in range(self._start, stop):
            sums = self._sums[row % len(self._sums)]
            self.rows.take(row, sums)
            sums[:] = 0
        self._start = max(self._start, stop)

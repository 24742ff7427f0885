"""Labels from rows of averaged probabilities, on the grid that networks look at or on the scan's own."""

import numpy as np

from recalib_keras.inference.uncertainty import VALUES_AT_ONCE


class Rows:
    """Gives each voxel of a block its most probable class, row by row.

    Attributes:
        needs: the block of the image whose rows it takes.

    Args:
        labels: integer array of the image's shape that gets the classes.
        block: `((low, high), …)` along its three axes.
        observe: see `recalib_keras.inference.average_labels`; or None.
    """

    def __init__(self, labels, block, observe=None):
        self.needs = block
        self._labels = labels[(slice(None), *(slice(low, high) for low, high in block[1:]))]
        self._observe = observe

    def take(self, row, sums) -> None:
        """Takes a row that is complete, its number and its sums `(Y, Z, num_classes)`; rows come in order."""
        self._labels[row] = sums.argmax(axis=-1)
        if self._observe is not None:
            self._observe(self._labels[row], sums)


class ResampledRows:
    """Gives each voxel of another grid, in a block of the image, its most probable class by interpolation.

    Borders between structures come to lie where their interpolated probabilities cross, between the voxels that the
    networks looked at. A row of the labels is made as soon as the rows that it depends on are there.

    Attributes:
        needs: the part of the image whose rows it takes: the block, and a margin.

    Args:
        labels: integer array of the other grid's shape that gets the classes.
        lines: three `recalib_keras.inference.sliding_window.output_grid.Line`, of the other grid's voxels among the image's.
        block: `((low, high), …)` along the image's three axes.
        observe: see `recalib_keras.inference.average_labels`; or None.
    """

    def __init__(self, labels, lines, block, observe=None):
        self.needs = tuple(
            (max(0, low - line.margin), min(line.size, high + line.margin)) for line, (low, high) in zip(lines, block)
        )
        parts = [line.within(*ends) for line, ends in zip(lines, block)]
        self._labels = labels[tuple(parts)]
        self._rows, self._columns, self._slices = (
            line.weights[part, low:high] for line, part, (low, high) in zip(lines, parts, self.needs)
        )
        self._block, self._observe = block, observe
        self._kept, self._done = {}, 0

    def take(self, row, sums) -> None:
        """Takes a row that is complete, its number and its sums `(Y, Z, num_classes)`; rows come in order."""
        self._see(row, sums)
        self._kept[row - self.needs[0][0]] = sums.copy()
        while self._done < len(self._labels):
            columns, shares = self._sources(self._done)
            if columns[-1] not in self._kept:
                break
            self._fill(self._labels[self._done], sum(share * self._kept[at] for at, share in zip(columns, shares)))
            self._done += 1
            self._forget(columns[0])

    def _see(self, row, sums):
        """Lets the block's own voxels be observed; those around it belong to other blocks."""
        rows, *across = self._block
        if self._observe is not None and rows[0] <= row < rows[1]:
            own = sums[
                tuple(slice(low - start, high - start) for (low, high), (start, _) in zip(across, self.needs[1:]))
            ]
            self._observe(own.argmax(axis=-1), own)

    def _sources(self, row):
        ends = slice(*self._rows.indptr[row : row + 2])
        return self._rows.indices[ends], self._rows.data[ends]

    def _forget(self, first):
        for row in [row for row in self._kept if row < first]:
            del self._kept[row]

    def _fill(self, classes, sums):
        """Writes the classes of one row, `(Y', Z')`, from sums `(Y, Z, num_classes)`."""
        columns, slices, num_classes = sums.shape
        sums = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(slices, -1)
        sums = (self._slices @ sums).reshape(-1, columns, num_classes)
        sums = np.ascontiguousarray(sums.transpose(1, 0, 2)).reshape(columns, -1)
        at_once = 1 + VALUES_AT_ONCE // (1 + sums.shape[1])
        for start in range(0, len(classes), at_once):
            part = self._columns[start : start + at_once] @ sums
            classes[start : start + at_once] = part.reshape(-1, classes.shape[1], num_classes).argmax(axis=-1)

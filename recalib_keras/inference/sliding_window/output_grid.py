"""How the voxels of one grid lie among those of another, along one axis: what labels on the scan's own grid need."""

import functools

import numpy as np
from scipy import sparse

# A voxel half-way between two others may be pulled either way by rounding; this shift, too small to count, decides.
TIE_BREAK = 5e-4


class Line:
    """Voxels along one axis, each at a place among the voxels of another grid.

    Each takes the mean of the other grid over the stretch that it covers itself, or over the stretch of one voxel if it
    is smaller than that: linear interpolation then. Beyond the other grid its edge is continued.

    Args:
        places: increasing, evenly spread numbers; 0 is the centre of the other grid's first voxel, 1 of its second.
        size: how many voxels the other grid has.
        step: from one place to the next; only needed for a single one.
    """

    def __init__(self, places, size, step=1.0):
        self.places = np.asarray(places, float)
        self.size = size
        self._stretch = max(1.0, self.places[1] - self.places[0] if len(self.places) > 1 else step)

    def part(self, low, high):
        """Returns the line of the voxels that lie nearest to a range of the other's, among that range alone."""
        return Line(self.places[self.within(low, high)] - low, high - low, self._stretch)

    def __len__(self):
        return len(self.places)

    @property
    def margin(self):
        """How many voxels on either side of the nearest one a voxel of this line depends on, at most."""
        return int(np.ceil(self._stretch / 2 + 0.5))

    def within(self, low, high):
        """Returns the slice of this line's voxels that lie nearest to a range of the other's."""
        nearest = np.clip(np.floor(self.places + 0.5), 0, self.size - 1)
        return slice(*(int(end) for end in np.searchsorted(nearest, (low, high))))

    @functools.cached_property
    def weights(self):
        """The share of each of the other's voxels in each of this line's: a sparse matrix `(len, size)`."""
        places = np.clip(self.places + TIE_BREAK, 0, self.size - 1)[:, None]
        columns = np.floor(places + 0.5).astype(int) + np.arange(-self.margin, self.margin + 1)
        ends = places + self._stretch / 2 * np.array([[-1], [1]])[..., None]
        shares = np.minimum(ends[1], columns + 0.5) - np.maximum(ends[0], columns - 0.5)
        shares = np.maximum(0, shares) / self._stretch
        rows = np.broadcast_to(np.arange(len(self))[:, None], columns.shape)
        entries = (shares.ravel(), (rows.ravel(), np.clip(columns, 0, self.size - 1).ravel()))
        matrix = sparse.csr_array(entries, (len(self), self.size), "float32")  # sums what is beyond into the edge
        matrix.eliminate_zeros()
        return matrix


def lines_between(source, target):
    """Returns a `Line` for each axis of a grid that runs along the axes of another; None if the voxels are the same.

    Args:
        source, target: `recalib_keras.volumes.Grid` of one orientation.
    """
    if source.matches(target):
        return None
    to_source = np.linalg.solve(source.affine, target.affine)
    steps, starts = np.diag(to_source)[:3], to_source[:3, 3]
    return [
        Line(start + step * np.arange(wanted), size, step)
        for start, step, wanted, size in zip(starts, steps, target.shape, source.shape, strict=True)
    ]

"""How well one structure was segmented: overlap, distances between surfaces, volumes."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from recalib_keras.evaluation.overlap import check_shapes, dice, jaccard
from recalib_keras.evaluation.surfaces import average_surface_distance, robust_hausdorff_distance, surface_distances
from recalib_keras.volumes import Grid

# What is averaged, compared and drawn: attribute of `Measures`, column of reports, and how people call it.
MEASURES = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "volume_difference_mm3": "volume difference (mm³)",
    "relative_volume_difference": "relative volume difference",
}
NAN = float("nan")


@dataclass(frozen=True)
class Measures:
    """How well one structure of one scan was segmented.

    With `P` the prediction and `T` the truth:

    | field                        | formula                                  | found in one alone | in neither |
    |------------------------------|------------------------------------------|--------------------|------------|
    | `dice`                       | `2 |P ∩ T| / (|P| + |T|)`                | 0                  | NaN        |
    | `jaccard`                    | `|P ∩ T| / |P ∪ T|`                      | 0                  | NaN        |
    | `hd95_mm`                    | larger of both directed 95th percentiles | NaN                | NaN        |
    | `assd_mm`                    | mean over both surfaces, pooled          | NaN                | NaN        |
    | `volume_difference_mm3`      | `|P| - |T|`                              | as the formula     | NaN        |
    | `relative_volume_difference` | `(|P| - |T|) / |T|`                      | -1; NaN without T  | NaN        |

    Between a structure and nothing there is no distance; any number put in its place (infinity, the diagonal of the
    image) would say more about the field of view than about the segmentation. Such scans are counted instead, as
    `found_in` tells: a structure is *missed* if it is in the truth only, *spurious* if in the prediction only. A
    structure that is in neither is left out of every mean.

    Args:
        dice, jaccard: from 0 to 1.
        hd95_mm, assd_mm: see `recalib_keras.evaluation.surfaces`.
        truth_mm3, prediction_mm3: volumes; 0 where the structure is absent.

    Reference: Taha & Hanbury, "Metrics for evaluating 3D medical image segmentation: analysis, selection, and tool",
    BMC Medical Imaging 2015.
    """

    dice: float = NAN
    jaccard: float = NAN
    hd95_mm: float = NAN
    assd_mm: float = NAN
    truth_mm3: float = 0.0
    prediction_mm3: float = 0.0

    @property
    def volume_difference_mm3(self):
        """Volume of the prediction minus that of the truth."""
        return NAN if self.found_in == "neither" else self.prediction_mm3 - self.truth_mm3

    @property
    def relative_volume_difference(self):
        """The difference of volumes as a fraction of the truth's volume."""
        return self.volume_difference_mm3 / self.truth_mm3 if self.truth_mm3 else NAN

    @property
    def found_in(self) -> str:
        """`"both"`, `"truth only"` (missed), `"prediction only"` (spurious) or `"neither"`."""
        if self.truth_mm3:
            return "both" if self.prediction_mm3 else "truth only"
        return "prediction only" if self.prediction_mm3 else "neither"


def measure(prediction, truth, spacing, label):
    """Returns the `Measures` of one structure; arguments and errors are those of `measure_all`.

    >>> truth = np.zeros((8, 8, 8), int)
    >>> truth[2:5, 2:5, 2:5] = 17
    >>> found = measure(np.roll(truth, 1, axis=2), truth, spacing=(1.0, 1.0, 2.5), label=17)
    >>> found.dice == 2 / 3, found.hd95_mm, found.truth_mm3
    (True, 2.5, 67.5)
    """
    return measure_all(prediction, truth, spacing, [label])[label]


def measure_all(prediction, truth, spacing, labels=None):
    """Returns the `Measures` of each structure as a dict by label.

    Each structure is measured inside the box that holds it in both maps, so that dozens of structures in a whole head
    take seconds. Axes of length 1 do not count as space: a single slice has a contour, no front and back.

    Args:
        prediction, truth: integer arrays of the same shape.
        spacing: `recalib_keras.volumes.Grid` of both, or the distances between voxels (mm), one number an axis.
        labels: the numbers of the structures. Defaults to all but 0 that stand in one of the maps, sorted.

    Raises:
        ValueError: if the shapes differ, or `spacing` does not fit them.
        TypeError: if a map is not of integers.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    check_shapes(prediction, truth)
    for array in (prediction, truth):
        if array.dtype.kind not in "biu":
            raise TypeError(f"label maps must be of integers; round them with astype first. Received: {array.dtype}")
    axes = _axes(spacing, prediction.shape)
    if labels is None:
        labels = [int(label) for label in np.union1d(np.unique(prediction), np.unique(truth)) if label]
    boxes = _boxes(prediction, truth, labels)
    return {
        label: _measure(prediction[boxes[label]] == label, truth[boxes[label]] == label, axes, prediction.shape)
        if label in boxes
        else Measures()
        for label in labels
    }


def _measure(prediction, truth, axes, shape):
    """Returns the measures of masks, cut to their box, of which one at least is not empty."""
    voxel = abs(np.linalg.det(axes))
    # Plain numbers, which reports write as such.
    in_prediction, in_truth = (float(np.count_nonzero(mask) * voxel) for mask in (prediction, truth))
    overlap = dice(prediction, truth, True), jaccard(prediction, truth, True)
    if not (in_prediction and in_truth):
        return Measures(*overlap, truth_mm3=in_truth, prediction_mm3=in_prediction)
    extended = [axis for axis, size in enumerate(shape) if size > 1] or [0]
    flat = tuple(axis for axis in range(len(shape)) if axis not in extended)
    distances = surface_distances(prediction.squeeze(flat), truth.squeeze(flat), axes[:, extended])
    return Measures(
        *overlap, robust_hausdorff_distance(*distances), average_surface_distance(*distances), in_truth, in_prediction
    )


def _axes(spacing, shape):
    """Returns the steps (mm) along the axes, as columns."""
    if isinstance(spacing, Grid):
        if spacing.shape != tuple(shape):
            raise ValueError(f"`spacing` must be the grid of the label maps, {shape}. Received: one of {spacing.shape}")
        return spacing.affine[:3, :3]
    sizes = np.asarray(spacing, dtype=float)
    if sizes.shape != (len(shape),) or not (np.isfinite(sizes).all() and sizes.min() > 0):
        raise ValueError(f"`spacing` must be {len(shape)} positive numbers (mm), one an axis. Received: {spacing}")
    return np.diag(sizes)


def _boxes(prediction, truth, labels):
    """Returns the smallest slices that hold each label in both maps; a label that is in neither has none."""
    wanted = np.unique(np.asarray(labels, dtype=np.int64))
    boxes = {}
    for array in (prediction, truth):
        for label, box in zip(wanted.tolist(), ndimage.find_objects(_places(array, wanted), len(wanted))):
            if box is not None:
                boxes[label] = _around(box, boxes.get(label, box))
    return boxes


def _places(array, wanted):
    """Returns for each voxel the place of its label among those wanted, from 1; 0 if it is none of them."""
    if not wanted.size:
        return np.zeros(array.shape, int)
    places = np.minimum(np.searchsorted(wanted, array), wanted.size - 1)
    return np.where(wanted[places] == array, places + 1, 0)


def _around(*boxes):
    return tuple(slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes))

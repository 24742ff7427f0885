"""How well a structure was segmented: overlap, distances between surfaces, volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from recalib_keras.evaluation.surfaces import average_surface_distance, robust_hausdorff_distance, surface_distances
from recalib_keras.volumes import Grid

MEASURES = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "volume_difference_mm3": "volume difference (mm³)",
    "relative_volume_difference": "relative volume difference",
}
"""What is averaged, compared and drawn: attribute of `Measures` and column of reports, with its title in figures."""
NAN = float("nan")


@dataclass(frozen=True)
class Measures:
    """How well one structure of one scan was segmented.

    With `P` the prediction and `T` the ground truth:

    | field                        | formula                                  | found in only one | in neither |
    |------------------------------|------------------------------------------|-------------------|------------|
    | `dice`                       | `2 |P ∩ T| / (|P| + |T|)`                | 0                 | NaN        |
    | `jaccard`                    | `|P ∩ T| / |P ∪ T|`                      | 0                 | NaN        |
    | `hd95_mm`                    | larger of both directed 95th percentiles | NaN               | NaN        |
    | `assd_mm`                    | mean over both surfaces, pooled          | NaN               | NaN        |
    | `volume_difference_mm3`      | `|P| - |T|`                              | as the formula    | NaN        |
    | `relative_volume_difference` | `(|P| - |T|) / |T|`                      | -1; NaN without T | NaN        |

    There is no distance between a structure and nothing. A number in its place (infinity, the diagonal of the image)
    would describe the field of view and not the segmentation. Such scans are counted instead; see `found_in`. A
    structure that only the ground truth has is *missed*, one that only the prediction has is *spurious*. A structure
    in neither is excluded from all means.

    Args:
        dice: Dice coefficient, from 0 to 1.
        jaccard: Jaccard index, from 0 to 1.
        hd95_mm: 95th percentile of the Hausdorff distance (mm); see `recalib_keras.evaluation.surfaces`.
        assd_mm: Average symmetric surface distance (mm); see `recalib_keras.evaluation.surfaces`.
        truth_mm3: Volume in the ground truth (mm³); 0 where the structure is absent.
        prediction_mm3: Volume in the prediction (mm³); 0 where the structure is absent.

    Reference:
        Taha & Hanbury, "Metrics for evaluating 3D medical image segmentation: analysis, selection, and tool", BMC
        Medical Imaging 2015.
    """

    dice: float = NAN
    jaccard: float = NAN
    hd95_mm: float = NAN
    assd_mm: float = NAN
    truth_mm3: float = 0.0
    prediction_mm3: float = 0.0

    @property
    def volume_difference_mm3(self) -> float:
        """Volume of the prediction minus that of the ground truth (mm³)."""
        return NAN if self.found_in == "neither" else self.prediction_mm3 - self.truth_mm3

    @property
    def relative_volume_difference(self) -> float:
        """The difference of volumes as a fraction of the volume in the ground truth."""
        return self.volume_difference_mm3 / self.truth_mm3 if self.truth_mm3 else NAN

    @property
    def found_in(self) -> str:
        """`"both"`, `"truth only"` (missed), `"prediction only"` (spurious) or `"neither"`."""
        if self.truth_mm3:
            return "both" if self.prediction_mm3 else "truth only"
        return "prediction only" if self.prediction_mm3 else "neither"


def dice(prediction: np.ndarray, truth: np.ndarray, label: int | Sequence[int]) -> float:
    """Returns the Dice coefficient of one label, `2 |P ∩ T| / (|P| + |T|)`.

    Args:
        prediction: Integer array.
        truth: Integer array of the same shape, the ground truth.
        label: Number of the structure; several for one that includes others.

    Returns:
        Float from 0 to 1; NaN if the label is in neither array.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> dice(np.array([1, 1, 0]), np.array([1, 0, 0]), label=1)
        0.6666666666666666

    Reference:
        Dice, "Measures of the amount of ecologic association between species", Ecology 1945.
    """
    common, of_prediction, of_truth = _counts(prediction, truth, label)
    total = of_prediction + of_truth
    return 2 * common / total if total else NAN


def jaccard(prediction: np.ndarray, truth: np.ndarray, label: int) -> float:
    """Returns the Jaccard index of one label, `|P ∩ T| / |P ∪ T|`, also called intersection over union.

    With `D` the Dice coefficient it is `D / (2 - D)`.

    Args:
        prediction: Integer array.
        truth: Integer array of the same shape, the ground truth.
        label: Number of the structure.

    Returns:
        Float from 0 to 1; NaN if the label is in neither array.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> jaccard(np.array([1, 1, 0]), np.array([1, 0, 0]), label=1)
        0.5

    Reference:
        Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 1912.
    """
    common, of_prediction, of_truth = _counts(prediction, truth, label)
    union = of_prediction + of_truth - common
    return common / union if union else NAN


def measure(prediction: np.ndarray, truth: np.ndarray, spacing: Grid | Sequence[float], label: int) -> Measures:
    """Returns the `Measures` of one structure.

    Args:
        prediction: See `measure_all`.
        truth: See `measure_all`.
        spacing: See `measure_all`.
        label: Number of the structure.

    Raises:
        ValueError: If the shapes differ, or `spacing` does not fit them.
        TypeError: If an array is not of integers.

    Example:
        >>> truth = np.zeros((8, 8, 8), int)
        >>> truth[2:5, 2:5, 2:5] = 17
        >>> found = measure(np.roll(truth, 1, axis=2), truth, spacing=(1.0, 1.0, 2.5), label=17)
        >>> found.dice == 2 / 3, found.hd95_mm, found.truth_mm3
        (True, 2.5, 67.5)
    """
    return measure_all(prediction, truth, spacing, [label])[label]


def measure_all(
    prediction: np.ndarray, truth: np.ndarray, spacing: Grid | Sequence[float], labels: Sequence[int] | None = None
) -> dict[int, Measures]:
    """Returns the `Measures` of each structure, by label.

    Each structure is measured inside the box that holds it in both arrays, so dozens of structures in a whole head take
    seconds. Axes of length 1 are ignored: a single slice has a contour, but no front and back.

    Args:
        prediction: Integer array.
        truth: Integer array of the same shape, the ground truth.
        spacing: `recalib_keras.volumes.Grid` of both, or the spacing (mm), one number an axis.
        labels: Numbers of the structures; None for all numbers in the arrays but 0, sorted.

    Raises:
        ValueError: If the shapes differ, or `spacing` does not fit them.
        TypeError: If an array is not of integers.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    _check_shapes(prediction, truth)
    for array in (prediction, truth):
        if array.dtype.kind not in "biu":
            raise TypeError(f"expected label maps of integers, got {array.dtype}; round them, then use astype")
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


def _counts(prediction, truth, label):
    """Returns the number of voxels of the label in both arrays, in the prediction and in the ground truth."""
    _check_shapes(prediction, truth)
    in_prediction, in_truth = (
        array == label if isinstance(label, (int, np.integer)) else np.isin(array, label)
        for array in (prediction, truth)
    )
    return [int(np.count_nonzero(mask)) for mask in (in_prediction & in_truth, in_prediction, in_truth)]


def _check_shapes(prediction, truth):
    if prediction.shape != truth.shape:
        raise ValueError(
            f"expected label maps of the same shape, got {prediction.shape} and {truth.shape}; resample one of them"
        )


def _measure(prediction, truth, axes, shape):
    """Returns the measures of two masks, cut to their box; at least one is not empty."""
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
            raise ValueError(
                f"expected `spacing` to be the grid of the label maps, {shape}, got one of {spacing.shape}; "
                "give the grid that they are on"
            )
        return spacing.affine[:3, :3]
    sizes = np.asarray(spacing, dtype=float)
    if sizes.shape != (len(shape),) or not (np.isfinite(sizes).all() and sizes.min() > 0):
        raise ValueError(
            f"expected `spacing` to be {len(shape)} positive numbers (mm), one an axis, got {spacing}; "
            "give the voxel size of the label maps"
        )
    return np.diag(sizes)


def _boxes(prediction, truth, labels):
    """Returns for each label the smallest slices that hold it in both arrays; none for a label in neither."""
    limits = np.iinfo(np.int64)
    wanted = np.unique(np.asarray([label for label in labels if limits.min <= label <= limits.max], dtype=np.int64))
    boxes: dict[int, tuple[slice, ...]] = {}
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

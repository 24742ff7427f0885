"""Overlap of two label maps."""

import numpy as np


def dice(prediction, truth, label):
    """Returns the Dice coefficient of one label, `2 |P ∩ T| / (|P| + |T|)`.

    Args:
        prediction, truth: integer arrays of the same shape.
        label: the number of the structure.

    Returns:
        Float from 0 to 1; NaN where the label is in neither, since there is nothing to agree on.

    Raises:
        ValueError: if the shapes differ.

    >>> import numpy as np
    >>> dice(np.array([1, 1, 0]), np.array([1, 0, 0]), label=1)
    0.6666666666666666

    Reference: Dice, "Measures of the amount of ecologic association between species", Ecology 1945.
    """
    common, of_prediction, of_truth = _counts(prediction, truth, label)
    total = of_prediction + of_truth
    return 2 * common / total if total else float("nan")


def jaccard(prediction, truth, label):
    """Returns the Jaccard index of one label, `|P ∩ T| / |P ∪ T|`, also called intersection over union.

    Arguments, values and errors are those of `dice`; with `D` the Dice coefficient it is `D / (2 - D)`.

    >>> import numpy as np
    >>> jaccard(np.array([1, 1, 0]), np.array([1, 0, 0]), label=1)
    0.5

    Reference: Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 1912.
    """
    common, of_prediction, of_truth = _counts(prediction, truth, label)
    union = of_prediction + of_truth - common
    return common / union if union else float("nan")


def _counts(prediction, truth, label):
    """Returns the number of voxels of the label in both maps, in the prediction and in the truth."""
    check_shapes(prediction, truth)
    in_prediction, in_truth = prediction == label, truth == label
    return [int(np.count_nonzero(mask)) for mask in (in_prediction & in_truth, in_prediction, in_truth)]


def check_shapes(prediction, truth) -> None:
    """Checks that two label maps have one shape.

    Raises:
        ValueError: if not.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"both label maps must have one shape. Received: {prediction.shape} and {truth.shape}")

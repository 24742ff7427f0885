"""Overlap of two label maps."""


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
    if prediction.shape != truth.shape:
        raise ValueError(f"both label maps must have one shape. Received: {prediction.shape} and {truth.shape}")
    in_prediction, in_truth = prediction == label, truth == label
    total = in_prediction.sum() + in_truth.sum()
    return float(2 * (in_prediction & in_truth).sum() / total) if total else float("nan")

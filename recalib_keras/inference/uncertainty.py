"""How uncertain networks are about the labels they give."""

from collections.abc import Sequence

import numpy as np

from recalib_keras.zoo import Label
from recalib_keras.zoo.decision import THRESHOLD

# Sums of probabilities are processed in parts of so many values, which stay in the processor's cache.
VALUES_AT_ONCE = 2**18


class Uncertainty:
    """The mean uncertainty of a segmentation's voxels, by structure.

    The uncertainty of a voxel is the entropy of its averaged probabilities `p`, divided by the largest possible one:

        -Σ p_k · log p_k / log K        over the K classes; 0 is certain, 1 means that all classes are equally likely

    With a sigmoid, each structure has a probability of its own, and the uncertainty is that of the structure which is
    least certain: the largest entropy of `p_k` and `1 - p_k`, divided by log 2.

    Each voxel of the grid that the networks see counts once, for its class.

    Args:
        labels: One for each class, background first.
        has_sigmoid: Whether each structure has a probability of its own.

    Example:
        >>> uncertainty = Uncertainty([Label(0, "background"), Label(17, "hippocampus")])
        >>> uncertainty.observe(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]]))
        >>> uncertainty.by_structure, uncertainty.foreground
        ({0: 0.0, 17: 1.0}, 1.0)
    """

    def __init__(self, labels: Sequence[Label], has_sigmoid: bool = False):
        self._labels = tuple(labels)
        self._entropy = largest_binary_entropy if has_sigmoid else normalized_entropy
        self._voxels = self._entropies = np.zeros(len(self._labels))

    def observe(self, classes: np.ndarray, sums: np.ndarray) -> None:
        """Adds voxels; a `SlidingWindow` calls it with each complete row.

        Args:
            classes: Integer array of the classes.
            sums: Float array `(*classes.shape, num_classes)`, proportional to the averaged probabilities.
        """
        num_classes = sums.shape[-1]
        classes, sums = classes.reshape(-1), sums.reshape(-1, num_classes)
        at_once = max(1, VALUES_AT_ONCE // num_classes)
        for start in range(0, len(classes), at_once):
            part = classes[start : start + at_once]
            entropies = self._entropy(sums[start : start + at_once])
            self._voxels = self._voxels + np.bincount(part, minlength=num_classes)
            self._entropies = self._entropies + np.bincount(part, entropies, num_classes)

    @property
    def foreground(self) -> float | None:
        """The mean entropy of all voxels but the background's, from 0 to 1; None if there are none."""
        voxels = self._voxels[1:].sum()
        return float(self._entropies[1:].sum() / voxels) if voxels else None

    @property
    def by_structure(self) -> dict[int, float]:
        """The mean entropy of each label's voxels, from 0 to 1, by the label's number; only labels that were found."""
        rows = zip(self._labels, self._voxels, self._entropies)
        return {label.id: float(entropy / voxels) for label, voxels, entropy in rows if voxels}


def normalized_entropy(sums: np.ndarray) -> np.ndarray:
    """Returns the entropy of what is proportional to probabilities, from 0 (certain) to 1 (all classes alike).

    Args:
        sums: `(..., num_classes)`, none below 0, at least 2 classes.
    """
    # With p = s / S, -Σ p·log p is log S - Σ s·log s / S, which needs no array of p; s·log s is 0 for s = 0.
    least = np.finfo(sums.dtype).tiny
    totals = np.maximum(sums.sum(axis=-1), least)
    weighted_logs = np.einsum("...k,...k->...", sums, np.log(np.maximum(sums, least)))
    return np.clip((np.log(totals) - weighted_logs / totals) / np.log(sums.shape[-1]), 0, 1)


def largest_binary_entropy(sums: np.ndarray) -> np.ndarray:
    """Returns the entropy of the least certain of several structures, from 0 (all certain) to 1.

    Args:
        sums: `(..., num_classes)`: the threshold, one half, then the probability of each structure, all times a factor.
    """
    shares = sums[..., 1:] * (THRESHOLD / sums[..., :1])
    pairs = np.stack([shares, np.maximum(1 - shares, 0)], axis=-1)
    return normalized_entropy(pairs).max(axis=-1)

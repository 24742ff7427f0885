"""How uncertain networks are about the labels they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recalib_keras.zoo import Label
from recalib_keras.zoo.decision import THRESHOLD

# Sums of probabilities are processed in parts of this many values, which stay in the processor's cache.
VALUES_AT_ONCE = 2**18


@dataclass(frozen=True)
class Measures:
    """The measures of uncertainty of networks with a softmax, or with a sigmoid.

    All are from 0 to 1, and all take sums that are proportional to probabilities, `(…, num_classes)`:

    - the *entropy* of a voxel, see `Uncertainty`;
    - the *mutual information* of a voxel's class and of which prediction it is by: the entropy of the average of
      several predictions, less the average of their entropies. It is 0 if all predictions agree, however uncertain
      they are, and large where each is certain of something else. With a sigmoid it is that of all structures
      together, divided by the largest possible: the mean over the structures.

    Args:
        has_sigmoid: Whether each structure has a probability of its own.

    Reference: Houlsby et al., "Bayesian active learning for classification and preference learning", 2011 (mutual
    information); Smith and Gal, "Understanding measures of uncertainty for adversarial example detection", UAI 2018.
    """

    has_sigmoid: bool = False

    def entropy(self, sums: np.ndarray) -> np.ndarray:
        """Returns the entropy of each voxel."""
        return in_parts(largest_binary_entropy if self.has_sigmoid else normalized_entropy, sums)

    def total(self, sums: np.ndarray) -> np.ndarray:
        """Returns the divisors that turn sums into probabilities."""
        least = np.finfo(sums.dtype).tiny
        return np.maximum(sums[..., 0] / THRESHOLD if self.has_sigmoid else sums.sum(axis=-1), least)

    def with_entropy(self, probabilities: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
        """Returns a prediction with its entropy, as often as it counts, as a further channel to average.

        Args:
            probabilities: `(…, channels)`.
            of: The probabilities that the entropy is of, `(…, num_classes)`; None for the same.
        """
        of = probabilities if of is None else of
        entropy = self.total(of) * in_parts(self._whole_entropy, of)
        return np.concatenate([probabilities, entropy[..., None].astype(probabilities.dtype)], axis=-1)

    def to_mutual_information(self, sums: np.ndarray) -> None:
        """Changes the last channel, the sum that `with_entropy` began, to the mutual information times the total.

        Args:
            sums: `(…, num_classes + 1)`, changed in place.
        """
        of = sums[..., :-1]
        entropy = self.total(of) * in_parts(self._whole_entropy, of)
        sums[..., -1] = np.maximum(entropy - sums[..., -1], 0)

    def mutual_information(self, sums: np.ndarray) -> np.ndarray:
        """Returns the mutual information of each voxel, from what `to_mutual_information` left, or a mean of it.

        Args:
            sums: `(…, num_classes + 1)`.
        """
        return np.clip(sums[..., -1] / self.total(sums[..., :-1]), 0, 1)

    def _whole_entropy(self, sums):
        return mean_binary_entropy(sums) if self.has_sigmoid else normalized_entropy(sums)


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
        self.measures = Measures(has_sigmoid)
        self._voxels = self._entropies = np.zeros(len(self._labels))

    def observe(self, classes: np.ndarray, sums: np.ndarray) -> None:
        """Adds voxels; a `SlidingWindow` calls it with each complete row.

        Args:
            classes: Integer array of the classes.
            sums: Float array `(*classes.shape, num_classes)`, proportional to the averaged probabilities.
        """
        num_classes, classes = sums.shape[-1], classes.reshape(-1)
        entropies = self.measures.entropy(sums).reshape(-1)
        self._voxels = self._voxels + np.bincount(classes, minlength=num_classes)
        self._entropies = self._entropies + np.bincount(classes, entropies, num_classes)

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


def in_parts(measure: Callable[[np.ndarray], np.ndarray], sums: np.ndarray) -> np.ndarray:
    """Returns a measure of each voxel, computed for as many voxels at a time as the processor's cache holds.

    Args:
        measure: From `(N, num_classes)` to `(N,)`.
        sums: `(…, num_classes)`.
    """
    flat, values = sums.reshape(-1, sums.shape[-1]), np.empty(sums.shape[:-1], sums.dtype)
    at_once, along = max(1, VALUES_AT_ONCE // sums.shape[-1]), values.reshape(-1)
    for start in range(0, len(flat), at_once):
        along[start : start + at_once] = measure(flat[start : start + at_once])
    return values


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
    return binary_entropies(sums).max(axis=-1)


def mean_binary_entropy(sums: np.ndarray) -> np.ndarray:
    """Returns the mean entropy of several structures, from 0 (all certain) to 1.

    Args:
        sums: See `largest_binary_entropy`.
    """
    return binary_entropies(sums).mean(axis=-1)


def binary_entropies(sums: np.ndarray) -> np.ndarray:
    """Returns the entropy of each of several structures, `(..., structures)`, from 0 (certain) to 1.

    Args:
        sums: See `largest_binary_entropy`.
    """
    shares = sums[..., 1:] * (THRESHOLD / sums[..., :1])
    return normalized_entropy(np.stack([shares, np.maximum(1 - shares, 0)], axis=-1))

"""How sure networks are of the labels they give."""

import numpy as np

# Sums of probabilities are looked at so many at a time: what is computed with them stays in the processor's cache.
VALUES_AT_ONCE = 2**18


class Confidence:
    """Collects, while a scan is segmented, how uncertain the labels of each structure are.

    The uncertainty of a voxel is the entropy of its averaged probabilities `p`, as a share of the largest there can be:

        -Σ p_k · log p_k / log K        over the K classes; 0 is sure, 1 is no idea

    Each voxel of the grid that the networks look at counts once, for the class that it gets.

        confidence = Confidence()  # a new one for each scan
        labels = segmenter(scan, confidence=confidence)
        confidence.by_structure(segmenter.labels)  # {0: 0.004, 17: 0.06, 53: 0.07}
    """

    def __init__(self):
        self._voxels = self._entropies = np.zeros(1)

    def observe(self, classes, sums) -> None:
        """Counts voxels in; `recalib_keras.inference.average_labels` calls it with each row that is done.

        Args:
            classes: integer array of the classes that voxels get.
            sums: float array `(*classes.shape, num_classes)`, proportional to their averaged probabilities.
        """
        num_classes = sums.shape[-1]
        classes, sums = classes.reshape(-1), sums.reshape(-1, num_classes)
        at_once = max(1, VALUES_AT_ONCE // num_classes)
        for start in range(0, len(classes), at_once):
            part = classes[start : start + at_once]
            entropies = normalized_entropy(sums[start : start + at_once])
            self._voxels = self._voxels + np.bincount(part, minlength=num_classes)
            self._entropies = self._entropies + np.bincount(part, entropies, num_classes)

    @property
    def foreground(self):
        """The mean entropy of all voxels that are not background, or None where there are none."""
        voxels = self._voxels[1:].sum()
        return float(self._entropies[1:].sum() / voxels) if voxels else None

    def by_structure(self, labels):
        """Returns the mean entropy of each label's voxels by the label's number, without labels that no voxel has.

        Args:
            labels: sequence of `recalib_keras.zoo.Label`, one for each class, background first.
        """
        rows = zip(labels, self._voxels, self._entropies)
        return {label.id: float(entropy / voxels) for label, voxels, entropy in rows if voxels}


def normalized_entropy(sums):
    """Returns the entropy of what is proportional to probabilities, from 0 (sure) to 1 (all classes alike).

    Args:
        sums: array `(..., num_classes)`, none below 0, at least 2 classes.
    """
    # With p = s / S, -Σ p·log p is log S - Σ s·log s / S, which needs no array of p; s·log s is 0 for s = 0.
    least = np.finfo(sums.dtype).tiny
    totals = np.maximum(sums.sum(axis=-1), least)
    weighted_logs = np.einsum("...k,...k->...", sums, np.log(np.maximum(sums, least)))
    return np.clip((np.log(totals) - weighted_logs / totals) / np.log(sums.shape[-1]), 0, 1)

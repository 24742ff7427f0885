"""Which class a voxel gets from its probabilities.

A softmax shares 1 among all classes: the most probable one counts. A sigmoid gives each structure a probability of its
own. The background then has one half, the threshold that a structure must exceed, so that the same decisions serve
both, and averages of windows and networks, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recalib_keras.zoo.labels import Label

THRESHOLD = 0.5
# From sums of probabilities `(…, num_classes)` to classes `(…)`.
Decide = Callable[[np.ndarray], np.ndarray]


def with_background(probabilities: np.ndarray) -> np.ndarray:
    """Returns the probabilities of structures, `(…, structures)`, behind the threshold as that of the background.

    Args:
        probabilities: Those of a sigmoid.
    """
    threshold = np.full((*probabilities.shape[:-1], 1), THRESHOLD, probabilities.dtype)
    return np.concatenate([threshold, probabilities], axis=-1)


def most_probable(sums: np.ndarray) -> np.ndarray:
    """Returns the most probable class of each voxel.

    Args:
        sums: `(…, num_classes)`, proportional to probabilities.
    """
    return sums.argmax(axis=-1)


def innermost(sums: np.ndarray) -> np.ndarray:
    """Returns the last class of each voxel that is more probable than the background; 0 where none is.

    Args:
        sums: `(…, num_classes)`, proportional to probabilities.

    Example:
        >>> innermost(np.array([[0.5, 0.9, 0.6], [0.5, 0.9, 0.4], [0.5, 0.2, 0.1]]))
        array([2, 1, 0])
    """
    exceeds = sums[..., 1:] > sums[..., :1]
    last = exceeds.shape[-1] - exceeds[..., ::-1].argmax(axis=-1)
    return np.where(exceeds.any(axis=-1), last, 0)


def decision_for(labels: Sequence[Label]) -> Decide:
    """Returns how labels are decided: structures that include others give way to these, see `Label.includes`.

    Args:
        labels: One for each class, background first.
    """
    return innermost if any(label.includes for label in labels) else most_probable

"""Average a network's prediction of a scan with that of the scan's left-right mirror image."""

from collections.abc import Callable, Sequence

import numpy as np

from recalib_keras.zoo import Label
from recalib_keras.zoo.labels import counterpart_classes

Predict = Callable[[np.ndarray], np.ndarray]


def with_flip(predict: Predict, labels: Sequence[Label], axis: int) -> Predict:
    """Returns a predict function that averages each window's prediction with that of its left-right mirror image.

    The prediction of the mirror image is mirrored back, and the classes of the two sides change places. This is right
    only for networks that were trained on both sides of the body.

    Args:
        predict: Function from `(batch, *window, 1)` to probabilities `(batch, *window, num_classes)`, with further
            channels behind them, if any, that both sides share. Its next call may overwrite the result.
        labels: One for each class; `mirror` is the number of the counterpart on the other side.
        axis: Axis of the window that runs from left to right.

    Raises:
        ValueError: If the counterpart of a label is missing, or has another counterpart itself.
    """
    counterparts = list(counterpart_classes(labels))

    def predict_both(windows: np.ndarray) -> np.ndarray:
        there = np.array(predict(windows))
        mirror_image = np.ascontiguousarray(np.flip(windows, axis + 1))
        back = np.flip(predict(mirror_image), axis + 1)
        there += back[..., [*counterparts, *range(len(counterparts), back.shape[-1])]]
        there /= 2
        return there

    return predict_both

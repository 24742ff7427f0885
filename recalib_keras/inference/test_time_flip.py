"""Average a network's prediction of a scan with that of the scan's left-right mirror image."""

from collections.abc import Callable, Sequence

import numpy as np

from recalib_keras.inference.sliding_window.window_rows import Prediction, changed, flipped
from recalib_keras.zoo import Label
from recalib_keras.zoo.labels import counterpart_classes

Predict = Callable[[np.ndarray], Prediction]


def with_flip(predict: Predict, labels: Sequence[Label], axis: int) -> Predict:
    """Returns a predict function that averages each window's prediction with that of its left-right mirror image.

    The prediction of the mirror image is mirrored back, and the classes of the two sides change places. This is right
    only for networks that were trained on both sides of the body.

    Args:
        predict: Function from `(batch, *window, 1)` to probabilities `(batch, *window, num_classes)`, with further
            channels behind them, if any, that both sides share. Its next call may overwrite an array, but no rows.
        labels: One for each class; `mirror` is the number of the counterpart on the other side.
        axis: Axis of the window that runs from left to right.

    Raises:
        ValueError: If the counterpart of a label is missing, or has another counterpart itself.
    """
    counterparts = list(counterpart_classes(labels))

    def average(there: np.ndarray, back: np.ndarray) -> np.ndarray:
        mean = there + back[..., [*counterparts, *range(len(counterparts), back.shape[-1])]]
        mean /= 2
        return mean

    def predict_both(windows: np.ndarray) -> Prediction:
        there = predict(windows)
        if isinstance(there, np.ndarray):
            there = there.copy()
        mirror_image = np.ascontiguousarray(np.flip(windows, axis + 1))
        return changed(average, there, flipped(predict(mirror_image), axis))

    return predict_both

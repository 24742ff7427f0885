"""Average a network's prediction of a scan with that of the scan's mirror image."""

import numpy as np

from recalib_keras.zoo.labels import counterpart_classes


def mirrored(predict, labels, axis):
    """Returns a predict function that averages windows and their left-right mirror images.

    What the network says of the mirror image is mirrored back, and the labels of the two sides change places. Use it
    with networks that have seen both sides of the body.

    Args:
        predict: function from `(batch, *window, 1)` to probabilities `(batch, *window, num_classes)`, which its next
            call may write over.
        labels: sequence of `recalib_keras.zoo.Label`; `mirror` names the counterpart on the other side.
        axis: axis of the window that runs from left to right.

    Raises:
        ValueError: if a label's counterpart is not among the labels, or names another one as its own.
    """
    counterparts = list(counterpart_classes(labels))

    def predict_both(windows):
        there = np.array(predict(windows))
        mirror_image = np.ascontiguousarray(np.flip(windows, axis + 1))
        back = np.flip(predict(mirror_image), axis + 1)
        there += back[..., counterparts]
        there /= 2
        return there

    return predict_both

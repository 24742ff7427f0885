"""Losses for segmentation, from probabilities and integer labels."""

import keras
from keras import ops

SMOOTHING = 1e-5


@keras.saving.register_keras_serializable(package="recalib_keras")
class DiceCrossEntropy(keras.losses.Loss):
    """One minus the mean soft Dice of the foreground classes, plus the cross-entropy.

    The soft Dice of a class is `2 Σ p·t / (Σ p + Σ t)`, summed over all voxels of the batch; the background takes part
    in the cross-entropy alone.

    Args:
        cross_entropy_weight: factor of the cross-entropy. Defaults to 1.
        **kwargs: the arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: integer labels `(batch, *spatial, 1)`.
        y_pred: probabilities `(batch, *spatial, num_classes)`.

    Reference: Milletari et al., "V-Net", 3DV 2016, with the denominator of Drozdzal et al., LABELS 2016.
    """

    def __init__(self, cross_entropy_weight=1.0, name="dice_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.cross_entropy_weight = cross_entropy_weight

    def call(self, y_true, y_pred):
        classes = y_pred.shape[-1]
        truth = ops.one_hot(ops.cast(ops.squeeze(y_true, axis=-1), "int32"), classes, dtype=y_pred.dtype)
        voxels = tuple(range(len(y_pred.shape) - 1))
        overlap = ops.sum(truth * y_pred, axis=voxels)
        total = ops.sum(truth, axis=voxels) + ops.sum(y_pred, axis=voxels)
        foreground = ((2 * overlap + SMOOTHING) / (total + SMOOTHING))[1:]
        return 1 - ops.mean(foreground) + self.cross_entropy_weight * _cross_entropy(y_true, y_pred)

    def get_config(self):
        return {**super().get_config(), "cross_entropy_weight": self.cross_entropy_weight}


def _cross_entropy(y_true, y_pred):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(ops.squeeze(y_true, axis=-1), y_pred))

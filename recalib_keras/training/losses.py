"""Losses for segmentation, from probabilities and integer labels, and weights that balance rare classes."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="recalib_keras")
class DiceCrossEntropy(keras.losses.Loss):
    """One minus the mean soft Dice of the foreground classes, plus the cross-entropy, each by its factor.

    The soft Dice of a class is `2 Σ p·t / (Σ p + Σ t)`, summed over all voxels of the batch. Classes that no voxel of
    the batch has take no part in its mean, and the background takes none ever: what is wrongly found of them costs
    cross-entropy. All is computed in float32, whatever the type of the probabilities.

    Args:
        dice_weight: factor of the Dice loss. Defaults to 1.
        cross_entropy_weight: factor of the cross-entropy, the mean over voxels. Defaults to 1.
        class_weights: sequence with a factor for each class, by which the cross-entropy of its voxels is multiplied;
            see `class_weights`. Defaults to `None`, all the same.
        **kwargs: the arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: integer labels `(batch, *spatial, 1)`.
        y_pred: probabilities `(batch, *spatial, num_classes)`.

    Reference: Milletari et al., "V-Net", 3DV 2016, with the denominator of Drozdzal et al., LABELS 2016; with class
        weights, Roy et al., "QuickNAT", NeuroImage 2019.
    """

    def __init__(
        self,
        dice_weight=1.0,
        cross_entropy_weight=1.0,
        class_weights=None,
        name="dice_cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.dice_weight = dice_weight
        self.cross_entropy_weight = cross_entropy_weight
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.squeeze(ops.cast(y_true, "int32"), axis=-1), ops.cast(y_pred, "float32")
        loss = 0.0
        if self.dice_weight:
            loss = loss + self.dice_weight * _dice_loss(y_true, y_pred)
        if self.cross_entropy_weight:
            loss = loss + self.cross_entropy_weight * self._cross_entropy(y_true, y_pred)
        return loss

    def _cross_entropy(self, y_true, y_pred):
        by_voxel = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
        if self.class_weights is not None:
            by_voxel = by_voxel * ops.take(ops.convert_to_tensor(self.class_weights, "float32"), y_true)
        return ops.mean(by_voxel)

    def get_config(self):
        return {
            **super().get_config(),
            "dice_weight": self.dice_weight,
            "cross_entropy_weight": self.cross_entropy_weight,
            "class_weights": self.class_weights,
        }


def _dice_loss(y_true, y_pred):
    truth = ops.one_hot(y_true, y_pred.shape[-1], dtype="float32")[..., 1:]
    voxels = tuple(range(len(truth.shape) - 1))
    by_class = keras.losses.dice(truth, y_pred[..., 1:], axis=voxels)
    is_present = ops.cast(ops.any(truth > 0, axis=voxels), "float32")
    return ops.sum(by_class * is_present) / ops.maximum(ops.sum(is_present), 1.0)


def class_weights(method, label_maps, num_classes):
    """Returns a weight for each class that makes up for its rareness, float array `(num_classes,)`.

    - `"median_frequency"`: the median of the classes' frequencies over the class's own, a frequency being the share of
      its voxels in the label maps that contain it.
    - `"inverse_frequency"`: one over the class's share of all voxels, scaled so that the mean over voxels is 1.

    A class that is in no label map gets 0.

    Args:
        method: `"median_frequency"` or `"inverse_frequency"`.
        label_maps: iterable of integer arrays of class indices.
        num_classes: integer.

    Raises:
        ValueError: for an unknown method.

    >>> class_weights("median_frequency", [np.array([0, 0, 0, 1])], num_classes=3)
    array([0.66666667, 2.        , 0.        ])

    Reference: Eigen & Fergus, ICCV 2015 (median frequency balancing).
    """
    counts = np.stack([np.bincount(np.ravel(labels), minlength=num_classes) for labels in label_maps]).astype("float64")
    voxels = counts.sum(axis=1, keepdims=True)
    present = counts.sum(axis=0) > 0
    if method == "median_frequency":
        frequency = counts.sum(axis=0) / np.maximum((voxels * (counts > 0)).sum(axis=0), 1)
        scale = np.median(frequency[present])
    elif method == "inverse_frequency":
        frequency = counts.sum(axis=0) / voxels.sum()
        scale = 1 / present.sum()
    else:
        raise ValueError(f"`method` must be 'median_frequency' or 'inverse_frequency'. Received: method={method!r}")
    return np.divide(scale, frequency, out=np.zeros(num_classes), where=present)

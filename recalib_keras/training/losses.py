"""The loss of a segmentation, and class weights that make up for rare classes."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from recalib_keras.layers.acceleration import fused

Tensor = Any  # of the backend in use, which Keras has no type for


@keras.saving.register_keras_serializable(package="recalib_keras")
class DiceCrossEntropy(keras.losses.Loss):
    """The weighted sum of soft Dice loss and cross-entropy.

    The Dice loss is one minus the mean soft Dice of the foreground classes. The soft Dice of a class is
    `2 Σ p·t / (Σ p + Σ t)`, summed over all voxels of the batch. The mean leaves out the background, and classes that
    no voxel of the batch has; where they are predicted wrongly, the cross-entropy counts it. Everything is computed in
    float32, whatever the type of the probabilities.

    Args:
        dice_weight: Factor of the Dice loss. Defaults to 1.
        cross_entropy_weight: Factor of the cross-entropy, the mean over voxels. Defaults to 1.
        class_weights: A factor for each class, by which the cross-entropy of its voxels is multiplied; see
            `class_weights`. Defaults to `None`, 1 for each class.
        name: Name of the loss.
        **kwargs: Arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: Classes, integers `(batch, *spatial, 1)`.
        y_pred: Probabilities `(batch, *spatial, num_classes)`.

    Reference:
        Milletari et al., "V-Net", 3DV 2016, with the denominator of Drozdzal et al., LABELS 2016; with class weights,
        Roy et al., "QuickNAT", NeuroImage 2019.
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        class_weights: Sequence[float] | None = None,
        name: str = "dice_cross_entropy",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.dice_weight = dice_weight
        self.cross_entropy_weight = cross_entropy_weight
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self._terms = fused(functools.partial(_terms, class_weights=self.class_weights), summarize=_sums)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Returns the loss of a batch, `(1,)`; see the class."""
        logits = getattr(y_pred, "_keras_logits", None)  # Keras's softmax leaves them here, which saves its inverse
        if logits is None:
            logits = _log(y_pred)
        dice, cross_entropy = self._terms(ops.cast(y_true, "int32"), ops.cast(logits, "float32"))
        total = self.dice_weight * dice + self.cross_entropy_weight * cross_entropy
        return ops.expand_dims(total, 0)  # with tf.distribute Keras scales only losses that it still has to reduce

    def of_all(self, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Returns the loss of many batches as if they were one, and its two terms without their factors.

        Args:
            batches: Pairs of classes and probabilities as in a call, each of any number of examples.

        Returns:
            `"loss"`, `"dice_loss"` and `"cross_entropy"`.
        """
        voxels = 0
        sums: Any = 0.0
        for y_true, y_pred in batches:
            logits = _log(y_pred)
            voxels += ops.size(logits) // logits.shape[-1]
            sums = sums + np.stack([ops.convert_to_numpy(part) for part in _sums(y_true, logits)], dtype="float64")
        sums = [ops.convert_to_tensor(part, "float32") for part in sums]
        dice, cross_entropy = map(float, _terms_of(sums, voxels, self.class_weights))
        loss = self.dice_weight * dice + self.cross_entropy_weight * cross_entropy
        return {"loss": loss, "dice_loss": dice, "cross_entropy": cross_entropy}

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "dice_weight": self.dice_weight,
            "cross_entropy_weight": self.cross_entropy_weight,
            "class_weights": self.class_weights,
        }


def _log(probabilities):
    return ops.log(ops.maximum(ops.cast(probabilities, "float32"), keras.config.epsilon()))


def _sums(y_true, logits):
    """Returns, for each class, sums over all voxels of integer labels `(…, 1)` and float32 logits `(…, classes)`.

    Sums of the probability inside the ground truth of the class, of the voxels of its ground truth, of the probability
    anywhere, and of the cross-entropy inside its ground truth.
    """
    voxels = tuple(range(len(logits.shape) - 1))
    log_probabilities = ops.log_softmax(logits)
    probabilities = ops.exp(log_probabilities)
    truth = ops.cast(ops.equal(y_true, ops.arange(logits.shape[-1], dtype="int32")), "float32")
    return tuple(
        ops.sum(summand, axis=voxels)
        for summand in (truth * probabilities, truth, probabilities, -truth * log_probabilities)
    )


def _terms(y_true, logits, sums, class_weights):
    """Returns the Dice loss and the cross-entropy."""
    return _terms_of(sums, ops.size(logits) // logits.shape[-1], class_weights)


def _terms_of(sums, number_of_voxels, class_weights):
    """Returns the Dice loss and the cross-entropy from the sums of `_sums`."""
    overlap, in_truth, in_prediction, of_classes = sums
    is_present = ops.cast(in_truth > 0, "float32")[1:]
    dice = (1 - 2 * overlap / ops.maximum(in_truth + in_prediction, keras.config.epsilon()))[1:]
    weights = 1.0 if class_weights is None else ops.convert_to_tensor(class_weights, "float32")
    return (
        ops.sum(dice * is_present) / ops.maximum(ops.sum(is_present), 1.0),
        ops.sum(of_classes * weights) / ops.cast(number_of_voxels, "float32"),
    )


def class_weights(method: str, label_maps: Iterable[np.ndarray], num_classes: int) -> np.ndarray:
    """Returns a weight for each class, the larger the rarer the class is.

    - `"median_frequency"`: the median of all classes' frequencies, divided by the frequency of the class. A frequency
      is the share of a class's voxels in the label maps that contain it.
    - `"inverse_frequency"`: one divided by the class's share of all voxels, scaled so that the mean over voxels is 1.

    A class that is in no label map gets 0.

    Args:
        method: `"median_frequency"` or `"inverse_frequency"`.
        label_maps: Classes of voxels, integer arrays of any shape.
        num_classes: Number of classes.

    Returns:
        The weights, floats `(num_classes,)`.

    Raises:
        ValueError: The method is unknown.

    Example:
        >>> class_weights("median_frequency", [np.array([0, 0, 0, 1])], num_classes=3)
        array([0.66666667, 2.        , 0.        ])

    Reference:
        Eigen & Fergus, ICCV 2015 (median frequency balancing).
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
        raise ValueError(f"expected `method` to be 'median_frequency' or 'inverse_frequency', got {method!r}")
    return np.divide(scale, frequency, out=np.zeros(num_classes), where=present)

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

    With `sample_weight`, in a call or in `fit`, each voxel counts as often as its weight says in all sums of the Dice
    loss, whose result is multiplied by the mean weight, and its cross-entropy is multiplied by its weight. So a weight
    of 0 leaves an example out, and equal weights of 2 double the loss, as with Keras's own losses.

    Call arguments:
        y_true: Classes, integers `(batch, *spatial)` or `(batch, *spatial, 1)`.
        y_pred: Probabilities `(batch, *spatial, num_classes)`.
        sample_weight: A weight for each example, `(batch,)`, or for each voxel, `(batch, *spatial)` or
            `(batch, *spatial, 1)`; none is below 0. None for 1 everywhere.

    Raises:
        ValueError: If `y_true` or `sample_weight` has another shape.

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

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Returns the loss of a batch, reduced; see the class."""
        # Keras would multiply the loss of the whole batch; the weights belong to the sums over voxels.
        weighted = y_true if sample_weight is None else (y_true, sample_weight)
        return super().__call__(weighted, y_pred)

    def call(self, y_true: Tensor | tuple[Tensor, Tensor], y_pred: Tensor) -> Tensor:
        """Returns the loss of a batch, `(1,)`; see the class. With weights, `y_true` is a pair of classes and those."""
        y_true, *weights = y_true if isinstance(y_true, tuple) else (y_true,)
        weights = [_of_voxels(weight, y_pred, "sample_weight") for weight in weights]
        y_true = ops.cast(_of_voxels(y_true, y_pred, "y_true"), "int32")
        logits = getattr(y_pred, "_keras_logits", None)  # Keras's softmax leaves them here, which saves its inverse
        if logits is None:
            logits = _log(y_pred)
        dice, cross_entropy = self._terms(y_true, ops.cast(logits, "float32"), *weights)
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
            y_true, logits = _of_voxels(y_true, y_pred, "y_true"), _log(y_pred)
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


def _of_voxels(values, y_pred, name):
    """Returns classes or weights as `(batch, *spatial, 1)`, or weights of whole examples as `(batch, 1, …, 1)`."""
    shape, rank = values.shape, len(y_pred.shape)
    if len(shape) == rank and shape[-1] in (1, None):
        return values
    if len(shape) == rank - 1:
        return ops.expand_dims(values, -1)
    if name == "sample_weight" and set(shape[1:]) <= {1}:
        return ops.reshape(values, (-1,) + (1,) * (rank - 1))
    wanted = "(batch,), (batch, *spatial)" if name == "sample_weight" else "(batch, *spatial)"
    is_one_hot = name == "y_true" and len(shape) == rank
    hint = "give the number of each voxel's class, such as argmax(y_true, axis=-1)" if is_one_hot else "reshape it"
    raise ValueError(
        f"expected `{name}` of shape {wanted} or (batch, *spatial, 1) beside predictions of shape "
        f"{tuple(y_pred.shape)}, got {tuple(shape)}; {hint}"
    )


def _sums(y_true, logits, weights=1.0):
    """Returns, for each class, sums over all voxels of integer labels `(…, 1)` and float32 logits `(…, classes)`.

    Sums of the probability inside the ground truth of the class, of the voxels of its ground truth, of the probability
    anywhere, and of the cross-entropy inside its ground truth; each voxel with its weight.
    """
    voxels = tuple(range(len(logits.shape) - 1))
    log_probabilities = ops.log_softmax(logits)
    probabilities = ops.exp(log_probabilities)
    truth = ops.cast(ops.equal(y_true, ops.arange(logits.shape[-1], dtype="int32")), "float32") * weights
    return tuple(
        ops.sum(summand, axis=voxels)
        for summand in (truth * probabilities, truth, probabilities * weights, -truth * log_probabilities)
    )


def _terms(y_true, logits, *weights_and_sums, class_weights):
    """Returns the Dice loss and the cross-entropy, from weights, if there are any, and the sums of `_sums`."""
    *weights, sums = weights_and_sums
    dice, cross_entropy = _terms_of(sums, ops.size(logits) // logits.shape[-1], class_weights)
    return (dice * ops.mean(weights[0]) if weights else dice), cross_entropy


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

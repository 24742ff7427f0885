"""The loss of a segmentation, and class weights that make up for rare classes."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from recalib_keras.layers.acceleration import fused
from recalib_keras.training.losses.targets import activation_of, check_sets, looked_up, nan_unless_codes, tables
from recalib_keras.training.recipe import Recipe
from recalib_keras.zoo.labels import region_classes

Tensor = Any  # of the backend in use, which Keras has no type for


@keras.saving.register_keras_serializable(package="recalib_keras")
class DiceCrossEntropy(keras.losses.Loss):
    """The weighted sum of soft Dice loss and cross-entropy.

    The Dice loss is one minus the mean soft Dice of the structures: of all classes but the background, or of all
    outputs of a sigmoid. The soft Dice of a class is `2 Σ p·t / (Σ p + Σ t)`, summed over all voxels of the batch. The
    mean leaves out classes that no voxel of the batch has; where they are predicted wrongly, the cross-entropy counts
    it. Everything is computed in float32, whatever the type of the probabilities.

    If a voxel has a number that is neither a class nor a code, the loss is NaN, so that a label map with more classes
    than the network is noticed. Ground truth with a channel for each structure is not checked.

    What is unknown counts nowhere. A voxel whose class is one of several has a code of its own, see `label_sets`. The
    cross-entropy of a softmax is then that of the sum of the probabilities that are possible; each output of a sigmoid
    counts where it is known. The sums of the soft Dice have only voxels where the class is known. A voxel that may have
    any class is in no sum at all.

    Args:
        dice_weight: Factor of the Dice loss. Defaults to 1.
        cross_entropy_weight: Factor of the cross-entropy, the mean over voxels; of a sigmoid, over its outputs, too.
            Defaults to 1.
        class_weights: A factor for each class, or output of a sigmoid, by which its cross-entropy is multiplied; see
            `class_weights`. Defaults to `None`, 1 for each.
        activation: `"softmax"`, or `"sigmoid"` for a probability of its own for each structure. A single output has a
            sigmoid in any case, as in the networks: the softmax of its logit beside the background's, which is 0.
        label_sets: What codes from the number of classes on mean: for each one, the classes that the voxel may have.
            Defaults to none.
        regions: For a sigmoid, the classes whose voxels make up each output; several for a structure that includes
            others. Defaults to one class for each, from 1 on.
        from_logits: Whether the network returns logits, as with `classifier_activation=None`.
        name: Name of the loss.
        **kwargs: Arguments of `keras.losses.Loss`.

    With `sample_weight`, in a call or in `fit`, each voxel counts as often as its weight says in all sums of the Dice
    loss, whose result is multiplied by the mean weight, and its cross-entropy is multiplied by its weight. So a weight
    of 0 leaves an example out, and equal weights of 2 double the loss, as with Keras's own losses.

    Call arguments:
        y_true: Classes or codes, integers `(batch, *spatial)` or `(batch, *spatial, 1)`. For a sigmoid of several
            structures also 0 and 1 for each of them, `(batch, *spatial, structures)`, and -1 where that is unknown.
        y_pred: Probabilities or logits `(batch, *spatial, num_classes)`; those of a sigmoid have none for the
            background.
        sample_weight: A weight for each example, `(batch,)`, or for each voxel, `(batch, *spatial)` or
            `(batch, *spatial, 1)`; none is below 0. None for 1 everywhere.

    Raises:
        ValueError: For an unknown activation, for sets that hold no classes of the network, and if `y_true` or
            `sample_weight` has another shape.

    Reference:
        Milletari et al., "V-Net", 3DV 2016, with the denominator of Drozdzal et al., LABELS 2016; with class weights,
        Roy et al., "QuickNAT", NeuroImage 2019; with sets of classes, Shi et al., "Marginal loss and exclusion loss for
        partially supervised multi-organ segmentation", Medical Image Analysis 2021.
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        class_weights: Sequence[float] | None = None,
        activation: str = "softmax",
        label_sets: Sequence[Sequence[int]] | None = None,
        regions: Sequence[Sequence[int]] | None = None,
        from_logits: bool = False,
        name: str = "dice_cross_entropy",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        if activation not in SUMMANDS:
            raise ValueError(f"expected `activation` to be one of {', '.join(SUMMANDS)}, got {activation!r}")
        self.dice_weight = dice_weight
        self.cross_entropy_weight = cross_entropy_weight
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self.activation, self.from_logits = activation, from_logits
        self.label_sets, self.regions = (
            None if sets is None else tuple(tuple(map(int, one)) for one in sets) for sets in (label_sets, regions)
        )
        self._sums = functools.partial(_sums, activation=activation, sets=self.label_sets or (), regions=self.regions)
        self._terms_of = functools.partial(_terms_of, activation=activation, class_weights=self.class_weights)
        self._terms = fused(self._terms_from, summarize=self._sums)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        class_weights: Sequence[float] | np.ndarray | None = None,
        label_sets: Sequence[Sequence[int]] | None = None,
    ) -> Self:
        """Returns the loss that a recipe describes.

        Args:
            recipe: The recipe.
            class_weights: Those of its training scans, or None.
            label_sets: The sets of classes that their voxels may have, or None.
        """
        settings, has_sigmoid = recipe.loss, recipe.network.has_sigmoid
        return cls(
            settings.dice,
            settings.cross_entropy,
            None if class_weights is None else list(class_weights),
            activation="sigmoid" if has_sigmoid else "softmax",
            label_sets=label_sets,
            regions=region_classes(recipe.labels) if has_sigmoid else None,
        )

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Returns the loss of a batch, reduced; see the class."""
        # Keras would multiply the loss of the whole batch; the weights belong to the sums over voxels.
        weighted = y_true if sample_weight is None else (y_true, sample_weight)
        return super().__call__(weighted, y_pred)

    def call(self, y_true: Tensor | tuple[Tensor, Tensor], y_pred: Tensor) -> Tensor:
        """Returns the loss of a batch, `(1,)`; see the class. With weights, `y_true` is a pair of classes and those."""
        y_true, *weights = y_true if isinstance(y_true, tuple) else (y_true,)
        weights = [_of_voxels(weight, y_pred, "sample_weight") for weight in weights]
        y_true = ops.cast(self._truth(y_true, y_pred), "int32")
        dice, cross_entropy = self._terms(y_true, self._logits(y_pred), *weights)
        total = self.dice_weight * dice + self.cross_entropy_weight * cross_entropy
        return ops.expand_dims(total, 0)  # with tf.distribute Keras scales only losses that it still has to reduce

    def _terms_from(self, y_true, logits, *weights_and_sums):
        """Returns the Dice loss and the cross-entropy, from weights, if there are any, and the sums of `_sums`."""
        *weights, sums = weights_and_sums
        dice, cross_entropy = self._terms_of(sums)
        return (dice * ops.mean(weights[0]) if weights else dice), cross_entropy

    def _truth(self, y_true, y_pred):
        """Returns the ground truth with a last axis; one channel for each structure (sigmoid) is returned as given."""
        has_all = self.activation == "sigmoid" and len(y_true.shape) == len(y_pred.shape)
        return y_true if has_all and y_true.shape[-1] == y_pred.shape[-1] else _of_voxels(y_true, y_pred, "y_true")

    def _logits(self, y_pred):
        """Returns the logits of what the network returns, float32."""
        # Keras's activations leave their logits here, so that nothing has to invert them.
        logits = y_pred if self.from_logits else getattr(y_pred, "_keras_logits", None)
        return (
            _logits(y_pred, activation_of(y_pred, self.activation)) if logits is None else ops.cast(logits, "float32")
        )

    def of_all(self, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Returns the loss of many batches as if they were one, and its two terms without their factors.

        Args:
            batches: Pairs of classes and probabilities as in a call, each of any number of examples.

        Returns:
            `"loss"`, `"dice_loss"` and `"cross_entropy"`.
        """
        sums: Any = 0.0
        for y_true, y_pred in batches:
            y_pred = ops.convert_to_tensor(y_pred)
            of_batch = self._sums(ops.convert_to_tensor(self._truth(y_true, y_pred), "int32"), self._logits(y_pred))
            of_batch = [np.asarray(ops.convert_to_numpy(part), "float64") for part in of_batch]
            sums = [one + other for one, other in zip(of_batch, sums or [0.0] * len(of_batch))]
        dice, cross_entropy = map(float, self._terms_of([ops.convert_to_tensor(part, "float32") for part in sums]))
        loss = self.dice_weight * dice + self.cross_entropy_weight * cross_entropy
        return {"loss": loss, "dice_loss": dice, "cross_entropy": cross_entropy}

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "dice_weight": self.dice_weight,
            "cross_entropy_weight": self.cross_entropy_weight,
            "class_weights": self.class_weights,
            "activation": self.activation,
            "label_sets": self.label_sets,
            "regions": self.regions,
            "from_logits": self.from_logits,
        }


def _logits(probabilities, activation):
    """Returns the logits of probabilities, float32; those of a softmax up to a summand."""
    probabilities, least = ops.cast(probabilities, "float32"), keras.config.epsilon()
    if activation == "softmax":
        return ops.log(ops.maximum(probabilities, least))
    probabilities = ops.clip(probabilities, least, 1 - least)
    return ops.log(probabilities) - ops.log(1 - probabilities)


HINT_OF_ONE_HOT = (
    "give the number of each voxel's class, such as argmax(y_true, axis=-1); for structures that may overlap, "
    'DiceCrossEntropy(activation="sigmoid")'
)


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
    hint = HINT_OF_ONE_HOT if is_one_hot else "reshape it"
    raise ValueError(
        f"expected `{name}` of shape {wanted} or (batch, *spatial, 1) beside predictions of shape "
        f"{tuple(y_pred.shape)}, got {tuple(shape)}; {hint}"
    )


def _sums(y_true, logits, weights=None, *, activation, sets, regions):
    """Returns, for each output, sums over all voxels of integer codes `(…, 1)` and float32 logits `(…, outputs)`.

    Sums of the probability inside the ground truth, of the voxels of the ground truth, of the probability anywhere, and
    of the cross-entropy, each voxel with its weight; and, as a scalar, the number of voxels or outputs that the last
    one sums.
    """
    voxels = tuple(range(len(logits.shape) - 1))
    summands, count = SUMMANDS[activation_of(logits, activation)](y_true, logits, sets, regions)
    if weights is not None:
        summands = [summand * weights for summand in summands]
    return (*(ops.sum(summand, axis=voxels) for summand in summands), count)


def _softmax_summands(y_true, logits, sets, _):
    log_probabilities = ops.log_softmax(logits)
    probabilities, num_classes = ops.exp(log_probabilities), logits.shape[-1]
    if not sets:
        truth = ops.cast(ops.equal(y_true, ops.arange(num_classes, dtype="int32")), "float32")
        number_of_voxels = ops.cast(ops.size(logits) // num_classes, "float32")
        count = nan_unless_codes(number_of_voxels, y_true, num_classes)
        return (truth * probabilities, truth, probabilities, -truth * log_probabilities), count
    check_sets(sets, num_classes)
    meaning = tables(num_classes, sets, None)
    truth, known, possible, counted = (looked_up(table, y_true) for table in meaning)
    inside = ops.where(possible > 0, log_probabilities, IMPOSSIBLE)
    cross_entropy = -counted * ops.logsumexp(inside, axis=-1, keepdims=True)
    truth = truth * known
    count = nan_unless_codes(ops.sum(counted), y_true, len(meaning.truth))
    return (truth * probabilities, truth, known * probabilities, cross_entropy), count


def _sigmoid_summands(y_true, logits, sets, regions):
    outputs = logits.shape[-1]
    if outputs > 1 and y_true.shape[-1] == outputs:
        truth, known = ops.cast(y_true > 0, "float32"), ops.cast(y_true >= 0, "float32")
        count = ops.sum(known)
    else:
        check_sets(sets, outputs + 1)
        regions = tuple((place,) for place in range(1, outputs + 1)) if regions is None else regions
        meaning = tables(outputs + 1, sets, regions)
        truth, known = looked_up(meaning.truth, y_true), looked_up(meaning.known, y_true)
        count = nan_unless_codes(ops.sum(known), y_true, len(meaning.truth))
    truth, probabilities = truth * known, ops.sigmoid(logits)
    cross_entropy = known * (ops.softplus(logits) - truth * logits)
    return (truth * probabilities, truth, known * probabilities, cross_entropy), count


# What is summed for each activation of the classifier.
SUMMANDS = {"softmax": _softmax_summands, "sigmoid": _sigmoid_summands}
IMPOSSIBLE = -1e30  # stands for the logarithm of 0; being finite, it keeps gradients finite


def _terms_of(sums, activation, class_weights):
    """Returns the Dice loss and the cross-entropy from the sums of `_sums`."""
    overlap, in_truth, in_prediction, of_classes, count = sums
    first = 1 if activation_of(in_truth, activation) == "softmax" else 0
    is_present = ops.cast(in_truth > 0, "float32")[first:]
    dice = (1 - 2 * overlap / ops.maximum(in_truth + in_prediction, keras.config.epsilon()))[first:]
    weights = 1.0 if class_weights is None else ops.convert_to_tensor(class_weights, "float32")
    return (
        ops.sum(dice * is_present) / ops.maximum(ops.sum(is_present), 1.0),
        ops.sum(of_classes * weights) / ops.maximum(count, 1.0),
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

"""The Dice of a network's outputs while it is fitted with `model.fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from recalib_keras.training.losses.targets import activation_of, check_sets, looked_up, nan_unless_codes, tables

Tensor = Any  # of the backend in use, which Keras has no type for


@keras.saving.register_keras_serializable(package="recalib_keras")
class MeanDice(keras.metrics.Metric):
    """The mean Dice of the structures over all voxels since the last reset.

    A voxel is that of its most probable class; with a sigmoid, that of each structure whose probability exceeds one
    half. The mean leaves out structures that are neither in the ground truth nor predicted, and voxels where it is
    unknown whether they belong to a structure.

    Args:
        num_structures: Number of structures, the classes but the background.
        activation: `"softmax"`, or `"sigmoid"` for a probability of its own for each structure. A single output has a
            sigmoid in any case.
        label_sets: See `DiceCrossEntropy`.
        regions: See `DiceCrossEntropy`.
        name: Name of the metric.
        **kwargs: Arguments of `keras.metrics.Metric`.

    Raises:
        ValueError: For an unknown activation.

    Example:
        >>> dice = MeanDice(num_structures=1, activation="sigmoid")
        >>> dice.update_state([[[1], [1], [0]]], [[[0.9], [0.2], [0.1]]])
        >>> round(float(dice.result()), 3)
        0.667
    """

    def __init__(
        self,
        num_structures: int,
        activation: str = "softmax",
        label_sets: Sequence[Sequence[int]] | None = None,
        regions: Sequence[Sequence[int]] | None = None,
        name: str = "dice",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        if activation not in ("softmax", "sigmoid"):
            raise ValueError(f"expected `activation` to be one of softmax, sigmoid, got {activation!r}")
        self.num_structures, self.activation = num_structures, activation
        self.label_sets, self.regions = (
            None if sets is None else tuple(tuple(map(int, one)) for one in sets) for sets in (label_sets, regions)
        )
        check_sets(self.label_sets or (), num_structures + 1)
        self.common, self.total = (
            self.add_weight(shape=(num_structures,), initializer="zeros", name=part) for part in ("common", "total")
        )

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            y_true: Classes or codes `(batch, *spatial, 1)`, see `DiceCrossEntropy`.
            y_pred: Probabilities `(batch, *spatial, outputs)`.
            sample_weight: Must be None: voxels count alike.

        Raises:
            ValueError: There are weights.
        """
        if sample_weight is not None:
            raise ValueError("expected no `sample_weight` for a Dice, which counts voxels, got weights; leave them out")
        y_pred = ops.convert_to_tensor(y_pred)
        codes = ops.convert_to_tensor(y_true, "int32")
        meaning = self._meaning()
        known = looked_up(meaning.known, codes)
        truth = looked_up(meaning.truth, codes) * known
        found = self._found(y_pred) * known
        voxels = tuple(range(len(y_pred.shape) - 1))
        common = ops.sum(truth * found, axis=voxels)
        self.common.assign_add(nan_unless_codes(common, codes, len(meaning.truth)))
        self.total.assign_add(ops.sum(truth + found, axis=voxels))

    def result(self) -> Tensor:
        """Returns the mean Dice; 0 if no structure was seen, NaN if a voxel had a number that is no class or code."""
        is_seen = ops.cast(self.total > 0, "float32")
        dice = 2 * self.common / ops.maximum(self.total, 1.0)
        return ops.sum(dice) / ops.maximum(ops.sum(is_seen), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "num_structures": self.num_structures,
            "activation": self.activation,
            "label_sets": self.label_sets,
            "regions": self.regions,
        }

    def _meaning(self):
        """Returns what each code says of the structures."""
        outputs = range(1, self.num_structures + 1)
        regions = self.regions or tuple((place,) for place in outputs)
        return tables(self.num_structures + 1, self.label_sets or (), regions)

    def _found(self, probabilities):
        """Returns which voxels the network gives to each structure."""
        if activation_of(probabilities, self.activation) == "sigmoid":
            return ops.cast(probabilities > 0.5, "float32")
        return ops.one_hot(ops.argmax(probabilities, axis=-1), self.num_structures + 1, dtype="float32")[..., 1:]

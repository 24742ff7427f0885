"""Deep supervision: the loss on the maps of lower levels too, so that these learn directly what they should show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy

Tensor = Any  # of the backend in use, which Keras has no type for

HEAD = "supervision"


class SupervisedModel(keras.Model):
    """A network with a classifier at lower decoders, which all learn from the same classes.

    The loss is the weighted mean of the loss of each output. A map of half the resolution counts half as much as the
    next finer one (Isensee et al., Nature Methods 2021), and is compared with every second voxel of the classes.

    The network keeps its own weights and outputs: what is trained here is `network`, used there alone.

    Args:
        network: An encoder/decoder network of `recalib_keras.models`.
        criterion: The loss of each output.

    Reference:
        Lee et al., "Deeply-Supervised Nets", AISTATS 2015; Dou et al., "3D deeply supervised network", MICCAI 2016.
    """

    def __init__(self, network: keras.Model, criterion: DiceCrossEntropy):
        outputs = [network.output, *(_classified(network, level) for level in lower_levels(network))]
        super().__init__(inputs=network.input, outputs=outputs, name=f"supervised_{network.name}")
        self.network, self.criterion = network, criterion
        self.supports_jit = network.supports_jit

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the weighted mean of the losses of all outputs."""
        weights = [0.5**index for index in range(len(y_pred))]
        losses = [self.criterion(of_resolution(y, output), output) for output in y_pred]
        return sum(weight / sum(weights) * loss for weight, loss in zip(weights, losses))


def lower_levels(network: keras.Model) -> Sequence[int]:
    """Returns the decoders that get a classifier: all between the last and the first, which sees the fewest voxels.

    Args:
        network: An encoder/decoder network.
    """
    levels = network.architecture.levels
    return range(2, max(levels, 3) if levels > 1 else 2)


def of_resolution(classes: Tensor, output: Tensor) -> Tensor:
    """Returns the classes in the resolution of an output: of each block of voxels the first.

    Args:
        classes: Integers `(batch, *spatial, 1)`.
        output: `(batch, *spatial, num_classes)`, of a resolution that divides that of the classes.
    """
    sizes = zip(classes.shape[1:-1], output.shape[1:-1])
    steps = [slice(None, None, None if fine == coarse else fine // coarse) for fine, coarse in sizes]
    return classes if all(one.step is None for one in steps) else classes[(slice(None), *steps)]


def _classified(network, level):
    """Returns the probabilities of the classes at a decoder, by a classifier like the network's own."""
    last = [layer for layer in network.layers if layer.name.startswith(f"decoder_{level}_")][-1]
    rank = len(network.output.shape) - 2
    convolution = getattr(keras.layers, f"Conv{rank}D")(
        network.output.shape[-1], 1, dtype=last.dtype_policy, name=f"{HEAD}_{level}"
    )
    kind = network.architecture.classifier_activation or "linear"
    activation = keras.layers.Activation(kind, dtype="float32", name=f"{HEAD}_{level}_probabilities")
    return activation(convolution(last.output))

"""The feature maps inside a network: a model that returns those of every level, for another head."""

from __future__ import annotations

import functools
import re
from typing import Any

import keras

from recalib_keras.core.messages import did_you_mean

# The stages of a network whose maps are wanted, by the name of the choice.
PARTS = {
    "encoder": ("encoder", "bottleneck"),
    "decoder": ("bottleneck", "decoder"),
    "all": ("encoder", "bottleneck", "decoder"),
}
STAGE = re.compile(r"((encoder|decoder|bottleneck)(?:_[1-9]\d*)?)_")
# Layers that carry a map from one stage to the next, though they are named after one of them.
BETWEEN = re.compile(r".*_(pool|up|up_match|skip)")

Stride = int | tuple[int, ...]


@keras.saving.register_keras_serializable(package="recalib_keras")
class FeaturePyramid(keras.Model):
    """A model from an image to a dict of feature maps by the names of their stages; `features` makes one.

    Args:
        inputs: The symbolic image.
        outputs: Dict of symbolic feature maps.
        name: Name of the model.
        **kwargs: Other arguments of `keras.Model`.
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any):
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)

    @functools.cached_property
    def strides(self) -> dict[str, Stride]:
        """For each map, how many voxels of the image one of its own covers along an axis; a tuple where axes differ."""
        spatial = self.input_shape[1:-1]
        if None in spatial:
            spatial = (2**10,) * len(spatial)  # a multiple of every stride of these networks
        shapes = self.compute_output_shape((1, *spatial, self.input_shape[-1]))
        strides = {
            stage: tuple(size // own for size, own in zip(spatial, shapes[stage][1:-1])) for stage in self.output
        }
        return {stage: along[0] if len(set(along)) == 1 else along for stage, along in strides.items()}

    @functools.cached_property
    def channels(self) -> dict[str, int]:
        """For each map, its number of channels."""
        return {stage: tensor.shape[-1] for stage, tensor in self.output.items()}

    def __repr__(self) -> str:
        levels = (f"{stage}: {self.channels[stage]} channels, stride {self.strides[stage]}" for stage in self.output)
        return f"<FeaturePyramid {self.name} ({'; '.join(levels)})>"


def features(model: keras.Model, part: str = "encoder") -> FeaturePyramid:
    """Returns the feature maps of a network at every level, as a model that shares its layers and weights.

    The maps are those after the recalibration block of a stage, where there is one: what pooling and the next stage
    see. `.strides` and `.channels` of the result describe them.

    Args:
        model: A network of this package.
        part: `"encoder"` for the maps of all encoders and the bottleneck, from fine to coarse; `"decoder"` for those of
            the bottleneck and the decoders, from coarse to fine; `"all"` for both.

    Returns:
        A model from `(batch, *spatial, channels)` to a dict of maps `(batch, *spatial / stride, channels)` by stage:
        `"encoder_1"`, …, `"bottleneck"`, …, `"decoder_1"`.

    Raises:
        ValueError: `part` is none of these, or the model has no stages of such names.

    Example:
        >>> from recalib_keras import models
        >>> pyramid = models.features(models.UNet((16, 16, 1), num_classes=2, levels=2, filters=(4, 8, 16)))
        >>> pyramid.strides, pyramid.channels
        ({'encoder_1': 1, 'encoder_2': 2, 'bottleneck': 4}, {'encoder_1': 4, 'encoder_2': 8, 'bottleneck': 16})
    """
    if part not in PARTS:
        hint = did_you_mean(part, PARTS, otherwise="choose one of them")
        raise ValueError(f"expected `part` to be one of {', '.join(PARTS)}, got {part!r}; {hint}")
    outputs = _stages(model, PARTS[part])
    if not outputs:
        raise ValueError(
            f"expected a network of recalib_keras.models, with layers named after its stages, got {model.name!r} "
            "without any; take its layers' outputs by keras.Model(model.input, …)"
        )
    return FeaturePyramid(model.input, outputs, name=f"{model.name}_features")


def _stages(model, kinds):
    """Returns the output of each stage's last layer, by the stage's name, in the order of the network."""
    last = {}
    for layer in model.layers:  # from the image to the classifier
        stage = STAGE.match(layer.name)
        if stage and stage[2] in kinds and not BETWEEN.fullmatch(layer.name):
            last[stage[1]] = layer.output
    return last

"""The skeleton of all networks: levels, skip connections, and the places of the recalibration blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from recalib_keras import layers
from recalib_keras.core.backend import runs_on_tensorflow_cpu
from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.architecture import (
    Architecture,
    check_classifier_channels,
    check_size,
    with_current_names,
)
from recalib_keras.models.freezing import frozen_paths, restore_frozen
from recalib_keras.models.parts import AUTHORS_EPSILON, EPSILON, Parts

BlockFunction = Callable[[Tensor, int, Parts, str], Tensor]


class EncoderDecoder(keras.Model):
    """A fully convolutional encoder/decoder network with skip connections and recalibration blocks.

    Each of `levels` encoders is a block of convolutions followed by max pooling, 2×2 (2×2×2) by default. A bottleneck
    block follows, then as many decoders: up-sampling, concatenation with the encoder's map, a block of convolutions. A
    1×1 convolution classifies each voxel. `UNet`, `SDNet` and `DenseNet` define their block and the papers' defaults. A
    new network is written in the same way, with the same four class attributes, and `apply_authors_block` if it has
    one.

    Args:
        input_shape: `(height, width, channels)` for a 2-D network or `(depth, height, width, channels)` for a 3-D one.
            Spatial sizes may be None.
        num_classes: Number of classes, including the background. With the classifier activation `"sigmoid"`, number of
            structures, which have a probability each: 1 for a binary network.
        levels: Number of encoders and of decoders, at least 1.
        filters: Number of feature maps in every block, or `levels + 1` numbers from the first encoder to the
            bottleneck; a decoder has as many as the encoder of its level. Defaults to 64 in 2-D and 32 in 3-D.
        kernel_size: Kernel size of the blocks' convolutions: an integer; one for each axis, such as `(3, 3, 1)`; or a
            list of `levels + 1` of these from the first encoder to the bottleneck, such as `[(3, 3, 1), 3, 3]`.
            Defaults to the network's own in 2-D and 3 in 3-D.
        normalization: `"none"`, `"batch"`, `"group"` or `"instance"`, after each convolution of a block. Defaults to
            the network's own.
        upsampling: `"transpose"` (transposed convolution), `"unpool"` (max-unpooling with the indices of the
            matching pooling), `"nearest"` or `"linear"`. Defaults to the network's own.
        dropout: Rate from 0 to below 1, after every block.
        recalibration: `None`, `"cse"`, `"sse"`, `"scse"`, `"pe"`, `"segse"`, `"cbam"`, or a layer class.
        recalibration_args: Arguments of the recalibration block, such as `{"reduction_ratio": 4}`.
        positions: Where the recalibration blocks are: any of `"encoder"`, `"decoder"`, `"bottleneck"`, `"classifier"`,
            and of single stages such as `"encoder_1"` (the first) and `"decoder_1"` (the last); or one of `"P1"` …
            `"P6"`, the TMI paper's names. Defaults to encoders and decoders, P5.
        skip: What skip connections carry: the encoder's `"recalibrated"` map, or the `"raw"` map before recalibration.
        patch_size: Side of the patches of voxels that the first encoder sees as one voxel, with their values as its
            channels. The classifier predicts the classes of all voxels of a patch at once. With 2 a 3-D network
            processes an eighth of the voxels, and has time for more feature maps. 1 leaves each voxel alone.
        head_filters: Feature maps of a hidden 1×1 convolution before the classifier, with its normalization and ReLU.
            It helps with a `patch_size` above 1, where the classifier predicts many voxels from few maps. 0 for none.
        classifier_activation: `"softmax"`; `"sigmoid"`, for structures that may overlap or lie within each other; or
            `None` for logits. A single class always has a sigmoid instead of a softmax: that is the softmax of its
            logit beside one of 0 for the background.
        pool_sizes: How each level pools: `levels` entries, each 2 or, for each axis, 1 or 2. `[(2, 2, 1), 2, 2]`
            suits a window of thick slices, such as 96×96×8, as nnU-Net plans it. Defaults to 2 everywhere.
        data_format: `"channels_last"`, the only one: TensorFlow convolves nothing else on a CPU.
        convention: `"paper"`, or `"authors"` for the blocks of the authors' published PyTorch code, which networks that
            were trained with it need (see `recalib_keras.zoo.import_authors`): another order of normalization,
            activation and convolution, one PReLU for each block, and dropout of whole maps after the recalibration, but
            not in the bottleneck. `SDNet` and `DenseNet` have it.
        dtype: Dtype policy, such as `"mixed_bfloat16"`. Defaults to `keras.config.dtype_policy()`. The output is always
            float32.
        name: Name of the model. Defaults to the class's, in lower case.

    Attributes:
        architecture: The arguments, complete and checked; see `recalib_keras.models.architecture.Architecture`.

    Input shape: `(batch, *spatial, channels)`, each spatial size divisible by `patch_size` times what all levels pool,
        `2 ** levels` by default.

    Output shape: `(batch, *spatial, num_classes)`, the probabilities of the classes.

    Raises:
        ValueError: For an argument outside the choices above, and for an input size that the levels do not divide.
    """

    apply_block: BlockFunction | None = None
    apply_authors_block: BlockFunction | None = None
    planar_kernel_size = 3
    default_normalization = "none"
    default_upsampling = "transpose"

    def __init__(
        self,
        input_shape: Sequence[int | None],
        num_classes: int,
        levels: int = Architecture.levels,
        filters: int | Sequence[int] | None = Architecture.filters,
        kernel_size: int | Sequence[int | Sequence[int]] | None = Architecture.kernel_size,
        normalization: str | None = Architecture.normalization,
        upsampling: str | None = Architecture.upsampling,
        dropout: float = Architecture.dropout,
        recalibration: str | type | None = Architecture.recalibration,
        recalibration_args: Mapping[str, Any] | None = Architecture.recalibration_args,
        positions: str | Sequence[str] = Architecture.positions,
        skip: str = Architecture.skip,
        patch_size: int = Architecture.patch_size,
        head_filters: int = Architecture.head_filters,
        classifier_activation: str | None = Architecture.classifier_activation,
        pool_sizes: Sequence[int | Sequence[int]] | None = Architecture.pool_sizes,
        data_format: str = Architecture.data_format,
        convention: str = Architecture.convention,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        given = Architecture(
            input_shape=input_shape,
            num_classes=num_classes,
            levels=levels,
            filters=filters,
            kernel_size=kernel_size,
            normalization=normalization,
            upsampling=upsampling,
            dropout=dropout,
            recalibration=recalibration,
            recalibration_args=recalibration_args,
            positions=positions,
            skip=skip,
            patch_size=patch_size,
            head_filters=head_filters,
            classifier_activation=classifier_activation,
            pool_sizes=pool_sizes,
            data_format=data_format,
            convention=convention,
        )
        architecture = given.completed(self.planar_kernel_size, self.default_normalization, self.default_upsampling)
        policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
        image, probabilities = _Assembly(architecture, self._block_function(convention), policy).connect()
        super().__init__(inputs=image, outputs=probabilities, name=name or type(self).__name__.lower())
        self.architecture = architecture
        self._policy_name = policy.name
        self._called = True  # else Keras refuses to export a network that was only built or loaded
        # Under XLA a 3-D convolution on CPU is many times slower, and Keras's "auto" would choose it.
        self.supports_jit = not runs_on_tensorflow_cpu()

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        chosen = self.architecture
        check_size(inputs.shape[1:-1], chosen.levels, chosen.patch_size, chosen.pool_sizes)
        return super().call(inputs, training=training, mask=mask)

    @classmethod
    def _block_function(cls, convention):
        found = cls.apply_block if convention == "paper" else cls.apply_authors_block
        if found is None:
            raise ValueError(
                f"expected `convention` of {cls.__name__} to be 'paper', got {convention!r}; SDNet and DenseNet have it"
            )
        return found

    def get_config(self) -> dict[str, Any]:
        # Keras keeps the flag `trainable` of each layer in its config; here the layers are made anew from arguments.
        frozen = frozen_paths(self)
        remembered = {"frozen": frozen} if frozen else {}
        return {**self.architecture.config(), "dtype": self._policy_name, "name": self.name, **remembered}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> EncoderDecoder:
        """Returns the network that a config describes; arguments may have the names of earlier versions."""
        arguments = with_current_names(config)
        frozen = arguments.pop("frozen", ())
        model = super().from_config(arguments, custom_objects)
        restore_frozen(model, frozen)
        return model


@dataclass(frozen=True)
class _Assembly:
    """Connects the layers of a network, from the image to the probabilities."""

    architecture: Architecture
    apply_block: BlockFunction
    policy: keras.DTypePolicy

    @property
    def parts(self):
        return self.parts_at(level=1)

    def parts_at(self, level):
        """Returns the parts of a level, from 1; those of the bottleneck follow the last one."""
        chosen = self.architecture
        kernel_size = chosen.kernel_size_at(level)
        return Parts(
            *(chosen.spatial_rank, kernel_size, chosen.normalization, chosen.dropout, self.policy),
            epsilon=AUTHORS_EPSILON if self.is_authors else EPSILON,
        )

    @property
    def is_authors(self):
        return self.architecture.convention == "authors"

    def connect(self):
        """Returns the symbolic input and output of the network."""
        image = keras.Input(self.architecture.input_shape, dtype=self.policy.compute_dtype, name="image")
        x = self.parts.to_patches(image, self.architecture.patch_size, "stem")
        x, skips, indices = self.encode(x)
        x = self.bottleneck(x)
        x = self.decode(x, skips, indices)
        return image, self.classify(x)

    def encode(self, x):
        """Returns the map below the last encoder; each encoder's map for its decoder, and its indices of pooling."""
        skips, indices = [], []
        for level, width in enumerate(self.architecture.widths[:-1], start=1):
            stage = f"encoder_{level}"
            raw = self.convolve(x, width, stage, level)
            recalibrated = self.recalibrate(raw, "encoder", stage)
            skips.append(recalibrated if self.architecture.skip == "recalibrated" else raw)
            keeps_indices = self.architecture.upsampling == "unpool"
            pool_size = self.architecture.pool_size_at(level)
            x, index = self.parts.pool(recalibrated, f"{stage}_pool", pool_size, with_indices=keeps_indices)
            indices.append(index)
        return x, skips, indices

    def bottleneck(self, x):
        x = self.convolve(x, self.architecture.widths[-1], "bottleneck", self.architecture.levels + 1)
        return self.recalibrate(x, "bottleneck", "bottleneck")

    def decode(self, x, skips, indices):
        """Returns the map of the last decoder, that of level 1."""
        for level in range(self.architecture.levels, 0, -1):
            stage, width = f"decoder_{level}", self.architecture.widths[level - 1]
            pool_size, upsampling = self.architecture.pool_size_at(level), self.architecture.upsampling
            x = self.parts.upsample(x, indices[level - 1], width, upsampling, f"{stage}_up", pool_size)
            x = self.parts.concatenate([x, skips[level - 1]], f"{stage}_skip")
            x = self.recalibrate(self.convolve(x, width, stage, level), "decoder", stage)
        return x

    def classify(self, x):
        """Returns the probabilities of the classes, or logits, at every voxel of the image."""
        chosen, parts = self.architecture, self.parts
        if chosen.head_filters:
            x = parts.convolve(x, chosen.head_filters, "classifier_hidden", kernel_size=1)
        voxels = chosen.patch_size**chosen.spatial_rank
        x = parts.layer("Conv{}D", chosen.num_classes * voxels, 1, name="classifier")(x)
        x = parts.from_patches(x, chosen.patch_size, "classes")
        x = self.recalibrate(x, "classifier", "classifier")
        check_classifier_channels(x.shape[-1], chosen.num_classes)
        activation = chosen.classifier_activation or "linear"
        return keras.layers.Activation(activation, dtype="float32", name="probabilities")(x)

    def convolve(self, x, width, stage, level):
        """Applies the network's block of convolutions, and dropout; the authors drop whole maps, and later."""
        parts = self.parts_at(level)
        x = self.apply_block(x, width, parts, stage)
        return x if self.is_authors else parts.drop(x, f"{stage}_dropout")

    def recalibrate(self, x, position, stage):
        """Applies the recalibration block, if there is one at this stage, and the authors' dropout."""
        x = self._recalibrate(x, position, stage)
        drops = self.is_authors and position in ("encoder", "decoder")
        return self.parts.drop_maps(x, f"{stage}_dropout") if drops else x

    def _recalibrate(self, x, position, stage):
        block = self.architecture.block_at(position, stage)
        if block is None:
            return x
        # Networks are channels-last whatever the global setting; a user's own class need not have the argument.
        data_format = {"data_format": "channels_last"} if issubclass(block, layers.Recalibration) else {}
        arguments = {**data_format, **self.architecture.recalibration_args}
        return block(**arguments, dtype=self.policy, name=f"{stage}_recalibration")(x)

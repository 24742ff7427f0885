"""The skeleton that all networks share: levels, skip connections, and where the recalibration blocks stand."""

import difflib
import inspect

import keras

from recalib_keras import layers
from recalib_keras.models.parts import NORMALIZATIONS, UPSAMPLINGS, Parts

RECALIBRATIONS = {
    "cse": layers.ChannelSE,
    "sse": layers.SpatialSE,
    "scse": layers.ChannelSpatialSE,
    "pe": layers.ProjectExcite,
    "segse": layers.SegSE,
    "cbam": layers.CBAM,
}
# Roy et al., TMI 2019, section II-D.
POSITIONS = {
    "P1": ("encoder",),
    "P2": ("decoder",),
    "P3": ("bottleneck",),
    "P4": ("classifier",),
    "P5": ("encoder", "decoder"),
    "P6": ("encoder", "decoder", "bottleneck", "classifier"),
}
SKIPS = ("recalibrated", "raw")


class EncoderDecoder(keras.Model):
    """A fully convolutional encoder/decoder network with skip connections and recalibration blocks.

    Each of `levels` encoders is a block of convolutions followed by 2×2 (2×2×2) max pooling; a bottleneck block
    follows, then as many decoders: up-sampling, concatenation with the encoder's map, a block of convolutions. A 1×1
    convolution classifies each voxel. `UNet`, `SDNet` and `DenseNet` say what their block is and what the papers set
    by default; a network of one's own is written the same way, with the four class attributes they have.

    Args:
        input_shape: tuple of integers or `None`, `(height, width, channels)` for a 2-D network or
            `(depth, height, width, channels)` for a 3-D one.
        num_classes: integer of at least 2, the background counted in.
        levels: integer, number of encoders and of decoders. Defaults to 4.
        filters: integer, the same in every block, or `levels + 1` integers from the first encoder to the bottleneck;
            decoders have as many as the encoder at their level. Defaults to 64 in 2-D and 32 in 3-D.
        kernel_size: integer, of the blocks' convolutions. Defaults to the network's own in 2-D and 3 in 3-D.
        normalization: `"none"`, `"batch"`, `"group"` or `"instance"`, after each convolution of a block. Defaults to
            the network's own.
        upsampling: `"transpose"` (transposed convolution), `"unpool"` (max-unpooling with the indices of the
            matching pooling), `"nearest"` or `"linear"`. Defaults to the network's own.
        dropout: rate from 0 to below 1, after every block. Defaults to 0.
        recalibration: `None`, `"cse"`, `"sse"`, `"scse"`, `"pe"`, `"segse"`, `"cbam"`, or a layer class. Defaults to
            `None`.
        recalibration_args: dict of arguments for it, such as `{"reduction_ratio": 4}`.
        positions: where the blocks stand: any of `"encoder"`, `"decoder"`, `"bottleneck"`, `"classifier"`, of single
            blocks such as `"encoder_1"` (the first) and `"decoder_1"` (the last), or one of `"P1"` … `"P6"` as the
            TMI paper calls them. Defaults to encoders and decoders, P5.
        skip: what skip connections carry, the `"recalibrated"` map of the encoder (default) or the `"raw"` one before.
        stem: integer, side of the blocks of voxels that the first encoder sees as one, their values as its channels;
            the classifier names the class of each of their voxels at once. With 2 a volumetric network has an eighth
            of the voxels to go over, each with the time for more maps. Defaults to 1, each voxel by itself.
        head_filters: integer, maps of a hidden 1×1 convolution before the classifier, with its normalization and ReLU;
            for a stem, whose classifier tells many voxels apart from the few maps of one block. Defaults to 0, none.
        classifier_activation: `"softmax"` (default), or `None` for logits.
        dtype: dtype policy, such as `"mixed_bfloat16"`; defaults to `keras.config.dtype_policy()`. The output is
            float32 all the same.
        name: string. Defaults to the network's.

    Input shape: `(batch, *spatial, channels)`, each spatial size divisible by `stem * 2 ** levels`.

    Output shape: `(batch, *spatial, num_classes)`, the probabilities of the classes.

    Raises:
        ValueError: for an argument outside the choices above, and for an input size that the levels do not divide.
    """

    apply_block = None
    planar_kernel_size = 3
    default_normalization = "none"
    default_upsampling = "transpose"

    def __init__(
        self,
        input_shape,
        num_classes,
        levels=4,
        filters=None,
        kernel_size=None,
        normalization=None,
        upsampling=None,
        dropout=0.0,
        recalibration=None,
        recalibration_args=None,
        positions=("encoder", "decoder"),
        skip="recalibrated",
        stem=1,
        head_filters=0,
        classifier_activation="softmax",
        dtype=None,
        name=None,
    ):
        input_shape = tuple(input_shape)
        is_volumetric = len(input_shape) == 4
        filters = filters or (32 if is_volumetric else 64)
        kernel_size = kernel_size or (3 if is_volumetric else self.planar_kernel_size)
        normalization = normalization or self.default_normalization
        upsampling = upsampling or self.default_upsampling
        apply_block, name = type(self).apply_block, name or type(self).__name__.lower()
        positions = POSITIONS[positions] if isinstance(positions, str) and positions in POSITIONS else positions
        positions = (positions,) if isinstance(positions, str) else tuple(positions)
        widths = _widths(filters, levels)
        recalibration_class = _recalibration_class(recalibration)
        _check_rank(input_shape)
        _check_choices("normalization", [normalization], NORMALIZATIONS)
        _check_choices("upsampling", [upsampling], UPSAMPLINGS)
        _check_choices("positions", positions, (*POSITIONS["P6"], *_stages(levels)))
        _check_choices("skip", [skip], SKIPS)
        _check_choices("classifier_activation", [classifier_activation], ("softmax", None))
        if num_classes < 2:
            raise ValueError(
                f"`num_classes` counts the background too and must be at least 2. Received: num_classes={num_classes}"
            )
        if stem < 1:
            raise ValueError(f"`stem` must be at least 1. Received: stem={stem}")
        if head_filters < 0:
            raise ValueError(f"`head_filters` must be at least 0. Received: head_filters={head_filters}")
        check_size(input_shape[:-1], levels, stem)

        policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
        parts = Parts(len(input_shape) - 1, kernel_size, normalization, dropout, policy)

        def recalibrate(x, position, name):
            if recalibration_class is None or not {position, name}.intersection(positions):
                return x
            # The networks are channels-last whatever the global setting; a user's own class need not know the argument.
            kwargs = {"data_format": "channels_last"} if issubclass(recalibration_class, layers.Recalibration) else {}
            return recalibration_class(
                **{**kwargs, **(recalibration_args or {})}, dtype=policy, name=f"{name}_recalibration"
            )(x)

        inputs = x = keras.Input(input_shape, dtype=policy.compute_dtype, name="image")
        x = parts.to_blocks(x, stem, "stem")
        skips, indices = [], []
        for level, width in enumerate(widths[:-1], start=1):
            stage = f"encoder_{level}"
            raw = parts.drop(apply_block(x, width, parts, stage), f"{stage}_dropout")
            recalibrated = recalibrate(raw, "encoder", stage)
            skips.append(recalibrated if skip == "recalibrated" else raw)
            x, index = parts.pool(recalibrated, f"{stage}_pool", with_indices=upsampling == "unpool")
            indices.append(index)
        x = apply_block(x, widths[-1], parts, "bottleneck")
        x = recalibrate(parts.drop(x, "bottleneck_dropout"), "bottleneck", "bottleneck")
        for level in range(levels, 0, -1):
            stage, width = f"decoder_{level}", widths[level - 1]
            x = parts.upsample(x, indices[level - 1], width, upsampling, f"{stage}_up")
            x = parts.concatenate([x, skips[level - 1]], f"{stage}_skip")
            x = parts.drop(apply_block(x, width, parts, stage), f"{stage}_dropout")
            x = recalibrate(x, "decoder", stage)
        if head_filters:
            x = parts.convolve(x, head_filters, "classifier_hidden", kernel_size=1)
        x = parts.layer("Conv{}D", num_classes * stem**parts.spatial_rank, 1, name="classifier")(x)
        x = parts.from_blocks(x, stem, "classes")
        x = recalibrate(x, "classifier", "classifier")
        if x.shape[-1] != num_classes:
            raise ValueError(
                f"the block after the classifier must keep its {num_classes} channels; leave 'classifier' out of "
                f"`positions` or choose another aggregation. Received: {x.shape[-1]} channels from "
                f"recalibration={recalibration!r} with recalibration_args={recalibration_args!r}"
            )
        x = keras.layers.Activation(classifier_activation or "linear", dtype="float32", name="probabilities")(x)
        super().__init__(inputs=inputs, outputs=x, name=name)

        self.levels = levels
        self.stem = stem
        # Under XLA a 3-D convolution on CPU is many times slower, and Keras's "auto" would choose it.
        self.supports_jit = not _runs_on_tensorflow_cpu()
        self._config = {
            "input_shape": input_shape,
            "num_classes": num_classes,
            "levels": levels,
            "filters": filters if isinstance(filters, int) else tuple(filters),
            "kernel_size": kernel_size,
            "normalization": normalization,
            "upsampling": upsampling,
            "dropout": dropout,
            "recalibration": _recalibration_name(recalibration),
            "recalibration_args": dict(recalibration_args or {}),
            "positions": positions,
            "skip": skip,
            "stem": stem,
            "head_filters": head_filters,
            "classifier_activation": classifier_activation,
            "dtype": policy.name,
            "name": name,
        }

    def call(self, inputs, training=None, mask=None):
        check_size(inputs.shape[1:-1], self.levels, self.stem)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        return dict(self._config)


def _runs_on_tensorflow_cpu():
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def check_size(sizes, levels, stem=1) -> None:
    """Checks that every known spatial size can be divided by `stem`, then halved `levels` times.

    Raises:
        ValueError: if not; it names the nearest sizes that fit.
    """
    step = stem * 2**levels
    if all(size is None or size % step == 0 for size in sizes):
        return
    nearest = [
        "any multiple" if size is None else " or ".join(str(fit) for fit in _nearest_multiples(size, step))
        for size in sizes
    ]
    of_stem = f", times the stem, {stem}" if stem > 1 else ""
    raise ValueError(
        f"every spatial size must be a multiple of {step} (2 to the number of levels, {levels}{of_stem}); nearest that "
        f"fit: ({', '.join(nearest)}). Received: {tuple(sizes)}"
    )


def _nearest_multiples(size, step):
    below = size // step * step
    return [fit for fit in ((below,) if size == below else (below, below + step)) if fit]


def _stages(levels):
    """Returns the names of single encoders and decoders."""
    return [f"{part}_{level}" for part in ("encoder", "decoder") for level in range(1, levels + 1)]


def _check_rank(input_shape):
    if len(input_shape) not in (3, 4):
        raise ValueError(
            "`input_shape` must be (height, width, channels) or (depth, height, width, channels). "
            f"Received: input_shape={input_shape}"
        )
    if input_shape[-1] is None:
        raise ValueError(f"`input_shape` must end with the number of channels. Received: input_shape={input_shape}")


def _check_choices(argument, values, choices):
    for value in values:
        if value not in choices:
            raise ValueError(f"`{argument}` must be of {choices}. Received: {argument}={value!r}")


def _widths(filters, levels):
    if isinstance(filters, int):
        return (filters,) * (levels + 1)
    if len(filters) != levels + 1:
        raise ValueError(
            f"`filters` must be one integer or {levels + 1}: one for each of {levels} levels, one for the bottleneck. "
            f"Received: filters={filters}"
        )
    return tuple(filters)


def _recalibration_class(recalibration):
    if recalibration is None or inspect.isclass(recalibration):
        return recalibration
    found = RECALIBRATIONS.get(recalibration) or keras.saving.get_registered_object(recalibration)
    if found is None:
        nearest = difflib.get_close_matches(str(recalibration), RECALIBRATIONS, n=1)
        raise ValueError(
            f"`recalibration` must be None, a layer class, or one of {tuple(RECALIBRATIONS)}. "
            f"Received: recalibration={recalibration!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else "")
        )
    return found


def _recalibration_name(recalibration):
    return keras.saving.get_registered_name(recalibration) if inspect.isclass(recalibration) else recalibration

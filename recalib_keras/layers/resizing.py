"""Layers that halve or double spatial axes, all or some: max pooling with indices, its inverse, and up-sampling.

They see a doubled axis as windows: an axis of size `2·m` as one axis of `m` windows and one of the 2 places in each.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import KerasTensor, ops

from recalib_keras.layers.acceleration import Tensor, fused, is_traced_for_elsewhere, is_traced_for_litert

INTERPOLATIONS = ("nearest", "linear")
Shape = tuple[int | None, ...]


class Resized(NamedTuple):
    """Which axes of a tensor are halved or doubled.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.
        pool_size: 2 for all spatial axes, or for each of them 2 or 1, which leaves an axis as it is.
    """

    data_format: str
    pool_size: int | tuple[int, ...]

    def axes(self, rank: int) -> tuple[int, ...]:
        """Returns the axes of a tensor of `rank` axes, including batch and channels.

        Raises:
            ValueError: If the tensor has another number of spatial axes.
        """
        spatial = spatial_axes(rank, self.data_format)
        if isinstance(self.pool_size, int):
            return spatial
        if len(self.pool_size) != len(spatial):
            raise ValueError(
                f"expected `pool_size` to have a number for each of {len(spatial)} spatial axes, got {self.pool_size}"
            )
        return tuple(axis for axis, size in zip(spatial, self.pool_size) if size == 2)


class _Resizing(keras.layers.Layer):
    """Base of the three layers."""

    def __init__(self, data_format: str | None = None, pool_size: int | Sequence[int] = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.pool_size = pool_size if isinstance(pool_size, int) else tuple(pool_size)
        sizes = (self.pool_size,) if isinstance(self.pool_size, int) else self.pool_size
        if not {*sizes} <= {1, 2} or 2 not in sizes:
            raise ValueError(
                f"expected `pool_size` to be 2, or 1 or 2 for each spatial axis and 2 for one of them, got {pool_size}"
            )
        self.data_format = data_format or keras.config.image_data_format()
        self._resized = Resized(self.data_format, self.pool_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pool_size": self.pool_size, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="recalib_keras")
class MaxPooling3D(keras.layers.MaxPooling3D):
    """Keras's max pooling of volumes, which can be exported for LiteRT too.

    LiteRT has no max pooling in 3-D. For it, the maximum is taken along one axis after the other. The arguments are
    those of `keras.layers.MaxPooling3D`.

    Input shape: `(batch, *spatial, channels)`, three spatial axes.

    Output shape: `(batch, *(spatial // pool_size), channels)`, by default.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.MaxPooling3D(2)(keras.ops.ones((1, 4, 6, 8, 2))).shape == (1, 2, 3, 4, 2)
    True
    """

    def call(self, inputs: Tensor) -> Tensor:
        is_simple = tuple(self.pool_size) == tuple(self.strides) and self.padding == "valid"
        if not (is_simple and is_traced_for_litert()):
            return super().call(inputs)
        for axis, size in zip(spatial_axes(5, self.data_format), self.pool_size):
            length = inputs.shape[axis]
            whole = None if length is None else length // size * size
            places = (slice(place, whole, size) for place in range(size))
            inputs = functools.reduce(ops.maximum, [inputs[(slice(None),) * axis + (place,)] for place in places])
        return inputs


@keras.saving.register_keras_serializable(package="recalib_keras")
class MaxPoolingWithIndices(_Resizing):
    """Halves spatial axes and returns the maxima together with their places.

    Each non-overlapping window of `pool_size` voxels, 2×…×2 as a rule, gives its maximum and the place of that maximum
    in the window, counted in C order from 0. On ties the first place is taken, and only that place receives the
    gradient.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        pool_size: 2 for all spatial axes, or for each of them 2 or 1, such as `(2, 2, 1)`; 1 leaves an axis as it is.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)` with sizes that `pool_size` divides.

    Output shape: Two of `(batch, *(spatial / pool_size), channels)`: the maxima, and their places as uint8.

    Raises:
        ValueError: For an odd size to halve, and for a `pool_size` that is not allowed or has another number of axes.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> maxima, indices = layers.MaxPoolingWithIndices()(keras.ops.reshape(keras.ops.arange(4.0), (1, 2, 2, 1)))
    >>> float(maxima[0, 0, 0, 0]), int(indices[0, 0, 0, 0])
    (3.0, 3)

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.
    """

    def __init__(self, data_format: str | None = None, pool_size: int | Sequence[int] = 2, **kwargs: Any):
        super().__init__(data_format, pool_size, **kwargs)
        self._pool = fused(
            functools.partial(_pool, resized=self._resized),
            transpose=functools.partial(_unpool, resized=self._resized),
        )

    def call(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        halved(inputs.shape, self._resized)  # reports odd sizes before an operation fails
        return self._pool(inputs)

    def compute_output_spec(self, inputs: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        shape, _ = self.compute_output_shape(inputs.shape)
        return KerasTensor(shape, dtype=self.compute_dtype), KerasTensor(shape, dtype="uint8")

    def compute_output_shape(self, input_shape: Shape) -> tuple[Shape, Shape]:
        shape = halved(input_shape, self._resized)
        return shape, shape


@keras.saving.register_keras_serializable(package="recalib_keras")
class MaxUnpooling(_Resizing):
    """Doubles spatial axes: each value goes to the place of its maximum in pooling, all other places are zero.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        pool_size: 2 for all spatial axes, or for each of them 2 or 1, such as `(2, 2, 1)`; 1 leaves an axis as it is.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Feature map `(batch, *spatial, channels)`.
        indices: Of the same shape, from `MaxPoolingWithIndices`.

    Output shape: `(batch, *(pool_size · spatial), channels)`.

    Raises:
        ValueError: If `inputs` and `indices` differ in shape, and for a `pool_size` as in `MaxPoolingWithIndices`.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> image = keras.random.normal((1, 8, 8, 8, 2))
    >>> maxima, indices = layers.MaxPoolingWithIndices()(image)
    >>> layers.MaxUnpooling()(maxima, indices).shape == image.shape
    True

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.
    """

    def __init__(self, data_format: str | None = None, pool_size: int | Sequence[int] = 2, **kwargs: Any):
        super().__init__(data_format, pool_size, **kwargs)
        self._unpool = fused(
            functools.partial(_unpool, resized=self._resized),
            transpose=functools.partial(_pick, resized=self._resized),
        )

    def call(self, inputs: Tensor, indices: Tensor) -> Tensor:
        _check_same_shape(inputs.shape, indices.shape)
        return self._unpool(inputs, indices)

    def compute_output_shape(self, inputs_shape: Shape, indices_shape: Shape) -> Shape:
        _check_same_shape(inputs_shape, indices_shape)
        return doubled(inputs_shape, self._resized)


@keras.saving.register_keras_serializable(package="recalib_keras")
class UpSampling(_Resizing):
    """Doubles spatial axes by repetition or by linear interpolation.

    `"linear"` is bilinear in 2-D and trilinear in 3-D. The voxels' centres lie half a voxel inside the borders, and
    border values continue beyond them (PyTorch's `align_corners=False`, Keras's `UpSampling2D("bilinear")`).

    Args:
        interpolation: `"nearest"` or `"linear"`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `keras.config.image_data_format()`.
        pool_size: 2 for all spatial axes, or for each of them 2 or 1, such as `(2, 2, 1)`; 1 leaves an axis as it is.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape: `(batch, *spatial, channels)`.

    Output shape: `(batch, *(pool_size · spatial), channels)`.

    Raises:
        ValueError: For an unknown `interpolation`, and for a `pool_size` as in `MaxPoolingWithIndices`.

    Example:
    >>> import keras
    >>> from recalib_keras import layers
    >>> layers.UpSampling("linear")(keras.ops.ones((1, 4, 6, 8, 2))).shape == (1, 8, 12, 16, 2)
    True
    """

    def __init__(
        self,
        interpolation: str = "nearest",
        data_format: str | None = None,
        pool_size: int | Sequence[int] = 2,
        **kwargs: Any,
    ):
        super().__init__(data_format, pool_size, **kwargs)
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"expected `interpolation` to be one of {INTERPOLATIONS}, got {interpolation!r}")
        self.interpolation = interpolation
        if interpolation == "nearest":
            self._up_sample = fused(
                functools.partial(repeat, resized=self._resized),
                transpose=functools.partial(_sum, resized=self._resized),
            )
        else:
            self._up_sample = fused(functools.partial(_interpolate, resized=self._resized))

    def call(self, inputs: Tensor) -> Tensor:
        return self._up_sample(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return doubled(input_shape, self._resized)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}


def _pool(inputs, resized):
    maxima, *others = by_place(inputs, resized)
    dtype = _dtype_of_places()
    indices = ops.zeros_like(maxima, dtype=dtype)
    for place, values in enumerate(others, start=1):
        is_larger = values > maxima
        maxima = ops.where(is_larger, values, maxima)
        indices = ops.where(is_larger, ops.cast(place, dtype), indices)
    return maxima, ops.cast(indices, "uint8")


def _unpool(inputs, indices, resized):
    indices, dtype = repeat(indices, resized), _dtype_of_places()
    is_place = ops.cast(indices, dtype) == places(doubled(ops.shape(inputs), resized), resized, dtype)
    return ops.where(is_place, repeat(inputs, resized), ops.zeros((), dtype=inputs.dtype))


def _dtype_of_places():
    # LiteRT neither compares bytes nor chooses between them.
    return "int32" if is_traced_for_elsewhere() else "uint8"


def _pick(inputs, indices, resized):
    """Returns the value at the indexed place of each window: the transpose of unpooling."""
    picked, *others = by_place(inputs, resized)
    for place, values in enumerate(others, start=1):
        picked = ops.where(indices == place, values, picked)
    return picked


def _sum(inputs, resized):
    """Returns the sum of each window: the transpose of repetition."""
    return sum(by_place(inputs, resized))


def _interpolate(inputs, resized):
    for axis in resized.axes(len(inputs.shape)):
        inputs = interleave(*_halfway(inputs, axis), axis)
    return inputs


def _halfway(inputs, axis):
    """Returns the values a quarter of a voxel before and after each voxel's centre."""
    before = (slice(None),) * axis
    previous = ops.concatenate([inputs[(*before, slice(None, 1))], inputs[(*before, slice(None, -1))]], axis=axis)
    following = ops.concatenate([inputs[(*before, slice(1, None))], inputs[(*before, slice(-1, None))]], axis=axis)
    return 0.75 * inputs + 0.25 * previous, 0.75 * inputs + 0.25 * following


def spatial_axes(rank: int, data_format: str) -> tuple[int, ...]:
    """Returns the spatial axes of a tensor of `rank` axes, including batch and channels."""
    return tuple(range(1, rank - 1)) if data_format == "channels_last" else tuple(range(2, rank))


def by_place(inputs: Tensor, resized: Resized) -> list[Tensor]:
    """Returns the values at each place of all windows: a tensor of pooled size for each, in C order of the places."""
    rank = len(inputs.shape)
    axes = resized.axes(rank)
    if is_traced_for_elsewhere():  # few runtimes have slices of so many axes
        return [inputs[_every_other(place, axes)] for place in itertools.product((0, 1), repeat=len(axes))]
    windows = ops.reshape(inputs, _split(ops.shape(inputs), axes, lambda size: (size // 2, 2)))
    return [windows[_at(place, rank, axes)] for place in itertools.product((0, 1), repeat=len(axes))]


def repeat(inputs: Tensor, resized: Resized) -> Tensor:
    """Returns a tensor of resized axes, with each value at all places of its window."""
    axes = resized.axes(len(inputs.shape))
    windows = ops.reshape(inputs, _split(ops.shape(inputs), axes, lambda size: (size, 1)))
    # Tiled, not broadcast: TensorFlow without XLA cannot broadcast so many axes.
    windows = ops.tile(windows, _split([1] * len(inputs.shape), axes, lambda _: (1, 2)))
    return ops.reshape(windows, doubled(ops.shape(inputs), resized))


def places(shape: Sequence[int], resized: Resized, dtype: str = "uint8") -> Tensor:
    """Returns the place in its window of every position in a shape, an integer; other axes have size 1."""
    axes = resized.axes(len(shape))
    sum_of_bits = 0
    for bit, axis in zip(reversed(range(len(axes))), axes):
        is_odd = ops.cast(ops.arange(shape[axis]) % 2, dtype)
        sum_of_bits = sum_of_bits + 2**bit * ops.reshape(is_odd, [-1 if a == axis else 1 for a in range(len(shape))])
    return sum_of_bits


def interleave(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Returns a tensor of twice the size along `axis`, with `even` at the even and `odd` at the odd places."""
    shape = ops.shape(even)
    return ops.reshape(ops.stack([even, odd], axis=axis + 1), (*shape[:axis], shape[axis] * 2, *shape[axis + 1 :]))


def halved(shape: Sequence[int | None], resized: Resized) -> Shape:
    """Returns the shape with the resized axes halved; unknown sizes stay unknown.

    Raises:
        ValueError: If such a size is odd.
    """
    axes = resized.axes(len(shape))
    if any(shape[axis] is not None and shape[axis] % 2 for axis in axes):
        raise ValueError(
            f"expected every spatial size {_to_halve(resized)}to be even, got the shape {tuple(shape)}; pad or crop "
            "the odd ones"
        )
    return tuple(size // 2 if axis in axes and size is not None else size for axis, size in enumerate(shape))


def doubled(shape: Sequence[int | None], resized: Resized) -> Shape:
    """Returns the shape with the resized axes doubled; unknown sizes stay unknown."""
    axes = resized.axes(len(shape))
    return tuple(size * 2 if axis in axes and size is not None else size for axis, size in enumerate(shape))


def _to_halve(resized):
    return "" if isinstance(resized.pool_size, int) else f"that `pool_size` {resized.pool_size} halves "


def _at(place, rank, axes):
    """Returns the index of one place in all windows."""
    coordinates = iter(place)
    return tuple(_split([slice(None)] * rank, axes, lambda every: (every, next(coordinates))))


def _every_other(place, axes):
    """Returns the index of one place in all windows, of a tensor whose axes are not split."""
    starts = dict(zip(axes, place))
    return tuple(slice(starts.get(axis), None, 2 if axis in starts else None) for axis in range(axes[-1] + 1))


def _split(entries, axes, parts):
    """Returns a list with one entry for each axis; entries of `axes` are replaced by their two `parts`."""
    return [part for axis, entry in enumerate(entries) for part in (parts(entry) if axis in axes else (entry,))]


def _check_same_shape(inputs_shape, indices_shape):
    inputs_shape, indices_shape = tuple(inputs_shape), tuple(indices_shape)
    sizes = zip(inputs_shape, indices_shape, strict=False)
    if len(inputs_shape) != len(indices_shape) or any(None not in pair and pair[0] != pair[1] for pair in sizes):
        raise ValueError(
            f"expected `indices` to have the shape of `inputs`, {inputs_shape}, got {indices_shape}; use the indices "
            "of the matching `MaxPoolingWithIndices`"
        )

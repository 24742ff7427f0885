"""The blocks that surgery adds to a model: made from a name, a class, a layer or a function, each for its place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from recalib_keras.core.messages import did_you_mean, listed
from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.architecture import BLOCKS, block_arguments, block_class

Block: TypeAlias = "str | type | keras.layers.Layer | Callable[..., keras.layers.Layer]"
SUFFIX = "_recalibration"


@dataclass
class BlockMaker:
    """Makes a block for a layer, its path and its output.

    Args:
        block: Name of a block, a layer class, a layer whose arguments each block has, or a function that returns a
            new layer.
        use_identity_start: Whether the blocks must start as the identity.
        arguments: Of the block.
        data_format: Of blocks after layers that have none.
        paths: Paths of layers, whose names are taken.

    Raises:
        TypeError: If `block` is none of these.
        ValueError: If the name or an argument of the block is unknown, or the block has no identity start.
    """

    block: Block
    use_identity_start: bool
    arguments: dict[str, Any]
    data_format: str
    paths: set[str]

    def __post_init__(self):
        if isinstance(self.block, keras.layers.Layer):
            config = self.block.get_config()
            own = {key: config[key] for key in block_arguments(type(self.block)) if key in config}
            # The data format is that of the place: the layer has the global one if none was given.
            own = {key: value for key, value in own.items() if key not in ("data_format", "use_identity_start")}
            self.block, self.arguments = type(self.block), {**own, **self.arguments}
        if isinstance(self.block, str):
            self.block = _named(self.block)
        if not callable(self.block):
            raise TypeError(
                f"expected `block` to be a name, a layer class, a layer or a function, got {type(self.block).__name__}"
            )
        if inspect.isclass(self.block):
            _check_arguments(self.block, self.arguments, self.use_identity_start)
        elif self.arguments:
            raise ValueError(
                f"expected no arguments beside a function, got {listed(self.arguments)}; give them to the layer that "
                "the function returns"
            )

    def __call__(self, layer: Any, path: str, output: Tensor) -> keras.layers.Layer:
        """Returns a block for the output of a layer.

        Args:
            layer: The layer, or an operation.
            path: Its name, after those of the models that it is nested in.
            output: What it returns.
        """
        function: Any = self.block
        if inspect.isclass(function):
            return self._block(layer, path, output)
        made = function(layer) if _takes_argument(function) else function()
        if not isinstance(made, keras.layers.Layer):
            raise TypeError(
                f"expected `block` to return a layer, got {type(made).__name__}; return a keras.layers.Layer"
            )
        if self.use_identity_start and not getattr(made, "use_identity_start", False):
            raise ValueError(
                f"expected a block that starts as the identity, got a {type(made).__name__} that does not; make it "
                "with `use_identity_start=True`, or graft with `use_identity_start=False`"
            )
        return made

    def _block(self, layer, path, output):
        place = {
            "data_format": getattr(layer, "data_format", None) or self.data_format,
            "use_identity_start": self.use_identity_start,
        }
        known = block_arguments(self.block)
        arguments = {**{key: value for key, value in place.items() if key in known}, **self.arguments}
        return self.block(**arguments, dtype=_dtype(layer, output), name=self._free_name(path))

    def _free_name(self, path):
        numbers = range(2, len(self.paths) + 3)
        candidates = [f"{path}{SUFFIX}", *(f"{path}{SUFFIX}_{number}" for number in numbers)]
        free = next(candidate for candidate in candidates if candidate not in self.paths)
        self.paths.add(free)
        return free.rpartition("/")[2]


def _named(name):
    if name not in BLOCKS and keras.saving.get_registered_object(name) is None:
        hint = did_you_mean(name, BLOCKS, otherwise="or give a layer class")
        raise ValueError(f"expected `block` to be one of {', '.join(BLOCKS)}, got {name!r}; {hint}")
    return block_class(name)


def _check_arguments(block, arguments, use_identity_start):
    if not issubclass(block, keras.layers.Layer):
        raise TypeError(f"expected `block` to be a layer class, got the class {block.__name__}")
    known = block_arguments(block)
    for key in arguments:
        if key not in known:
            hint = did_you_mean(key, known, otherwise=f"it takes {', '.join(known)}")
            raise ValueError(f"expected arguments of {block.__name__}, got {key!r}; {hint}")
    if use_identity_start and "use_identity_start" not in known:
        raise ValueError(
            f"expected a block that takes `use_identity_start`, got {block.__name__}; graft with "
            "`use_identity_start=False` if the output may change at first"
        )


def _takes_argument(function):
    return any(one.default is one.empty for one in inspect.signature(function).parameters.values())


def _dtype(layer, output):
    """Returns the dtype policy of a block: the layer's, if its output has the type that the policy computes in."""
    policy = getattr(layer, "dtype_policy", None)
    if policy is not None and policy.compute_dtype == output.dtype and policy.quantization_mode is None:
        return policy
    is_short = output.dtype in ("float16", "bfloat16")
    return keras.DTypePolicy(f"mixed_{output.dtype}" if is_short else output.dtype)

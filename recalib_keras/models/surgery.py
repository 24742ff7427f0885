"""Surgery on any Keras model: recalibration blocks after chosen layers, without a change of its output.

A model is a graph of calls. Each layer is copied and called again, with a block after each chosen one; models nested in
the model are rebuilt in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from recalib_keras.core.messages import one_line
from recalib_keras.layers.acceleration import Tensor
from recalib_keras.models.block_maker import Block, BlockMaker
from recalib_keras.models.layer_graph import Place, as_functional, check_is_graph, data_format, find, is_graph, walk

RANKS = (3, 4, 5)  # of feature maps, with batch and channels
MOST_OF_ERROR = 200  # characters of an error of Keras that a message repeats


def graft(
    model: keras.Model,
    block: Block = "scse",
    at: Place | Sequence[Place] | None = None,
    use_identity_start: bool = True,
    **arguments: Any,
) -> keras.Model:
    """Returns a copy of a trained model with a recalibration block after each of the layers that `at` names.

    The model may be any graph of layers: of `keras.applications`, KerasHub, this package, or one's own; Functional or
    Sequential; with several inputs and outputs, nested models, and layers that are called more than once. The copy has
    the model's weights, `trainable` flags and names of layers, and a block `NAME_recalibration` after the layer `NAME`.
    With `use_identity_start` its output is exactly the model's until it is trained. It is a plain Functional model,
    not compiled. The model itself does not change.

    Args:
        model: The model.
        block: Name of a block, one of `recalib_keras.models.RECALIBRATIONS`; a layer class; a layer, whose arguments
            each block then has; or a function that returns a new layer for each place. It is called with the layer
            before the block if it takes an argument.
        at: After which layers: a pattern of their names such as `"block_*_add"`; a function of a layer that says
            whether; a layer class; or several of these, each of which must match. A pattern finds layers of nested
            models, too; `"encoder/*_add"` finds those of the nested model `encoder` alone.
        use_identity_start: Whether the blocks start as the identity. A function as `block` must agree.
        **arguments: Of the block, such as `reduction_ratio=8`. `data_format` is by default that of the layer before
            the block, or of the other layers if it has none.

    Returns:
        The new model, which is saved and loaded like any other; `import recalib_keras` before `load_model`.

    Raises:
        TypeError: If `model` is not a Keras model, or `block` or `at` is none of the kinds above.
        ValueError: If the model is not a graph of layers (a subclass with its own `call`, a Sequential model that
            is not built); if nothing matches; if a layer has no single feature map; if the block does not fit.

    Example:
    >>> import keras
    >>> from recalib_keras import models
    >>> image = keras.Input((32, 32, 1))
    >>> x = keras.layers.Conv2D(8, 3, name="conv_1")(image)
    >>> trained = keras.Model(image, keras.layers.Conv2D(2, 1, name="conv_2")(x))
    >>> grafted = models.graft(trained, "scse", at="conv_1", reduction_ratio=4)
    >>> [layer.name for layer in grafted.layers[1:]]
    ['conv_1', 'conv_1_recalibration', 'conv_2']
    """
    check_is_graph(model)
    layers = list(walk(model))
    make_block = BlockMaker(block, use_identity_start, arguments, data_format(layers), {path for path, _ in layers})
    grafting = _Grafting(find(layers, at), make_block)
    grafted = grafting.rebuilt(model)
    grafting.copy_weights()
    grafted.supports_jit = model.supports_jit
    return grafted


@dataclass
class _Grafting:
    """The copies of layers made so far, and the blocks: one for each layer, however often it is called.

    Args:
        places: The path of each chosen layer, by its identity.
        make_block: Returns a block for a layer, its path and its output.
    """

    places: dict[int, str]
    make_block: Callable[[Any, str, Tensor], keras.layers.Layer]
    copies: dict[int, tuple[Any, Any]] = field(default_factory=dict)  # original and copy, by the original's identity
    blocks: dict[int, keras.layers.Layer] = field(default_factory=dict)

    def rebuilt(self, model):
        """Returns a Functional model of copied layers, with the blocks among them."""
        originals = {}  # by the identity of the copy

        def copy(layer):
            copied = self._copied(layer)
            originals[id(copied)] = layer
            return copied

        def call(copied, *args, **kwargs):
            outputs, original = copied(*args, **kwargs), originals[id(copied)]
            return self._recalibrated(original, outputs) if id(original) in self.places else outputs

        graph = as_functional(model)
        inputs = keras.tree.map_structure(_input_like, graph.input)
        return keras.models.clone_model(graph, inputs, clone_function=copy, call_function=call)

    def copy_weights(self):
        """Sets the weights of all copies; they are built by now."""
        for original, copied in self.copies.values():
            if isinstance(original, keras.layers.Layer) and not is_graph(original):
                _copy_state(original, copied)

    def _copied(self, layer):
        if id(layer) not in self.copies:
            self.copies[id(layer)] = layer, self.rebuilt(layer) if is_graph(layer) else _copy(layer)
        return self.copies[id(layer)][1]

    def _recalibrated(self, layer, outputs):
        """Returns the output of the block after a layer; all calls of the layer share the block."""
        path, is_first_call = self.places[id(layer)], id(layer) not in self.blocks
        _check_is_feature_map(outputs, path)
        try:
            if is_first_call:
                self.blocks[id(layer)] = self.make_block(layer, path, outputs)
            recalibrated = self.blocks[id(layer)](outputs)
        except (TypeError, ValueError) as error:
            shared = "" if is_first_call else "; the calls of a layer share one block, so their outputs must be alike"
            raise ValueError(
                f"expected a block that fits after {path!r}, got an error: {one_line(error)[:MOST_OF_ERROR]}{shared}"
            ) from error
        if recalibrated.shape != outputs.shape:
            raise ValueError(
                f"expected the block after {path!r} to keep the shape {outputs.shape}, got {recalibrated.shape}; "
                "choose another block or aggregation"
            )
        return recalibrated


def _input_like(tensor):
    layer = tensor._keras_history.operation
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=tensor.name,
        optional=getattr(layer, "optional", False),
    )


def _copy(layer):
    """Returns a new layer, or operation, with the same config."""
    if isinstance(layer, keras.layers.Lambda):  # it refuses to be made from a config that holds code
        config = {key: value for key, value in layer.get_config().items() if key != "output_shape"}
        return keras.layers.Lambda(**{**config, "function": layer.function, "mask": layer.mask})
    try:
        return type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation has no state, and can be part of both models
        raise ValueError(
            "expected layers that can be made again from their config, as loading a saved model does, got "
            f"{layer.name!r} of the class {type(layer).__name__}: {one_line(error)[:MOST_OF_ERROR]}; correct the "
            "`get_config` of the class"
        ) from error


def _copy_state(original, copied):
    try:
        copied.set_weights(original.get_weights())
    except ValueError as error:
        raise ValueError(
            f"expected the layer {original.name!r} made again from its config to have the same weights, got "
            f"{one_line(error)}; check the `get_config` of {type(original).__name__}"
        ) from error
    # Outer layers come first, and set the flags of all that they hold.
    for one, other in zip(original._flatten_layers(), copied._flatten_layers(), strict=True):
        other.trainable = one.trainable
        if hasattr(other, "finalize_state"):  # `Normalization` computes with values derived from its weights
            other.finalize_state()


def _check_is_feature_map(outputs, path):
    is_one = isinstance(outputs, keras.KerasTensor)
    if is_one and len(outputs.shape) in RANKS and "float" in outputs.dtype:
        return
    received = f"the output {outputs.shape} of type {outputs.dtype}" if is_one else "several outputs"
    raise ValueError(
        "expected `at` to name layers with a feature map (batch, *spatial, channels) of 1 to 3 spatial axes, got "
        f"{path!r} with {received}; name other layers"
    )

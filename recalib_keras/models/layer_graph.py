"""A model as a graph of layers: which models are one, their layers with those of nested models, layers by pattern."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from recalib_keras.core.messages import did_you_mean, listed
from recalib_keras.models.encoder_decoder import EncoderDecoder

Place = str | type | Callable[[Any], bool]


def check_is_graph(model: Any) -> None:
    """Checks that it is known which layers a model calls.

    Args:
        model: What should be a Functional model, or a Sequential one with an input shape.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it is a subclass with its own `call`, or is not built.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"expected `model` to be a Keras model, got {type(model).__name__}")
    if is_graph(model):
        return
    if isinstance(model, keras.Sequential) and _has_plain_call(model):
        raise ValueError(
            f"expected a model that is built, got the Sequential {model.name!r} without an input shape; call its "
            "`build(input_shape)`, or begin it with a `keras.Input`"
        )
    remedy = "graft into a Functional part of it, or call the blocks in its `call`"
    if isinstance(model, keras.Function):
        remedy = "give `keras.Model(model.input, model.output)` if its layers alone count"
    raise ValueError(
        f"expected a graph of layers, a Functional or Sequential model, got {model.name!r} of the class "
        f"{type(model).__name__}, which has its own `call`; {remedy}"
    )


def is_graph(layer: Any) -> bool:
    """Returns whether a layer is a model whose calls of layers are known.

    Args:
        layer: A layer, a model, or an operation such as that of `x + y`.
    """
    if not isinstance(layer, keras.Model) or not _has_plain_call(layer):
        return False
    return isinstance(layer, keras.Function) or (isinstance(layer, keras.Sequential) and hasattr(layer, "inputs"))


def _has_plain_call(model):
    # The call of our networks adds only a check of sizes.
    owner = next(kind for kind in type(model).__mro__ if "call" in vars(kind))
    return owner is EncoderDecoder or owner.__module__.partition(".")[0] == "keras"


def as_functional(model: keras.Model) -> keras.Model:
    """Returns a graph of layers, whatever its class, as a plain Functional model of the same layers.

    Args:
        model: See `is_graph`.
    """
    if isinstance(model, keras.Sequential):
        (image,), outputs = model.inputs, model.outputs
        return keras.Model(image, outputs[0] if len(outputs) == 1 else outputs, name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def walk(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields all layers and operations of a model and of models nested in it, but no inputs, each with its path.

    Args:
        model: See `is_graph`.
        prefix: What the paths begin with.
    """
    for layer in as_functional(model).operations:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        path = f"{prefix}{layer.name}"
        yield path, layer
        if is_graph(layer):
            yield from walk(layer, f"{path}/")


def find(layers: Sequence[tuple[str, Any]], at: Place | Sequence[Place] | None) -> dict[int, str]:
    """Returns the path of each layer that `at` names, by the layer's identity.

    Args:
        layers: As `walk` yields them.
        at: A pattern of names or paths, a function of a layer that says whether, a layer class, or several of these.

    Raises:
        TypeError: If `at` is none of these.
        ValueError: If a part of `at` matches no layer; the message has the name that is closest.
    """
    if at is None:
        raise ValueError(f"expected `at` to name layers, got None; the model has {listed(path for path, _ in layers)}")
    found = {}
    for place in at if isinstance(at, (list, tuple, set)) else [at]:
        matched = {id(layer): path for path, layer in layers if _matches(place, path, layer)}
        if not matched:
            shown = repr(place) if isinstance(place, str) else getattr(place, "__name__", place)
            raise ValueError(f"expected `at` to match a layer, got {shown}, which matches none; {_near(place, layers)}")
        found |= matched
    return found


def _matches(place, path, layer):
    if isinstance(place, str):
        parts = place.split("/")
        ends = path.split("/")[-len(parts) :]
        is_end = len(parts) == len(ends) and all(map(fnmatch.fnmatchcase, ends, parts))
        return is_end or ("/" in place and fnmatch.fnmatchcase(path, place))
    if inspect.isclass(place):
        return isinstance(layer, place)
    if callable(place):
        return place(layer)
    raise TypeError(
        f"expected `at` to be a pattern, a function of a layer or a layer class, got {type(place).__name__}"
    )


def _near(place, layers):
    """Returns what no pattern reaches, and the name closest to a pattern that matches nothing."""
    paths = [path for path, _ in layers]
    stem = place.strip("*?") if isinstance(place, str) else ""
    closed = [path for path, layer in layers if isinstance(layer, keras.Model) and not is_graph(layer)]
    unreached = f"layers inside {listed(closed)}, with its own `call`, cannot be reached; " if closed else ""
    return unreached + did_you_mean(stem, paths, otherwise=f"the model has {listed(paths)}", cutoff=0.4)


def data_format(layers: Sequence[tuple[str, Any]]) -> str:
    """Returns the data format of the layers that have one, if they agree, or else Keras's global one.

    Args:
        layers: As `walk` yields them.
    """
    formats = {layer.data_format for _, layer in layers if getattr(layer, "data_format", None)}
    return formats.pop() if len(formats) == 1 else keras.config.image_data_format()

"""Which layers of a network learn: frozen part by part, and remembered where the network is saved."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence

import keras

from recalib_keras.core.messages import did_you_mean, listed

# Patterns of the names of layers, for each part of a network; `"body"` is everything but the classifier.
PARTS = {
    "all": ("*",),
    "encoder": ("stem", "encoder_*"),
    "bottleneck": ("bottleneck_*",),
    "decoder": ("decoder_*",),
    "classifier": ("classifier*", "classes", "probabilities"),
    "blocks": ("*_recalibration",),
}


def freeze(model: keras.Model, part: str | Sequence[str]) -> list[str]:
    """Freezes a part of a network, so that training leaves its weights as they are.

    Compile the model afterwards: Keras looks at the flags then. A frozen batch normalization uses its running averages
    and leaves them as they are, as everywhere in Keras. A network that is saved as `.keras` keeps its frozen layers.

    Args:
        model: A network of this package, or a model that contains one.
        part: `"encoder"`, `"bottleneck"`, `"decoder"`, `"classifier"`, `"body"` (all but the classifier), `"blocks"`
            (the recalibration blocks), `"all"`, a single stage such as `"encoder_1"`, the name of a layer, or a pattern
            of names such as `"decoder_*_conv_1"`; or a sequence of these.

    Returns:
        The names of the layers of this part that have weights.

    Raises:
        ValueError: The model has no such part.

    Example:
        >>> from recalib_keras import models
        >>> model = models.UNet((16, 16, 1), num_classes=2, levels=1, filters=4)
        >>> models.freeze(model, "encoder")
        ['encoder_1_conv_1', 'encoder_1_conv_2']
    """
    return _set(layers_of(model, part), False)


def unfreeze(model: keras.Model, part: str | Sequence[str] = "all") -> list[str]:
    """Lets a part of a network learn again; see `freeze`, also for compiling afterwards.

    Args:
        model: A network of this package, or a model that contains one.
        part: See `freeze`. Defaults to the whole network.

    Returns:
        The names of the layers of this part that have weights.

    Raises:
        ValueError: The model has no such part.
    """
    layers = layers_of(model, part)
    for outer in [model, *_models_in(model)]:
        if not outer.trainable:  # its flag counts for all its layers, so it must learn for one of them to learn
            frozen = [layer for layer in outer.layers if not layer.trainable]
            outer.trainable = True
            _set(frozen, False)
    return _set(layers, True)


def layers_of(model: keras.Model, part: str | Sequence[str]) -> list[keras.layers.Layer]:
    """Returns the layers of a part of a network, those of models inside it included.

    Args:
        model: A network of this package, or a model that contains one.
        part: See `freeze`.

    Raises:
        ValueError: The model has no such part.
    """
    parts = [part] if isinstance(part, str) else list(part)
    found = [layer for one in parts for layer in _layers_of_one(model, one)]
    return list({id(layer): layer for layer in found}.values())


def frozen_paths(model: keras.Model) -> list[str]:
    """Returns the paths of the layers of a model that do not learn, itself and layers inside layers included.

    Args:
        model: The model.
    """
    return [path for path, layer in _walk(model) if not layer.trainable]


def restore_frozen(model: keras.Model, paths: Iterable[str]) -> None:
    """Freezes the layers of a fresh model that another one of its architecture had frozen.

    Args:
        model: The model; all its layers learn.
        paths: What `frozen_paths` returned.
    """
    frozen = set(paths)
    if frozen:
        for path, layer in _walk(model):  # outer layers come first, because their flag is passed on
            layer.trainable = path not in frozen


def _layers_of_one(model, part):
    patterns = PARTS["classifier"] if part == "body" else PARTS.get(part, (part, f"{part}_*"))
    layers = list(_all_layers(model))
    found = [layer for layer in layers if any(fnmatch.fnmatchcase(layer.name, one) for one in patterns)]
    if not found:
        raise ValueError(f"expected a part of the model {model.name!r}, got {part!r}; {_known_parts(model, part)}")
    if part == "body":
        head = {id(layer) for layer in found}
        return [layer for layer in layers if id(layer) not in head]
    return found


def _known_parts(model, part):
    known = [one for one in (*PARTS, "body") if one != part]
    names = [layer.name for layer in _all_layers(model) if layer.weights]
    otherwise = f"choose one of {', '.join(known)}, or a layer such as {listed(names, most=3)}"
    return did_you_mean(part, [*known, *names], otherwise=otherwise)


def _all_layers(model):
    """Yields the layers of a model; for a model among them, that model and then its own layers."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _models_in(model):
    return [layer for layer in _all_layers(model) if isinstance(layer, keras.Model)]


def _set(layers, trainable):
    for layer in layers:
        layer.trainable = trainable
    return [layer.name for layer in layers if layer.weights]


def _walk(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields the model and all layers at any depth, each with its path.

    Layers inside layers are named by their number: a name that Keras made, such as `dense_3`, is another one next time.
    """
    yield "", model
    for layer in model.layers:
        yield from _walk_layer(layer, layer.name)


def _walk_layer(layer, path):
    yield path, layer
    for index, inner in enumerate(layer._flatten_layers(include_self=False, recursive=False)):
        yield from _walk_layer(inner, f"{path}/{index}")

"""What can be exported: a Keras model, a file that one was saved to, or a preset."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from recalib_keras import zoo
from recalib_keras.core.errors import ExportError
from recalib_keras.core.records import to_mapping
from recalib_keras.models.encoder_decoder import EncoderDecoder
from recalib_keras.zoo import Weights
from recalib_keras.zoo.ensembles import leader
from recalib_keras.zoo.pages.table import licences

SAVED = ".keras"


@dataclass(frozen=True)
class Source:
    """A network to export, and what is known about it.

    Args:
        model: `keras.Model` with one input `(batch, *spatial, channels)` and one output.
        name: What it was given as, for messages.
        facts: Those of a certificate that describe the network: `source`, `network`, `input`, `labels`, `licence`.
        window: Spatial sizes that the network was made for; None where that is unknown.
    """

    model: Any
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    window: tuple[int, ...] | None = None


def open_source(source: Any, weights: Weights = "default", dynamic: bool = True) -> Source:
    """Returns the network to export.

    Args:
        source: See `recalib_keras.export.export`.
        weights: See there.
        dynamic: See there.

    Raises:
        ExportError: It is not a network with one input and one output in float32.
        ValueError: The preset or its weights are unknown.
    """
    if isinstance(source, keras.Model):
        opened = _of_model(source, source.name)
    elif isinstance(source, (str, os.PathLike)):
        is_saved = Path(source).suffix == SAVED
        opened = _of_model(_saved(Path(source)), str(source)) if is_saved else _of_preset(source, weights, dynamic)
    else:
        raise TypeError(f"expected a keras.Model or the name of a preset, got a {type(source).__name__}")
    _check(opened)
    return opened


def _of_model(model, name):
    facts: dict[str, Any] = {"source": {"model": name, "parameters": model.count_params()}}
    if isinstance(model, EncoderDecoder):
        arguments = {key: value for key, value in model.get_config().items() if key not in ("dtype", "name")}
        facts["network"] = {"architecture": type(model).__name__, "arguments": _plain(arguments)}
    return Source(model, name, facts)


def _of_preset(name, weights, dynamic):
    preset = zoo.info(name)
    shares = preset.shares(weights)
    known = next((key for key in (*preset.ensembles, *preset.weight_sets) if preset.shares(key) == shares), None)
    members = [zoo.weight_set(name, each) for each in shares]
    described = leader(preset, shares)
    *window, channels = described.input.shape
    sizes = [None] * len(window) if dynamic else window
    model = zoo.load(name, shares, input_shape=(*sizes, channels), dtype="float32")
    facts = {
        "source": {"preset": preset.name, "weights": known or " + ".join(shares)} | _weights(members, shares),
        "network": to_mapping(described.network) if len(members) == 1 else {},
        "input": to_mapping(described.input),
        "labels": tuple(dataclasses.asdict(label) for label in described.labels),
        "licence": licences(preset, shares),
    }
    return Source(model, f"{preset.name} ({facts['source']['weights']})", facts, tuple(window))


def _weights(members, shares):
    """Returns what is known of the weights of a network, or of each member of an ensemble."""
    found = [{"title": one.title, "sha256": one.sha256, "parameters": one.parameters} for one in members]
    if len(found) == 1:
        return found[0]
    networks = [to_mapping(one.network) for one in members]
    return {
        "members": [
            {"weights": name, "share": share, "network": network, **facts}
            for (name, share), network, facts in zip(shares.items(), networks, found)
        ]
    }


def _saved(path):
    if not path.is_file():
        raise ExportError(file=path, expected="a saved model", received="no such file", remedy="check the path")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ExportError(
            file=path,
            expected="a model saved by Keras, of known layers",
            received=f"one that cannot be loaded ({error})",
            remedy="save it again, or load it in Python and export the model",
        ) from None


def _check(source):
    model = source.model
    if not (model.built and len(model.inputs or ()) == len(model.outputs or ()) == 1):
        raise ExportError(
            expected="a network with one input and one output, built already",
            received=source.name,
            remedy="export a keras.Model(inputs, output)",
        )
    narrow = {layer.compute_dtype for layer in model._flatten_layers()} - {"float32", None}
    if any(str(dtype).startswith(("bfloat", "float")) for dtype in narrow):
        raise ExportError(
            expected="a network that computes in float32",
            received=f"{source.name}, which computes in {', '.join(sorted(map(str, narrow)))}",
            remedy='load it with dtype="float32"; runtimes choose their precision themselves',
        )


def _plain(value):
    """Returns a value that JSON can hold: a class of blocks by its name."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else getattr(value, "__name__", str(value))

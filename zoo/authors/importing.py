"""Networks that were trained with the authors' PyTorch code: imported exactly, and saved as presets."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recalib_keras.core.errors import RecordError, WeightsError
from recalib_keras.models.sizes import check_size
from recalib_keras.zoo import weights as weight_files
from recalib_keras.zoo.authors.names import NAMES, Checkpoint, default_decoders, translated
from recalib_keras.zoo.authors.state_dict import read_state_dict
from recalib_keras.zoo.labels import Labels, as_labels
from recalib_keras.zoo.network import Input, Network
from recalib_keras.zoo.preset import FILE_NAME, WeightSet
from recalib_keras.zoo.saving import write_preset

# What the authors' code shows their networks: slices of scans as FreeSurfer conforms them, the darkest voxel as 0 and
# the brightest as 1. The first two axes are those of a slice.
VIEWS = {
    "coronal": Input((256, 256, 1), "LIA", (1.0, 1.0, 1.0), "minmax"),
    "axial": Input((256, 256, 1), "ALI", (1.0, 1.0, 1.0), "minmax"),
    "sagittal": Input((256, 256, 1), "IAL", (1.0, 1.0, 1.0), "minmax"),
}
# Their 3-D networks see whole scans of any kind; this is the window here unless another is given.
VOLUME = Input((96, 96, 96), "RAS", None, "minmax")


def import_authors(
    checkpoint: str | os.PathLike | Mapping[str, Any],
    folder: str | os.PathLike | None = None,
    *,
    input_shape: Sequence[int | None] | None = None,
    labels: Labels | None = None,
    view: str = "coronal",
    expects: Input | Mapping[str, Any] | None = None,
    decoders: Sequence[int] | None = None,
    title: str = "",
    licence: str = "",
    weights: str = "imported",
) -> Any:
    """Returns the network of a checkpoint that was trained with the authors' PyTorch code; saves it as a preset, too.

    QuickNAT, SD-Net and U-Net with no block, cSE, sSE, scSE or PE, in 2-D or 3-D. Filters, levels, classes and block
    follow from the shapes of the tensors; the outputs are those of PyTorch in evaluation mode, as probabilities. The
    file is read without running any code that it holds.

    Args:
        checkpoint: A `.pth`, `.pth.tar` or `.safetensors` file with a state dict, alone or as `"state_dict"`; or the
            arrays by their names. PyTorch is needed for the first two: `pip install "recalib-keras[torch]"`.
        folder: Where to save the preset, which `recalib segment --preset FOLDER` takes; None to save none.
        input_shape: Of the network, `(*spatial, channels)`; None for sizes of any kind.
        labels: Of the classes, the background first: names, which are numbered from 0; names by their numbers; or
            `Label`s. None numbers them.
        view: Of the slices that a 2-D network was trained on: `"coronal"`, `"axial"` or `"sagittal"`.
        expects: What the network expects to see instead of the authors' own input of the view, or the values of an
            `Input` that differ, such as `{"window": (160, 192, 1)}`.
        decoders: Numbers of the decoders from the deepest to the shallowest; None for the authors' order, 4, 1, 2, 3.
            The file does not say it.
        title: What the network segments.
        licence: Of the weights.
        weights: Name of the weight set in the preset.

    Raises:
        WeightsError: The file cannot be read or holds other objects than tensors; or tensors are missing, surplus or
            of another shape, which are all named.
        ImportError: PyTorch is needed and not installed.
        RecordError: The labels do not fit the classes, or the preset cannot describe the network.
        ValueError: An unknown view, decoders that the network does not have, or a window that its levels do not divide.
    """
    tensors = checkpoint if isinstance(checkpoint, Mapping) else read_state_dict(checkpoint)
    try:
        found = Checkpoint(tensors)
        model = _network(found, input_shape, decoders)
    except WeightsError as error:
        raise (error if isinstance(checkpoint, Mapping) else error.at(checkpoint)) from None
    if folder is not None:
        described = _described(found, model, labels, _input(found, view, expects), title, licence, weights)
        _write(Path(folder), weights, described, model)
    return model


def _network(found, input_shape, decoders):
    order = tuple(decoders or default_decoders(found.levels))
    if sorted(order) != list(range(1, found.levels + 1)):
        raise ValueError(f"expected `decoders` to be an order of 1 to {found.levels}, got {order}")
    rank, channels = found.first.ndim - 2, found.first.shape[1]
    shape = tuple(input_shape or (*(None,) * rank, channels))
    model = Network(found.architecture, found.arguments()).build(shape, found.num_classes)
    weight_files.assign(model, translated(found, model, order))
    return model


def _input(found, view, expects):
    """Returns what the network expects to see; its slices beside the middle one are its further channels."""
    if view not in VIEWS:
        raise ValueError(f"expected `view` to be one of {', '.join(VIEWS)}, got {view!r}")
    is_planar, channels = found.first.ndim == 4, found.first.shape[1]
    if not isinstance(expects, Input):
        beside = {"context": channels // 2} if is_planar else {}
        expects = dataclasses.replace(VIEWS[view] if is_planar else VOLUME, **{**beside, **(expects or {})})
    if len(expects.shape) != found.first.ndim - 1 or expects.depth != channels:
        raise RecordError(
            expected=f"a {'2-D' if is_planar else '3-D'} window and {channels} channels, as the network has them",
            received=f"the window {expects.window} and {expects.depth}",
            remedy="give `expects` another window or context; a preset shows a network a slice and as many on either "
            "side, or a block of voxels with one channel",
        )
    check_size(expects.shape[:-1], found.levels)
    return expects


def _described(found, model, labels, expects, title, licence, weights):
    data = {"source": f"imported from {NAMES[found.architecture]} of the authors' PyTorch code", "licence": licence}
    return WeightSet(
        title=title or f"{found.num_classes - 1} structures",
        network=Network(found.architecture, found.arguments()),
        input=expects,
        labels=_labels(labels, found.num_classes),
        file=weight_files.file_name(weights),
        sha256="",
        parameters=model.count_params(),
        data={key: value for key, value in data.items() if value},
    )


def _labels(labels, num_classes):
    """Returns a label for each class."""
    if labels is None:
        labels = ["background", *(f"structure {number}" for number in range(1, num_classes))]
    found = as_labels(labels, ())
    if len(found) != num_classes:
        raise RecordError(
            expected=f"{num_classes} labels, one for each class, the background first", received=str(len(found))
        )
    return found


def _write(folder, weights, described, model):
    """Writes the weights and the description of a preset of one weight set."""
    if (folder / FILE_NAME).exists():
        raise RecordError(
            file=folder,
            expected=f"a folder without {FILE_NAME}",
            received="a preset",
            remedy="choose another folder, or move it away",
        )
    write_preset(folder, weights, described, model)

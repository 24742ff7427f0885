"""The gates with which a network's recalibration blocks rescale their feature maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from recalib_keras import layers
from recalib_keras.evaluation.figures.slices import centre_of
from recalib_keras.volumes import Channels, Grid, Volume
from recalib_keras.volumes.windows import cut, with_channel_axis
from recalib_keras.zoo import Input
from recalib_keras.zoo.preprocessing import as_network_sees, preprocessed

ENDING = "_recalibration"  # of the names that networks give to their blocks
# What the papers show: the two blocks at full resolution.
FIRST_ENCODER, LAST_DECODER = f"encoder_1{ENDING}", f"decoder_1{ENDING}"


@dataclass(frozen=True)
class BlockGates:
    """The gates of one block for one window of a scan.

    Args:
        layer: Name of the block in the network.
        block: Name of its class, such as `"ProjectExcite"`.
        spatial: One gate for each position, or None if the block has the same gates everywhere. Gates for each channel
            and position are averaged over the channels.
        channels: One gate for each channel, float, or None if the block has no gates for whole channels.
    """

    layer: str
    block: str
    spatial: Volume | None
    channels: np.ndarray | None


@dataclass(frozen=True)
class GateMaps:
    """A window of a scan, and the gates of a network's blocks for it.

    Args:
        image: The window, oriented, resampled and normalised for the network.
        labels: Label numbers on the same grid, or None.
        blocks: The gates of each block, their maps on the same grid.
    """

    image: Volume
    labels: Volume | None
    blocks: tuple[BlockGates, ...]


def gate_maps(
    model: keras.Model,
    expects: Input,
    scan: Volume | Channels,
    labels: np.ndarray | None = None,
    names: Sequence[str] | None = None,
) -> GateMaps:
    """Returns the gates that a network's blocks have for a scan.

    The network sees one window of the scan, because the blocks pool over their whole input: the window around the
    structures in `labels`, or around the centre of the scan. A 2-D network sees the slice through that point.

    Args:
        model: Network, such as `recalib_keras.zoo.load` returns.
        expects: What it expects to see.
        scan: The scan.
        labels: Label numbers on the scan's grid, integers.
        names: Names of blocks. Defaults to the first encoder's and the last decoder's.

    Raises:
        ValueError: If the network has no such blocks.
        TypeError: If a layer is not a recalibration block; see `recalib_keras.layers.Recalibration.gates`.
    """
    names = shown_blocks(model) if names is None else names
    image = preprocessed(scan, expects)
    mapped = None
    if labels is not None:
        mapped = Volume(np.asarray(labels), scan.grid).on(image.grid, order=0)
    centre = [size // 2 for size in image.grid.shape] if mapped is None else centre_of(mapped.array > 0)
    part, padding = _window(image.grid.shape, expects.window, centre)
    place = [span.start - before for span, (before, _) in zip(part, padding)]
    window = with_channel_axis(cut(image.array, place, expects.window, expects.margin))
    inputs = as_network_sees(window[None], expects)
    seen = _part(image.first if isinstance(image, Channels) else image, part)
    return GateMaps(
        seen,
        mapped and _part(mapped, part),
        tuple(
            BlockGates(name, type(model.get_layer(name)).__name__, *_as_maps(gates, seen, padding, expects))
            for name, gates in block_gates(model, inputs, names).items()
        ),
    )


def shown_blocks(model: keras.Model) -> list[str]:
    """Returns the names of the first encoder's and the last decoder's block, or else of the first and the last block.

    Args:
        model: One of `recalib_keras.models`.

    Raises:
        ValueError: If it has no blocks.
    """
    names = [layer.name for layer in model.layers if layer.name.endswith(ENDING)]
    if not names:
        raise ValueError(
            f"expected a network with recalibration blocks, got {model.name!r} without any, so without gates; "
            "choose a preset whose name ends in _cse, _sse, _scse or _pe"
        )
    chosen = [name for name in (FIRST_ENCODER, LAST_DECODER) if name in names] or [names[0], names[-1]]
    return list(dict.fromkeys(chosen))


def block_gates(model: keras.Model, inputs: np.ndarray, names: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Returns the gates of some blocks of a model, exactly those that its forward pass applies.

    Args:
        model: Functional model, such as those of `recalib_keras.models`.
        inputs: Array `(batch, *spatial, channels)`.
        names: Names of its blocks.

    Returns:
        For each name a list of float arrays `(batch, *spatial, channels)`, as from
        `recalib_keras.layers.Recalibration.gates`.

    Raises:
        ValueError: If the model has no layer of a name.
        TypeError: If a layer is not a recalibration block, or does not define its gates.
    """
    blocks = [model.get_layer(name) for name in names]
    for block in blocks:
        if not isinstance(block, layers.Recalibration):
            raise TypeError(
                f"expected {block.name!r} to be a recalibration block, a subclass of "
                f"`recalib_keras.layers.Recalibration`, got a {type(block).__name__}"
            )
    # A dict, because Keras returns the output itself for a list of one output.
    features = keras.Model(model.input, {block.name: block.input for block in blocks})(inputs, training=False)
    found = {}
    for block in blocks:
        gates = [ops.convert_to_numpy(gate) for gate in block.gates(features[block.name])]
        found[block.name] = [np.moveaxis(gate, block.channel_axis, -1) for gate in gates]
    return found


def _window(shape, window, centre):
    """Returns the slices of the window nearest to a voxel, and its padding where the scan is smaller."""
    cut, padding = [], []
    for size, wanted, middle in zip(shape, window, centre):
        start = min(max(0, middle - wanted // 2), max(0, size - wanted))
        missing = max(0, wanted - size)
        cut.append(slice(start, min(start + wanted, size)))
        padding.append((missing // 2, missing - missing // 2))
    return tuple(cut), padding


def _part(volume, cut):
    """Returns a part of a volume, at its place."""
    array = volume.array[cut]
    affine = volume.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in cut]
    return Volume(array, Grid(array.shape, affine))


def _as_maps(gates, seen, padding, expects):
    """Returns a block's gates as a map on the window's grid, or None, and as numbers by channel, or None."""
    spatial = channels = None
    for gate in gates:
        gate = gate[0]
        if all(size == 1 for size in gate.shape[:-1]):
            channels = gate.reshape(-1)
        else:
            values = gate.mean(axis=-1)
            spatial = values if expects.slice_axis is None else np.expand_dims(values, expects.slice_axis)
    return None if spatial is None else _placed(spatial, seen, padding, expects.window), channels


def _placed(values, seen, padding, window):
    """Returns a map on the window's grid without the padding; a gate of a deeper block fills several voxels."""
    if values.shape == tuple(window):
        inner = tuple(slice(before, before + size) for (before, _), size in zip(padding, seen.array.shape))
        return Volume(values[inner], seen.grid)
    step = np.array(window) / values.shape
    affine = seen.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((step - 1) / 2 - [before for before, _ in padding])
    affine[:3, :3] *= step
    return Volume(values, Grid(values.shape, affine)).on(seen.grid, order=0)

"""Compares the speed of the blocks with plain PyTorch: `python -m benchmarks.blocks [--quick]`.

For each block, input and type, it times forward, and forward + backward. Ours run in TensorFlow, inside a graph.
PyTorch runs at its best of {contiguous, channels_last} × {eager, and with --compile torch.compile}. `floor` is the time
to read the feature map (sSE once; the others twice, to squeeze and to excite) and to write the result, at the bandwidth
of `x + 1` measured in the same run.
"""

import argparse
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
import torch

from benchmarks import timing, torch_blocks, torch_passes
from recalib_keras import layers

SHAPES = {"1×64³×64": (1, 64, 64, 64, 64), "4×256²×64": (4, 256, 256, 64)}
COLUMNS = ("input", "type", "block", "pass", "ours", "PyTorch", "PyTorch's best", "ratio", "floor", "over floor")


def blocks(channels: int, rank: int) -> Iterator[tuple[str, keras.Layer, torch.nn.Module, int]]:
    """Yields the name, our layer and PyTorch's module of each block, and how often the block must read its input."""
    yield "cSE", layers.ChannelSE(), torch_blocks.ChannelSE(channels), 2
    yield "sSE", layers.SpatialSE(), torch_blocks.SpatialSE(channels, rank), 1
    for how in ("max", "add", "multiply", "concat"):
        ours, theirs = layers.ChannelSpatialSE(aggregation=how), torch_blocks.ChannelSpatialSE(channels, rank, how)
        yield f"scSE {how}", ours, theirs, 2
    yield "PE", layers.ProjectExcite(), torch_blocks.ProjectExcite(channels, rank), 2


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds, only to check that it runs")
    parser.add_argument("--compile", action="store_true", help="also compile PyTorch (needs a C++ compiler)")
    arguments = parser.parse_args()
    repeats = 2 if arguments.quick else 7
    rows = []
    for shape_name, shape in SHAPES.items():
        for dtype in ("float32", "bfloat16"):
            bandwidth = _bandwidth(shape, dtype, repeats)
            for name, ours, theirs, reads in blocks(shape[-1], len(shape) - 2):
                rows += _measure(shape, dtype, name, ours, theirs, reads, bandwidth, repeats, arguments.compile)
                for row in rows[-2:]:
                    row["input"] = shape_name
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("blocks", rows))


def _measure(shape, dtype, name, ours, theirs, reads, bandwidth, repeats, use_compile):
    array = np.random.default_rng(0).standard_normal(shape).astype("float32")
    candidates = {**ours_passes(ours, array, dtype), **torch_passes.of_block(theirs, array, dtype, use_compile)}
    floor = array.size * np.dtype("float32" if dtype == "float32" else "float16").itemsize * (reads + 1) / bandwidth
    rows = []
    for which in ("forward", "forward + backward"):
        seconds = timing.alternate({key: run for (key, kind), run in candidates.items() if kind == which}, repeats)
        mine = seconds.pop("ours")
        best = min(seconds, key=lambda key: seconds[key]["median"])
        rows.append(
            {
                "type": dtype,
                "block": name,
                "pass": which,
                "ours": mine,
                "PyTorch": seconds[best],
                "PyTorch's best": best,
                "ratio": seconds[best]["median"] / mine["median"],
                "floor": 1e3 * floor if which == "forward" else "",
                "over floor": mine["median"] / floor if which == "forward" else "",
            }
        )
    return rows


def ours_passes(layer: keras.Layer, array: np.ndarray, dtype: str) -> dict[tuple[str, str], Callable[[], None]]:
    """Returns the forward and the forward + backward pass of one of our layers."""
    x = tf.cast(array, dtype)
    layer = type(layer).from_config({**layer.get_config(), "dtype": dtype if dtype == "float32" else "mixed_bfloat16"})
    layer.build(array.shape)
    forward = tf.function(layer)

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [x, *(v.value for v in layer.trainable_variables)])

    return {("ours", "forward"): lambda: _wait(forward(x)), ("ours", "forward + backward"): lambda: _wait(both(x)[0])}


def _wait(tensor):
    """Waits until a tensor is computed: XLA may return a tensor before it has its values."""
    tensor[(0,) * tensor.ndim].numpy()


def _bandwidth(shape, dtype, repeats):
    """Returns the bytes that `x + 1` reads and writes a second."""
    x = tf.cast(tf.random.normal(shape), dtype)
    add = tf.function(lambda x: x + tf.ones((), x.dtype))
    seconds = timing.alternate({"add": lambda: add(x)}, max(5, repeats))["add"]["min"]
    return 2 * x.dtype.size * int(np.prod(shape)) / seconds


if __name__ == "__main__":
    main()

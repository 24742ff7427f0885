"""Measures blocks and training steps on a GPU, or on the CPU: `python -m benchmarks.accelerator [--quick]`.

Ours run under the Keras backend that `KERAS_BACKEND` names. Plain PyTorch runs on the same device, at its best of
{contiguous, channels_last} × {eager, torch.compile}. All run in bfloat16. The time of a call ends when its result is
ready. TensorFlow is needed only for the TensorFlow backend.
"""

import argparse

import keras
import numpy as np
import torch

from benchmarks import timing, torch_blocks, torch_passes
from benchmarks.torch_networks import Network
from recalib_keras import layers, models
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy

SHAPES = {"1×64³×64": (1, 64, 64, 64, 64), "4×256²×64": (4, 256, 256, 64)}
QUICK_SHAPES = {"1×8³×8": (1, 8, 8, 8, 8)}
WINDOW, QUICK_WINDOW = (4, 40, 56, 40, 1), (2, 16, 16, 16, 1)
NETWORKS = {
    "densenet3d_pe": ("DenseNet", {"levels": 3, "filters": 16, "recalibration": "pe"}),
    "sdnet3d_pe": ("SDNet", {"levels": 3, "filters": 16, "recalibration": "pe"}),
}
COLUMNS = ("what", "pass", "ours", "PyTorch", "PyTorch's best", "ratio")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Measures, prints a table and writes it under the backend's name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, two rounds, only to check that it runs")
    parser.add_argument("--compile", action="store_true", help="also compile PyTorch (needs a C++ compiler)")
    arguments = parser.parse_args()
    repeats, rows = 2 if arguments.quick else 9, []
    for shape_name, shape in (QUICK_SHAPES if arguments.quick else SHAPES).items():
        array = np.random.default_rng(0).standard_normal(shape).astype("float32")
        for name, layer_class, module in _blocks(shape[-1], len(shape) - 2):
            candidates = torch_passes.of_block(module, array, "bfloat16", arguments.compile, DEVICE)
            rows += _rows(f"{name}, {shape_name}", {**_our_passes(layer_class, array), **candidates}, repeats)
    for name, network in NETWORKS.items():
        shape = QUICK_WINDOW if arguments.quick else WINDOW
        rows += _rows(name, _steps(*network, shape, arguments.compile), repeats)
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write(f"accelerator_{keras.backend.backend()}", rows))


def _blocks(channels, rank):
    """Yields the name, our class and PyTorch's module of each block."""
    yield "cSE", layers.ChannelSE, torch_blocks.ChannelSE(channels)
    yield "sSE", layers.SpatialSE, torch_blocks.SpatialSE(channels, rank)
    yield "scSE max", layers.ChannelSpatialSE, torch_blocks.ChannelSpatialSE(channels, rank)
    yield "PE", layers.ProjectExcite, torch_blocks.ProjectExcite(channels, rank)


def _rows(what, candidates, repeats):
    """Returns a row for each pass; `candidates` are functions by `(who, pass)`."""
    rows = []
    for kind in dict.fromkeys(kind for _, kind in candidates):
        timed = {who: run for (who, of_kind), run in candidates.items() if of_kind == kind}
        seconds = timing.alternate(timed, repeats, warm_up=3)
        ours = seconds.pop("ours")
        best = min(seconds, key=lambda who: seconds[who]["median"])
        theirs = {"PyTorch": seconds[best], "PyTorch's best": best, "ratio": seconds[best]["median"] / ours["median"]}
        rows.append({"what": what, "pass": kind, "ours": ours, **theirs})
    return rows


def _our_passes(layer_class, array):
    layer = layer_class(dtype="mixed_bfloat16")
    layer.build(array.shape)
    forward, both = PASSES[keras.backend.backend()](layer)
    x = keras.ops.cast(array, "bfloat16")
    return {("ours", "forward"): lambda: _wait(forward(x)), ("ours", "forward + backward"): lambda: _wait(both(x))}


def _jax_passes(layer):
    import jax

    weights = [variable.value for variable in layer.trainable_variables]

    def total(weights, x):
        return layer.stateless_call(weights, [], x)[0].astype("float32").sum()

    forward = jax.jit(lambda x: layer.stateless_call(weights, [], x)[0])
    gradient = jax.jit(jax.grad(total, argnums=(0, 1)))
    return forward, lambda x: gradient(weights, x)[1]


def _tensorflow_passes(layer):
    import tensorflow as tf

    @tf.function
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, [x, *(variable.value for variable in layer.trainable_variables)])[0]

    return tf.function(layer), both


def _torch_passes(layer):
    def forward(x):
        with torch.inference_mode():
            return layer(x)

    def both(x):
        x = x.detach().requires_grad_()
        y = layer(x)
        y.backward(torch.ones_like(y))
        layer.zero_grad()
        return x.grad

    return forward, both


PASSES = {"jax": _jax_passes, "tensorflow": _tensorflow_passes, "torch": _torch_passes}


def _wait(tensor):
    """Waits until a tensor is computed."""
    if hasattr(tensor, "block_until_ready"):
        tensor.block_until_ready()
    elif isinstance(tensor, torch.Tensor):
        if tensor.is_cuda:
            torch.cuda.synchronize()
    else:
        tensor[(0,) * len(tensor.shape)].numpy()


def _steps(network, settings, shape, use_compile):
    """Returns a training step of our network and of its PyTorch twin, functions by `(who, pass)`."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype("float32"), rng.integers(0, 3, shape).astype("uint8")
    build = getattr(models, network)
    model = build(shape[1:], 3, dtype="mixed_bfloat16", **settings)
    model.compile(keras.optimizers.Adam(1e-3), DiceCrossEntropy())
    steps = {("ours", "training step"): lambda: model.train_on_batch(x, y)}
    for layout in ("contiguous", "channels_last"):
        for mode in ("eager", "compiled") if use_compile else ("eager",):
            twin = Network(build(shape[1:], 3, dtype="float32", **settings)).train()
            step = torch_passes.training_step(twin, x, y, layout, "bfloat16", mode, DEVICE)
            steps[f"{layout}, {mode}", "training step"] = step
    return steps


if __name__ == "__main__":
    main()

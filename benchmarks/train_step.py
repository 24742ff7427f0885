"""Compares training steps with PyTorch and straight Keras: `python -m benchmarks.train_step [--quick]`.

One step is forward, loss, backward and Adam on one batch at the window of a preset. PyTorch runs at its best of
{float32, bfloat16 autocast} × {contiguous, channels_last} × {eager, and with --compile torch.compile}. Straight Keras
is the same network from Keras's own layers, in float32 without XLA. Ours computes in bfloat16 if the processor does.
"convolutions" is the time of our step's convolutions alone: each one forward and with its gradients, one after the
other, and nothing between them.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

from benchmarks import timing, torch_passes
from benchmarks.straight_keras import straight
from benchmarks.torch_networks import Network
from recalib_keras import models
from recalib_keras.core.processor import has_bfloat16
from recalib_keras.pipeline import keep_memory
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy

NETWORKS = {
    "densenet3d_pe": ("DenseNet", (4, 40, 56, 40, 1), {"levels": 3, "filters": 16, "recalibration": "pe"}),
    "unet3d_pe": (
        "UNet",
        (4, 40, 56, 40, 1),
        {"levels": 3, "filters": (16, 32, 48, 64), "normalization": "batch", "recalibration": "pe"},
    ),
    "sdnet3d_pe": ("SDNet", (4, 40, 56, 40, 1), {"levels": 3, "filters": 16, "recalibration": "pe"}),
    "densenet2d_scse": ("DenseNet", (16, 64, 48, 1), {"levels": 3, "filters": 32, "recalibration": "scse"}),
}
PRECISION = "mixed_bfloat16" if has_bfloat16() else "float32"
COLUMNS = (
    *("network", "ours", "convolutions", "straight Keras", "over straight"),
    *("PyTorch", "PyTorch's best", "over PyTorch"),
)


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds, only to check that it runs")
    parser.add_argument("--compile", action="store_true", help="also compile PyTorch (needs a C++ compiler)")
    arguments = parser.parse_args()
    keep_memory()  # as in every training; it makes PyTorch faster, too
    rows = []
    for name, (network, shape, settings) in NETWORKS.items():
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal(shape).astype("float32"), rng.integers(0, 3, shape).astype("uint8")
        candidates = {
            "ours": _keras_step(network, settings, x, y, PRECISION),
            "convolutions": _convolutions(network, settings, shape),
            "straight": _straight_step(network, settings, x, y),
            **_torch_steps(network, settings, x, y, arguments.compile),
        }
        seconds = timing.alternate(candidates, repeats=2 if arguments.quick else 7)
        ours, alone, plain = (seconds.pop(name) for name in ("ours", "convolutions", "straight"))
        best = min(seconds, key=lambda key: seconds[key]["median"])
        rows.append(
            {
                "network": name,
                "ours": ours,
                "convolutions": alone,
                "straight Keras": plain,
                "over straight": plain["median"] / ours["median"],
                "PyTorch": seconds[best],
                "PyTorch's best": best,
                "over PyTorch": seconds[best]["median"] / ours["median"],
            }
        )
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("train_step", rows))


def _keras_step(network, settings, x, y, dtype):
    model = getattr(models, network)(x.shape[1:], 3, dtype=dtype, **settings)
    model.compile(keras.optimizers.Adam(1e-3), DiceCrossEntropy(), jit_compile=False)
    model.train_on_batch(x, y)
    return lambda: model.train_on_batch(x, y)


def _convolutions(network, settings, shape):
    """Returns a function that runs only the convolutions of a step, on random maps."""
    model = getattr(models, network)(shape[1:], 3, dtype=PRECISION, **settings)
    passes = []
    for layer in model.layers:
        if not layer.__class__.__name__.startswith("Conv"):
            continue
        kernel = tf.cast(layer.kernel, layer.compute_dtype)
        maps = [tf.random.normal((shape[0], *tensor.shape[1:])) for tensor in (layer.input, layer.output)]
        maps = [tf.cast(array, layer.compute_dtype) for array in maps]
        passes.append((_passes_of(layer, is_first=not passes), kernel, *maps))

    def run():
        for function, *tensors in passes:
            function(*tensors)

    return run


def _passes_of(layer, is_first):
    """Returns a function of kernel, input and the output's gradient that runs forward and computes both gradients."""
    is_transposed = "Transpose" in layer.__class__.__name__

    @tf.function
    def passes(kernel, inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch([kernel, inputs])
            if is_transposed:
                outputs = tf.nn.conv_transpose(inputs, kernel, tf.shape(upstream), layer.strides, "SAME")
            else:
                outputs = tf.nn.convolution(inputs, kernel, layer.strides, "SAME")
        # The image needs no gradient.
        return outputs, tape.gradient(outputs, [kernel] if is_first else [kernel, inputs], upstream)

    return passes


def _straight_step(network, settings, x, y):
    with straight():
        return _keras_step(network, settings, x, y, "float32")


def _torch_steps(network, settings, x, y, use_compile):
    steps = {}
    for layout in ("contiguous", "channels_last"):
        for precision in ("float32", "bfloat16"):
            for mode in ("eager", "compiled") if use_compile else ("eager",):
                twin = Network(getattr(models, network)(x.shape[1:], 3, dtype="float32", **settings)).train()
                steps[f"{precision}, {layout}, {mode}"] = torch_passes.training_step(
                    twin, x, y, layout, precision, mode
                )
    return steps


if __name__ == "__main__":
    main()

"""Shows how a training step spends its time: `python -m benchmarks.profile [--quick]`.

It takes TensorFlow's own trace of a few steps and groups the kernels by what they do. On a CPU each kernel uses all
cores and few run side by side, so their sum is nearly the time of the step; `waiting` is the rest of this time.
"""

import argparse
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import timing
from benchmarks.train_step import NETWORKS
from recalib_keras import models
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy

# What a kernel does, by a part of its type; the first match counts.
GROUPS = {
    "convolutions, gradient of the input": ("BackpropInput",),
    "convolutions, gradient of the kernel": ("BackpropFilter", "BiasAddGrad"),
    "convolutions, forward": ("Conv2D", "Conv3D", "MatMul"),
    "batch normalization": ("BatchNorm",),
    "blocks, pooling, up-sampling, loss (XLA)": ("XLA",),
    "ReLU": ("Relu",),
    "concatenation": ("Concat", "Slice", "Split"),
    "sums of gradients": ("AddN", "AddV2"),
    "casts and layouts": ("Cast", "ToTf", "Transpose"),
    "optimizer": ("Assign", "Resource", "ReadVariable"),
}
COLUMNS = ("network", "what", "milliseconds", "share")


def main() -> None:
    """Profiles each network, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one step, only to check that it runs")
    arguments = parser.parse_args()
    rows = []
    for name, (network, shape, settings) in NETWORKS.items():
        kernels, passed = profile(network, shape, settings, steps=1 if arguments.quick else 5)
        grouped = _grouped(kernels)
        grouped["waiting"] = max(0.0, passed - sum(grouped.values()))
        rows += [
            {"network": name, "what": what, "milliseconds": spent, "share": spent / passed}
            for what, spent in grouped.most_common()
        ]
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("profile", rows))


def profile(network: str, shape: tuple[int, ...], settings: dict[str, Any], steps: int) -> tuple[Counter, float]:
    """Returns the milliseconds of each type of kernel in a step, and the milliseconds of the step."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype("float32"), rng.integers(0, 3, shape).astype("uint8")
    model = getattr(models, network)(shape[1:], 3, dtype="mixed_bfloat16", **settings)
    model.compile(keras.optimizers.Adam(1e-3), DiceCrossEntropy(), jit_compile=False)
    for _ in range(3):
        model.train_on_batch(x, y)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        start = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(x, y)
        passed = time.perf_counter() - start
        tf.profiler.experimental.stop()
        (trace,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(trace.read_bytes())
    kernels = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                kind = _kind(plane.event_metadata[event.metadata_id].name)
                if kind:
                    kernels[kind] += event.duration_ps / 1e9 / steps
    return kernels, 1e3 * passed / steps


def _kind(event):
    """Returns the type of the kernel that an event records (`place in the graph:type`, or XLA's own), or None."""
    if event == "CpuExecutable::ExecuteAsyncOnStream":
        return "XLA"
    found = re.fullmatch(r"[^: ]+:(\w+)", event)
    return found and found.group(1)


def _grouped(kernels):
    grouped = Counter()
    for kind, spent in kernels.items():
        fitting = (group for group, parts in GROUPS.items() if any(part in kind for part in parts))
        grouped[next(fitting, "all else")] += spent
    return grouped


if __name__ == "__main__":
    main()

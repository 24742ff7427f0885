"""Measures the time of a training step on a whole head: `python -m benchmarks.whole_head [--quick]`.

The time depends on the network, the size of the voxels, the patch size (see `recalib_keras.models.EncoderDecoder`) and
the number of feature maps. The window and the networks of the whole-brain presets were chosen by these times and by the
best possible Dice of each voxel size (`benchmarks.resolution`).
"""

import argparse

import keras
import numpy as np

from benchmarks import timing
from recalib_keras import models
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy

CLASSES = 33  # 31 structures, the fluid around them, background
# Network, block, voxels in mm, window, patch size, maps by level.
TRIED = (
    ("DenseNet", "pe", 2.0, (80, 96, 80), 1, (16, 32, 48, 64, 64)),
    ("DenseNet", "pe", 1.5, (96, 112, 96), 1, (16, 32, 48, 64, 64)),
    ("DenseNet", "pe", 1.5, (96, 112, 96), 2, (32, 64, 64, 64)),
    ("DenseNet", "pe", 1.25, (112, 144, 112), 2, (32, 64, 64, 64)),
    ("DenseNet", "pe", 1.5, (96, 112, 96), 2, (32, 64, 128, 128)),
    ("DenseNet", "pe", 1.0, (160, 192, 160), 2, (32, 64, 128, 128)),
    ("UNet", None, 1.5, (96, 112, 96), 2, (32, 64, 128, 128)),
    ("UNet", None, 1.0, (160, 192, 160), 2, (32, 64, 128, 128)),
    ("UNet", "pe", 1.0, (160, 192, 160), 2, (32, 64, 128, 128)),
)
COLUMNS = ("network", "block", "voxels mm", "window", "patch size", "maps", "parameters", "step")


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the first row, to check that it runs")
    arguments = parser.parse_args()
    tried = TRIED[:1] if arguments.quick else TRIED
    rows = [row(*settings, repeats=1 if arguments.quick else 7) for settings in tried]
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("written to", timing.write("whole_head", rows))


def row(network, block, spacing, window, patch_size, filters, repeats):
    """Returns the row of a network and its window."""
    model = getattr(models, network)(
        (*window, 1),
        CLASSES,
        levels=len(filters) - 1,
        filters=filters,
        normalization="instance",
        recalibration=block,
        patch_size=patch_size,
        dtype="mixed_bfloat16",
    )
    model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), DiceCrossEntropy(), jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, *window, 1)).astype("float32"), rng.integers(0, CLASSES, (1, *window, 1))
    step = timing.alternate({"step": lambda: model.train_on_batch(x, y.astype("uint8"))}, repeats)["step"]
    return {
        "network": network,
        "block": block or "none",
        "voxels mm": spacing,
        "window": "×".join(map(str, window)),
        "patch size": patch_size,
        "maps": ", ".join(map(str, filters)),
        "parameters": model.count_params(),
        "step": step,
    }


if __name__ == "__main__":
    main()

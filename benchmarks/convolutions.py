"""Shows why convolutions on CPU do not use XLA, and why training uses bfloat16: `python -m benchmarks.convolutions`.

It times a 3×3×3 convolution of 32 to 32 maps on 64³ voxels, forward, in TensorFlow's graph and under XLA.
"""

import tensorflow as tf

from benchmarks import timing

COLUMNS = ("type", "how", "milliseconds", "GFLOP/s")
SIDE, MAPS = 64, 32


def main() -> None:
    """Measures, prints a table and writes it."""
    candidates = {}
    for dtype in ("float32", "bfloat16"):
        x = tf.cast(tf.random.stateless_normal((1, SIDE, SIDE, SIDE, MAPS), seed=(0, 0)), dtype)
        kernel = tf.cast(tf.random.stateless_normal((3, 3, 3, MAPS, MAPS), seed=(0, 1)), dtype)
        for how, use_xla in (("graph", False), ("XLA", True)):
            convolve = tf.function(
                lambda x, kernel: tf.nn.conv3d(x, kernel, (1, 1, 1, 1, 1), "SAME"), jit_compile=use_xla
            )
            candidates[dtype, how] = lambda convolve=convolve, x=x, kernel=kernel: convolve(x, kernel)
    operations = 2 * 27 * MAPS * MAPS * SIDE**3
    rows = [
        {"type": dtype, "how": how, "milliseconds": value, "GFLOP/s": round(operations / value["median"] / 1e9)}
        for (dtype, how), value in timing.alternate(candidates, repeats=5).items()
    ]
    timing.show(rows, COLUMNS)
    print("written to", timing.write("convolutions", rows))


if __name__ == "__main__":
    main()

"""Peak memory: `python -m benchmarks.memory [--quick]`.

Two tables. Blocks: forward and backward of each block in a process of its own, beside straight PyTorch. Inference: a
network with random weights over volumes of growing length and numbers of classes, each in a process of its own; what
is given is the resident memory at its peak less that before the volume was made.
"""

import argparse
import json
import subprocess
import sys

from benchmarks import timing

BLOCKS = ("cSE", "sSE", "scSE max", "PE")
BLOCK_COLUMNS = ("block", "ours MB", "PyTorch MB", "ratio")
INFERENCE_COLUMNS = ("volume", "classes", "volume MB", "peak MB", "seconds")


def main():
    """Measures, prints two tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, to see that it runs")
    parser.add_argument("--one", help="what one process measures (for internal use)")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_one(**json.loads(arguments.one))))
        return
    size = 16 if arguments.quick else 64
    rows = []
    for block in BLOCKS:
        ours, theirs = (_in_process(what="block", block=block, size=size, whose=whose) for whose in ("ours", "torch"))
        rows.append({"block": block, "ours MB": ours, "PyTorch MB": theirs, "ratio": theirs / ours})
    timing.show(rows, BLOCK_COLUMNS)
    lengths = (32, 64) if arguments.quick else (128, 512, 1024)
    side = 64 if arguments.quick else 512
    volumes = []
    for length, classes in [*((length, 3) for length in lengths), *((lengths[-1], classes) for classes in (33, 104))]:
        peak, seconds = _in_process(what="inference", shape=(length, side, side), classes=classes)
        megabytes = round(4 * length * side * side / 1e6)
        row = {"volume": f"{side}×{side}×{length}", "classes": classes, "volume MB": megabytes}
        volumes.append({**row, "peak MB": peak, "seconds": seconds})
    timing.show(volumes, INFERENCE_COLUMNS)
    print("written to", timing.write("memory", [*rows, *volumes]))


def _in_process(**what):
    command = [sys.executable, "-m", "benchmarks.memory", "--one", json.dumps(what)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _one(what, **settings):
    return _block(**settings) if what == "block" else _inference(**settings)


def _block(block, size, whose):
    """Returns the MB that forward and backward of a block on (1, size, size, size, 64) take beyond input and output."""
    import numpy as np

    from benchmarks import blocks

    array = np.random.default_rng(0).standard_normal((1, size, size, size, 64)).astype("float32")
    _, ours, theirs, _ = next(entry for entry in blocks.blocks(64, 3) if entry[0] == block)
    if whose == "ours":
        runs = blocks.ours_passes(ours, array, "float32")
    else:
        runs = blocks.torch_passes(theirs, array, "float32", use_compile=False)
    run = next(run for (_, kind), run in runs.items() if kind == "forward + backward")
    before = _peak()
    run()
    return round(_peak() - before, 1)


def _inference(shape, classes):
    """Returns the MB and the seconds that the labels of a volume take."""
    import time

    import numpy as np

    from recalib_keras import models
    from recalib_keras.inference import predict_labels

    window = (64, 64, 64)
    model = models.UNet((*window, 1), classes, levels=2, filters=4)
    model.predict_on_batch(np.zeros((1, *window, 1), "float32"))
    before, start = _peak(), time.perf_counter()
    image = np.random.default_rng(0).standard_normal(shape, dtype="float32")
    predict_labels(image, model.predict_on_batch, window, classes, overlap=0.25)
    return round(_peak() - before, 1), round(time.perf_counter() - start, 1)


def _peak():
    """Returns the highest resident memory of this process so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()

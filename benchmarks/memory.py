"""Peak memory: `python -m benchmarks.memory [--quick]`.

Three tables, of processes of their own. Blocks: forward and backward of each block beside straight PyTorch, what they
take beyond input and output. Scans: all that lies between a 16-bit file and the file of its labels, over slices and
classes, with a cheap stand-in for the network that knows the right answer; what is given is the resident memory of
the process at its peak, everything counted in. Engines: the same for `recalib segment` on a small scan.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import timing

BLOCKS = ("cSE", "sSE", "scSE max", "PE")
BLOCK_COLUMNS = ("block", "ours MB", "PyTorch MB", "ratio")
SCAN_COLUMNS = ("scan", "classes", "float32 scan MB", "peak MB", "seconds", "labels right")
ENGINE_COLUMNS = ("engine", "peak MB", "seconds")
ENGINES = (("keras", "float32"), ("keras", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16"))
WINDOW = (64, 64, 64)
MOST_CLASSES = 104


def main():
    """Measures, prints three tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, to see that it runs")
    parser.add_argument("--one", help="what one process measures (for internal use)")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_one(**json.loads(arguments.one))))
        return
    with tempfile.TemporaryDirectory() as folder:
        tables = [
            (_blocks(16 if arguments.quick else 64), BLOCK_COLUMNS),
            (_scans(Path(folder), arguments.quick), SCAN_COLUMNS),
            (_engines(Path(folder)), ENGINE_COLUMNS),
        ]
    for rows, columns in tables:
        timing.show(rows, columns)
        print()
    if not arguments.quick:
        print("written to", timing.write("memory", [row for rows, _ in tables for row in rows]))


def _blocks(size):
    rows = []
    for block in BLOCKS:
        ours, theirs = (_in_process(what="block", block=block, size=size, whose=whose) for whose in ("ours", "torch"))
        rows.append({"block": block, "ours MB": ours, "PyTorch MB": theirs, "ratio": theirs / ours})
    return rows


def _scans(folder, is_quick):
    side, slices = (96, (64, 128)) if is_quick else (512, (128, 256, 512, 1024))
    cases = [*((count, 3) for count in slices), (slices[-1], 33), (slices[-1], MOST_CLASSES)]
    rows = []
    for count, classes in cases:
        shape = (side, side, count)
        _write_scan(folder / "scan.nii", shape, classes)
        peak, seconds, is_right = _in_process(what="scan", folder=str(folder), classes=classes)
        row = {"scan": "×".join(map(str, shape)), "classes": classes, "labels right": is_right}
        row |= {"float32 scan MB": round(4 * side * side * count / 1e6), "peak MB": peak, "seconds": seconds}
        rows.append(row)
    return rows


def _engines(folder):
    _write_scan(folder / "small.nii", (40, 56, 40), MOST_CLASSES)
    rows = []
    for engine, precision in ENGINES:
        settings = ["--weights", "hippocampus", "--engine", engine, "--precision", precision]
        command = ["segment", str(folder / "small.nii"), "-o", str(folder), "--overwrite", *settings]
        of_command(command)  # OpenVINO compiles once
        peak, seconds = of_command(command)
        rows.append({"engine": f"{engine}, {precision}", "peak MB": peak, "seconds": seconds})
    return rows


def _write_scan(path, shape, classes):
    """Writes a 16-bit scan as CT has it, whose intensities are the numbers of classes, in boxes of 8 voxels' side."""
    import nibabel as nib
    import numpy as np

    boxes = np.random.default_rng(0).integers(0, classes, [-(-size // 8) for size in shape], dtype="int16")
    array = boxes.repeat(8, 0).repeat(8, 1).repeat(8, 2)[tuple(map(slice, shape))]
    nib.save(nib.Nifti1Image(array, np.diag([-0.7, -0.7, 1.0, 1.0])), path)


def of_command(arguments):
    """Returns the peak MB of a process that runs `recalib` with these arguments, and its seconds."""
    return _in_process(what="command", arguments=arguments)


def _in_process(**what):
    command = [sys.executable, "-m", "benchmarks.memory", "--one", json.dumps(what)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _one(what, **settings):
    return {"block": _block, "scan": _scan, "command": _command}[what](**settings)


def _block(block, size, whose):
    """Returns the MB that forward and backward of a block on (1, size, size, size, 64) take beyond input and output."""
    import numpy as np

    from benchmarks import blocks, torch_passes

    array = np.random.default_rng(0).standard_normal((1, size, size, size, 64)).astype("float32")
    _, ours, theirs, _ = next(entry for entry in blocks.blocks(64, 3) if entry[0] == block)
    if whose == "ours":
        runs = blocks.ours_passes(ours, array, "float32")
    else:
        runs = torch_passes.of_block(theirs, array, "float32", use_compile=False)
    run = next(run for (_, kind), run in runs.items() if kind == "forward + backward")
    before = _peak()
    run()
    return round(_peak() - before, 1)


def _scan(folder, classes):
    """Returns the peak MB of this process, the seconds, and whether all labels are right, for `scan.nii`."""
    import time

    import numpy as np

    from recalib_keras import volumes, zoo
    from recalib_keras.inference import Segmenter

    labels = tuple(zoo.Label(number, f"class {number}") for number in range(classes))
    expects = zoo.Input(WINDOW, "RAS", normalization="ct")
    described = zoo.WeightSet("", zoo.Network("UNet"), expects, labels, "none.safetensors", "", 0)

    def predict(windows):
        probabilities = np.zeros((*windows.shape[:-1], classes), "float32")
        np.put_along_axis(probabilities, np.rint(1000 * windows).astype(np.intp), 1.0, axis=-1)
        return probabilities

    start = time.perf_counter()
    scan = volumes.read(Path(folder, "scan.nii"), keep_integers=True)
    image = volumes.label_image(Segmenter(described, predict)(scan), scan)
    volumes.save(image, Path(folder, "labels.nii"))
    peak, seconds = _peak(), time.perf_counter() - start
    is_right = all(np.array_equal(image.dataobj[..., k], scan.array[..., k]) for k in range(scan.array.shape[-1]))
    return round(peak), round(seconds, 1), is_right


def _command(arguments):
    """Returns the peak MB of this process and the seconds of `recalib` with these arguments."""
    import time

    from recalib_keras.cli.main import main as recalib

    start = time.perf_counter()
    if recalib(arguments):
        raise SystemExit(f"recalib {' '.join(arguments)} failed")
    return round(_peak()), round(time.perf_counter() - start, 1)


def _peak():
    """Returns the highest resident memory of this process so far, in MB, as Linux tells it.

    `getrusage` will not do: what it tells begins at the size of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


if __name__ == "__main__":
    main()

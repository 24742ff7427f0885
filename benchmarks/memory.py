"""Measures peak memory: `python -m benchmarks.memory [--quick]`.

There are three tables; each figure comes from a separate process.

- Blocks: the memory of forward and backward of each block beyond its input, ours and plain PyTorch's.
- Scans: the peak resident memory of a whole process that reads a 16-bit scan and writes its labels, by number of
  slices and classes, file format, and voxels of the network. A cheap function that reads the class from the intensity
  replaces the network. Where the network sees other voxels than the scan has, not all labels can be right: the classes
  mix where they meet.
- Engines: the same for `recalib segment` on a small scan, including the processes that it starts. Memory that processes
  share counts once in each.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import timing

BLOCKS = ("cSE", "sSE", "scSE max", "PE")
LAYOUTS = ("contiguous", "channels_last")  # of PyTorch's maps; the table has the one that takes less
BLOCK_COLUMNS = ("block", "ours MB", "PyTorch MB", "ratio")
SCAN_COLUMNS = ("scan", "file", "network sees", "classes", "float32 scan MB", "peak MB", "seconds", "labels right")
ENGINE_COLUMNS = ("engine", "peak MB", "seconds")
ENGINES = (("keras", "float32"), ("keras", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16"))
WINDOW = (64, 64, 64)
MOST_CLASSES = 104
AIR = -1024  # the intercept of most CTs, in Hounsfield units
TICK = 0.02  # seconds between two measurements of the memory of several processes
BOX = 8  # side of a box of one class, in voxels


def main() -> None:
    """Measures, prints three tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small inputs, only to check that it runs")
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
        ours, *theirs = (_in_process(what="block", block=block, size=size, whose=whose) for whose in ("ours", *LAYOUTS))
        rows.append({"block": block, "ours MB": ours, "PyTorch MB": min(theirs), "ratio": min(theirs) / ours})
    return rows


def _scans(folder, is_quick):
    side, slices = (96, (64, 128)) if is_quick else (512, (128, 256, 512, 1024))
    most = slices[-1]
    return [
        *(_scan_row(folder, (side, side, count), 3) for count in slices),
        *(_scan_row(folder, (side, side, most), classes) for classes in (33, MOST_CLASSES)),
        _scan_row(folder, (side, side, most), 3, name="scan.nii.gz", intercept=AIR),
        _scan_row(folder, (side, side, most), 3, spacing=2.0, normalization="percentile"),
    ]


def _scan_row(folder, shape, classes, name="scan.nii", intercept=0, spacing=None, normalization="ct"):
    _write_scan(folder / name, shape, classes, intercept)
    settings = {"classes": classes, "name": name, "spacing": spacing, "normalization": normalization}
    peak, seconds, share = _in_process(what="scan", folder=str(folder), **settings)
    return {
        "scan": "×".join(map(str, shape)),
        "file": name.partition(".")[2] + (f", {intercept:+}" if intercept else ""),
        "network sees": f"{normalization}, {'own' if spacing is None else f'{spacing:g} mm'} voxels",
        "classes": classes,
        "float32 scan MB": round(4 * math.prod(shape) / 1e6),
        "peak MB": peak,
        "seconds": seconds,
        "labels right": f"{share:.2%}",
    }


def _engines(folder):
    _write_scan(folder / "small.nii", (40, 56, 40), MOST_CLASSES)
    rows = []
    for engine, precision in ENGINES:
        command = ["segment", str(folder / "small.nii"), "-o", str(folder), "--overwrite"]
        command += ["--preset", "densenet3d_pe", "--weights", "hippocampus"]
        command += ["--engine", engine, "--precision", precision]
        of_command(command)  # OpenVINO compiles in the first run only
        peak, seconds = of_command(command)
        rows.append({"engine": f"{engine}, {precision}", "peak MB": peak, "seconds": seconds})
    return rows


def _write_scan(path, shape, classes, intercept=0):
    """Writes a 16-bit scan like a CT, made of boxes of one class each; intensities are the indices of classes.

    Args:
        path: The file, compressed if it ends in `.gz`.
        shape: Three sizes in voxels.
        classes: The number of classes.
        intercept: The header's intercept, which readers add to the numbers in the file.
    """
    import nibabel as nib
    import numpy as np

    boxes = np.random.default_rng(0).integers(0, classes, [-(-size // BOX) for size in shape], dtype="int16")
    array = boxes.repeat(BOX, 0).repeat(BOX, 1).repeat(BOX, 2)[tuple(map(slice, shape))]
    image = nib.Nifti1Image(array - np.int16(intercept), np.diag([-0.7, -0.7, 1.0, 1.0]))
    image.header.set_slope_inter(1, intercept)
    nib.save(image, path)


def of_command(arguments: Sequence[str], **environment: str) -> tuple[float, float]:
    """Returns the peak MB of a process that runs `recalib` with these arguments, and its seconds.

    Args:
        arguments: The arguments of the command.
        **environment: Environment variables, in addition to those of this process.
    """
    return _in_process({**os.environ, **environment}, what="command", arguments=arguments)


def _in_process(environment=None, **what):
    command = [sys.executable, "-m", "benchmarks.memory", "--one", json.dumps(what)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def _one(what, **settings):
    return {"block": _block, "scan": _scan, "command": _command}[what](**settings)


def _block(block, size, whose):
    """Returns the MB that forward and backward of a block on (1, size, size, size, 64) take beyond their input.

    Args:
        block: One of `BLOCKS`.
        size: The voxels along each axis.
        whose: `"ours"`, or the layout of PyTorch's maps.
    """
    _passes(block, 8, whose)()  # loads libraries, starts compilers
    run = _passes(block, size, whose)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _resident("VmRSS")
    run()
    run()
    return round(_resident("VmHWM") - before, 1)


def _passes(block, size, whose):
    import numpy as np

    from benchmarks import blocks, torch_passes

    array = np.random.default_rng(0).standard_normal((1, size, size, size, 64), "float32")
    _, ours, theirs, _ = next(entry for entry in blocks.blocks(64, 3) if entry[0] == block)
    if whose == "ours":
        return blocks.ours_passes(ours, array, "float32")["ours", "forward + backward"]
    return torch_passes.of_block(theirs, array, "float32", use_compile=False)[f"{whose}, eager", "forward + backward"]


def _scan(folder, classes, name="scan.nii", spacing=None, normalization="ct"):
    """Returns the peak MB of this process, the seconds, and the share of right labels for a scan of `_write_scan`."""
    import time

    import numpy as np

    from recalib_keras import volumes, zoo
    from recalib_keras.inference import Segmenter

    labels = tuple(zoo.Label(number, f"class {number}") for number in range(classes))
    expects = zoo.Input(WINDOW, "RAS", spacing and (spacing,) * 3, normalization)
    described = zoo.WeightSet("", zoo.Network("UNet"), expects, labels, "none.safetensors", "", 0)
    brightest = 1000 if normalization == "ct" else classes - 1  # the intensity that is normalised to 1

    def predict(windows):
        probabilities = np.zeros((*windows.shape[:-1], classes), "float32")
        np.put_along_axis(probabilities, np.rint(brightest * windows).astype(np.intp), 1.0, axis=-1)
        return probabilities

    start = time.perf_counter()
    scan = volumes.read(Path(folder, name), keep_integers=True)
    image = Segmenter(described, predict)(scan, measure_uncertainty=False).image()
    volumes.save(image, Path(folder, "labels.nii"))
    peak, seconds = _peak(), time.perf_counter() - start
    right = sum(np.count_nonzero(image.dataobj[..., k] == scan.array[..., k]) for k in range(scan.array.shape[-1]))
    return round(peak), round(seconds, 1), right / scan.array.size


def _command(arguments):
    """Runs `recalib`; returns the peak MB of this process and those that it starts, and the seconds."""
    import threading
    import time

    from recalib_keras.cli.main import main as recalib

    start, done, sums = time.perf_counter(), threading.Event(), [0.0]

    def watch():
        while not done.wait(TICK):
            sums.append(_resident("VmRSS") + sum(map(_resident_of, _children())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        failed = recalib(arguments)
    finally:
        done.set()
        watcher.join()
    if failed:
        raise SystemExit(f"recalib {' '.join(arguments)} failed")
    return round(max(_peak(), *sums)), round(time.perf_counter() - start, 1)


def _children():
    """Returns the ids of the processes that this one started and that still run."""
    return " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()


def _resident_of(process):
    """Returns the resident memory of another process in MB, 0 if it has ended."""
    try:
        return _resident("VmRSS", process)
    except (OSError, IndexError):
        return 0.0


def _peak():
    """Returns the highest resident memory of this process so far, in MB."""
    return _resident("VmHWM")


def _resident(field, process="self"):
    """Returns the resident memory of a process in MB, from Linux: now (VmRSS), or at its peak (VmHWM).

    `getrusage` is wrong here: its peak includes the size of the parent process.
    """
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1e3


if __name__ == "__main__":
    main()

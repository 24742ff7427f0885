"""Measures the memory of a training's scans and how fast windows of them come: `python -m benchmarks.scan_cache`.

Each row is a process of its own. It prepares synthetic scans, in the cache on disk or in memory, and makes as many
batches of windows as one epoch of 250 steps has, without a network. The memory is that which the process itself holds;
pages of files do not count, since the system takes them back when memory is short.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import timing

COLUMNS = ("scans", "kept", "prepared MB", "process holds MB", "batches/s")
STATUS = Path("/proc/self/status")
SIZE, WINDOW, STEPS = 48, 32, 250
RECIPE = f"""
preset = "balls"
weights = "balls"
title = "balls"
labels = [{{ id = 0, name = "background" }}, {{ id = 1, name = "ball" }}]
network = {{ architecture = "UNet" }}
input = {{ window = [{WINDOW}, {WINDOW}, {WINDOW}] }}
data = {{ folder = "scans", dataset = "nifti_folder", source = "made up", licence = "CC0" }}
augmentation = {{ rotation = 6.0, gamma = 0.1, noise = 0.05 }}
optimizer = {{ learning_rate = 0.01 }}
schedule = {{ epochs = 1, batch_size = 2, steps_per_epoch = {STEPS}, foreground = 0.33, sampling = "class" }}
"""


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few scans, only to check that it runs")
    parser.add_argument("--one", help="what one process measures (for internal use)")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(**json.loads(arguments.one))))
        return
    counts = (5, 10) if arguments.quick else (100, 1000)
    with tempfile.TemporaryDirectory() as folder:
        write_scans(Path(folder), max(counts))
        rows = [_apart(folder, scans, use_cache) for use_cache in (True, False) for scans in counts]
    timing.show(rows, COLUMNS)
    if not arguments.quick:
        print("\nwritten to", timing.write("scan_cache", rows))


def write_scans(folder: Path, count: int) -> None:
    """Writes noisy scans of a ball with their label maps.

    Args:
        folder: Gets `scans/images` and `scans/labels`.
        count: How many.
    """
    import nibabel as nib

    for part in ("images", "labels"):
        (folder / "scans" / part).mkdir(parents=True)
    ball = (np.linalg.norm(np.indices((SIZE,) * 3) - SIZE / 2, axis=0) < SIZE / 4).astype("uint8")
    noise = np.random.default_rng(0).normal(0, 20, (count, SIZE, 1, 1))
    for number in range(count):
        for part, array in (("images", (100 * ball + noise[number]).astype("int16")), ("labels", ball)):
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / "scans" / part / f"scan_{number:04}.nii")


def measure(folder: str, scans: int, use_cache: bool) -> dict[str, object]:
    """Returns a row of the table, measured in this process.

    Args:
        folder: Where `write_scans` wrote.
        scans: How many of the scans to use.
        use_cache: Whether prepared scans lie in the cache.
    """
    import tomllib

    from recalib_keras import datasets
    from recalib_keras.core import cache
    from recalib_keras.core.records import from_mapping
    from recalib_keras.training import Recipe, Split
    from recalib_keras.training.data.sources import ScanSource

    os.environ["RECALIB_CACHE"] = str(Path(folder) / "cache")
    recipe = from_mapping(Recipe, tomllib.loads(RECIPE), "recipe")
    found = datasets.find_scans(Path(folder) / "scans", "nifti_folder")[:scans]
    source = ScanSource(recipe, Split(found, []), use_cache=use_cache)
    examples = source.examples(0, slice(None))
    examples[0]  # compiles the changes
    start = time.perf_counter()
    for step in range(STEPS):
        examples[step]
    seconds = time.perf_counter() - start
    prepared = cache.use_of("scans").size if use_cache else scans * SIZE**3 * 5
    row = (
        scans,
        "in the cache" if use_cache else "in memory",
        round(prepared / 1e6),
        held(),
        round(STEPS / seconds, 1),
    )
    return dict(zip(COLUMNS, row))


def held() -> int:
    """Returns how many MB this process holds by itself, without pages of files."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return round(int(lines["RssAnon"].split()[0]) * 1024 / 1e6)


def _apart(folder, scans, use_cache):
    settings = json.dumps({"folder": folder, "scans": scans, "use_cache": use_cache})
    command = [sys.executable, "-m", "benchmarks.scan_cache", "--one", settings]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


if __name__ == "__main__":
    main()

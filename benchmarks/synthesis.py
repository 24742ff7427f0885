"""Measures the time to generate a scan: `python -m benchmarks.synthesis [--quick]`, under any KERAS_BACKEND.

A label map of the size of a head, with as many tissues as real ones have (as nested shells), becomes scans of a whole
brain at 2 mm and at 1 mm, one at a time, with new random numbers for each. Next to the elapsed time, the table shows
the processor's time over all cores: this is what generation takes from a training at the same time.
"""

import argparse
import time

import keras
import numpy as np
from keras import ops

from benchmarks import timing
from recalib_keras.synthesis import (
    MILD,
    VARIED,
    GeneratedExamples,
    GenerationLabel,
    IntensityPrior,
    LabelMaps,
    LabelTable,
    RandomScan,
)

HEAD, LABELS = (170, 232, 248), 53
WINDOWS = {"2 mm": ((80, 96, 80), 2.0), "1 mm": ((192, 192, 192), 1.0)}
SETTINGS = {"mild": MILD, "varied": VARIED}
COLUMNS = ("voxels", "window", "settings", "seconds a scan", "processor's", "of them drawing", "first scan")


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds, only to check that it runs")
    arguments = parser.parse_args()
    repeats = 2 if arguments.quick else 15
    maps, table = _head()
    rows, scans = [], {}
    for (spacing, (window, size)), (name, settings) in ((w, s) for w in WINDOWS.items() for s in SETTINGS.items()):
        random_scan = RandomScan(table, window, settings, size, normalization="percentile")
        scans[f"{spacing}, {name}"] = scan = _Scans(maps, random_scan)
        row = {"voxels": spacing, "window": "×".join(map(str, window)), "settings": name}
        rows.append({**row, "first scan": _seconds(scan, time.perf_counter)})
        rows[-1]["of them drawing"] = _seconds(scan.draw, time.process_time)
    walls = timing.alternate(scans, repeats)
    for row, (name, scan) in zip(rows, scans.items()):
        row["seconds a scan"] = walls[name]
        row["processor's"] = float(np.median([_seconds(scan, time.process_time) for _ in range(repeats)]))
    timing.show(rows, COLUMNS)
    print("times with (minimum–maximum) are in milliseconds, the others in seconds")
    if not arguments.quick:
        print("written to", timing.write(f"synthesis_{keras.backend.backend()}", rows))


class _Scans:
    """Makes one scan a call."""

    def __init__(self, maps, random_scan):
        self.examples, self.step = GeneratedExamples(maps, random_scan, 1000), 0

    def __call__(self):
        self.step += 1
        return [ops.convert_to_numpy(tensor) for tensor in self.examples[self.step]]

    def draw(self):
        return self.examples.random_scan.draw(self.examples.maps.centres, self.step)


def _head():
    """Returns nested shells in the shape of a head, and a table of their tissues; the inner shells are structures."""
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in HEAD), indexing="ij"))
    radius = np.sqrt(np.square(places).sum(axis=0))
    shells = np.where(radius < 1, 1 + (radius * (LABELS - 1)).astype(int), 0).astype("uint8")
    numbers = [0, *range(100, 139), *range(500, 500 + LABELS - 40)]
    targets = [number if number < 500 else 0 for number in numbers]
    labels = [GenerationLabel(*pair, f"tissue {pair[1]}", i, i % 25) for i, pair in enumerate(zip(numbers, targets))]
    even = np.linspace(10, 200, 25)
    prior = IntensityPrior(*(tuple(values) for values in (even, even / 10, even / 8, even / 30)))
    centres, sizes = np.array([HEAD]) / 2, np.array([HEAD])
    return LabelMaps(("shells",), shells[None], (1.0, 1.0, 1.0), centres, sizes), LabelTable(tuple(labels), prior)


def _seconds(function, clock):
    start = clock()
    function()
    return clock() - start


if __name__ == "__main__":
    main()

"""Measures how long imports and commands take to start: `python -m benchmarks.startup [--scan FILE]`.

Each row is a fresh Python process, timed from outside.
"""

import argparse
import subprocess
import sys

from benchmarks import timing

LOAD = 'zoo.load("densenet3d_pe", "hippocampus")'
COLUMNS = ("what", "seconds", "min", "max")


def main() -> None:
    """Measures, prints a table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", help="also time the segmentation of this small scan of a hippocampus")
    arguments = parser.parse_args()
    whats = {
        "python -c pass": ["-c", "pass"],
        "recalib --help": ["-m", "recalib_keras.cli.main", "--help"],
        "import keras": ["-c", "import keras"],
        "import recalib_keras.layers": ["-c", "import recalib_keras.layers"],
        LOAD: ["-c", f"from recalib_keras import zoo; {LOAD}"],
    }
    if arguments.scan:
        command = ["-m", "recalib_keras.cli.main", "segment", arguments.scan, "-o", "demo-output", "--overwrite"]
        command += ["--preset", "densenet3d_pe", "--weights", "hippocampus"]
        whats["recalib segment, a small scan"] = command
    candidates = {what: lambda command=command: _run(command) for what, command in whats.items()}
    seconds = timing.alternate(candidates, repeats=5, warm_up=1)
    rows = [
        {"what": what, **{key: value[key] for key in ("min", "max")}, "seconds": value["median"]}
        for what, value in seconds.items()
    ]
    timing.show(rows, COLUMNS)
    print("written to", timing.write("startup", rows))


def _run(command):
    subprocess.run([sys.executable, *command], check=True, capture_output=True)


if __name__ == "__main__":
    main()

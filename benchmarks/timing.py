"""Time candidates fairly: alternating, in one run, medians with extremes."""

import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def alternate(candidates, repeats=7, warm_up=2):
    """Returns the seconds of each candidate as `{"median": …, "min": …, "max": …}`.

    The candidates take turns, so that whatever else the machine does falls on all of them alike.

    Args:
        candidates: dict of functions without arguments, by name.
        repeats: rounds that are timed.
        warm_up: rounds before them.
    """
    seconds = {name: [] for name in candidates}
    for round_ in range(warm_up + repeats):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if round_ >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: _summary(values) for name, values in seconds.items()}


def write(name, rows):
    """Writes the rows of a table, dicts, with the machine they were measured on; returns the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return path


def machine():
    """Returns what was measured on: processor, cores, and the versions of what was run."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if info.exists() and names else platform.processor(),
        "cores": os.cpu_count(),
        "load at the end": round(os.getloadavg()[0], 2),
        **{package: version(package) for package in ("keras", "tensorflow", "jax", "torch") if find_spec(package)},
    }


def show(rows, columns):
    """Prints rows as a Markdown table."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(_cell(row.get(column, "")) for column in columns) + " |")


def _summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _cell(value):
    if isinstance(value, dict):
        return f"{1e3 * value['median']:.1f} ({1e3 * value['min']:.1f}–{1e3 * value['max']:.1f})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)

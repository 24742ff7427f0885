"""Times candidates fairly: they take turns in one run; gives the median, minimum and maximum."""

import json
import os
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recalib_keras.core.processor import processor_name
from recalib_keras.core.versions import installed_versions

RESULTS = Path(__file__).parent / "results"


def alternate(
    candidates: Mapping[Hashable, Callable[[], Any]], repeats: int = 7, warm_up: int = 2
) -> dict[Any, dict[str, float]]:
    """Returns the seconds of each candidate as `{"median": …, "min": …, "max": …}`.

    The candidates take turns, so other work on the machine slows all of them alike.

    Args:
        candidates: Functions without arguments, by name.
        repeats: The number of rounds that are timed.
        warm_up: The number of rounds before them.
    """
    seconds = {name: [] for name in candidates}
    for round_ in range(warm_up + repeats):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if round_ >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: _summary(values) for name, values in seconds.items()}


def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes the rows of a table and a description of the machine to `results/`; returns the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, Any]:
    """Returns the processor, its cores and load, and the versions of the packages."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "load at the end": round(os.getloadavg()[0], 2),
        **installed_versions(("keras", "tensorflow", "jax", "torch")),
    }


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
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

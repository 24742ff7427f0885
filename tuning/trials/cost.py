"""What a network costs: its parameters, the seconds and the peak memory of a scan, measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.trials.trial import Trial

# What a study may ask for, and its name in tables.
COSTS = {"parameters": "parameters", "seconds": "seconds a scan", "memory": "peak GiB"}
REPEATS = 3  # segmentations of the scan, of which the fastest counts: the first one compiles
DIGITS = 4


def measure(cost: str, recipe: Mapping[str, Any], data_root: str | os.PathLike) -> float:
    """Returns what a recipe's network costs; its weights do not matter.

    A process of its own segments the first validation scan. So the memory of the training is not counted. The memory is
    that of the process, without that of a GPU.

    Args:
        cost: One of `COSTS`.
        recipe: Mapping of the recipe.
        data_root: Folder that the recipe's data folder is relative to.

    Returns:
        The number of weights, seconds, or GiB.

    Raises:
        StudyError: The process fails.
    """
    request = json.dumps({"recipe": recipe, "data_root": os.fspath(data_root)}, default=str)
    command = [sys.executable, "-m", "recalib_keras.tuning.trials.cost"]
    done = subprocess.run(command, input=request, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StudyError(
            expected=f"the cost of a network ({cost})",
            received=f"a process that failed ({last})",
            remedy="search without `cost`",
        )
    return json.loads(done.stdout.splitlines()[-1])[cost]


def pareto_front(trials: Iterable[Trial]) -> list[Trial]:
    """Returns the complete trials of which no other is better in score or cost without being worse in the other.

    Args:
        trials: The trials.

    Returns:
        The trials, cheapest first.
    """
    known = [trial for trial in trials if trial.scores and trial.cost is not None]
    front = [trial for trial in known if not any(_beats(other, trial) for other in known)]
    return sorted(front, key=lambda trial: (trial.cost, trial.score))


def _beats(other, trial):
    is_as_good = other.score >= trial.score and other.cost <= trial.cost
    return is_as_good and (other.score > trial.score or other.cost < trial.cost)


def _measured(recipe, data_root):
    """Returns all costs of a recipe's network in this process."""
    from recalib_keras.core.backend import start_backend

    start_backend()
    from recalib_keras.core.records import from_mapping
    from recalib_keras.inference import Segmenter
    from recalib_keras.training import Recipe, find_split
    from recalib_keras.training.network import build_network
    from recalib_keras.zoo import WeightSet
    from recalib_keras.zoo.weights import file_name

    recipe = from_mapping(Recipe, recipe, "the recipe of a trial")
    scan, _ = find_split(recipe, data_root).validation[0].read()
    model = build_network(recipe)
    described = WeightSet(
        title="",
        network=recipe.network,
        input=recipe.input,
        labels=recipe.labels,
        file=file_name("none"),
        sha256="",
        parameters=model.count_params(),
        score={},
    )
    segmenter = Segmenter(described, model)
    seconds = min(_seconds(lambda: segmenter(scan, measure_uncertainty=False)) for _ in range(REPEATS))
    return {"parameters": model.count_params(), "seconds": round(seconds, DIGITS), "memory": round(_peak(), DIGITS)}


def _seconds(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _peak():
    """Returns the largest memory that this process has had, in GiB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


if __name__ == "__main__":
    print(json.dumps(_measured(**json.load(sys.stdin))))

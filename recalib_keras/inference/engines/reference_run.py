"""What Keras in float32 makes of a scan's windows, which other engines must match; worked out where it takes least.

The pass of a whole head leaves TensorFlow with gigabytes that it does not give back. Where a process has not imported
it, another one is started for the trial, and ends with it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines import keras_engine, openvino_engine
from recalib_keras.inference.engines.base import REFERENCE

# Windows that show less than this share of structures say nothing about them.
LEAST_STRUCTURES = 0.001
# Engines are timed so often, and less often where that takes longer than so many seconds.
ROUNDS, MOST_SECONDS = 5, 2.0
# Files of a trial in another process.
WINDOWS, LABELS, FACTS = "windows.npy", "labels.npy", "facts.json"


class Trial(NamedTuple):
    """A network's first look at a scan.

    Args:
        labels: `(batch, *spatial)` by Keras in float32.
        seconds: that they took.
        compiled: the network compiled by OpenVINO, bytes by precision; none of windows that are not telling.
        refusal: why OpenVINO cannot have it, in words; None if it can.
    """

    labels: np.ndarray
    seconds: float
    compiled: dict[str, bytes]
    refusal: str | None

    @property
    def is_telling(self):
        """Whether the windows show enough of the structures to choose an engine by."""
        return (self.labels != 0).mean() >= LEAST_STRUCTURES


def try_out(preset, weights, precisions, windows, threads=None):
    """Returns the `Trial` of a preset's network, in another process unless TensorFlow is in this one already.

    Args:
        preset, weights, threads: see `recalib_keras.inference.open_engine`.
        precisions: list of those to compile for OpenVINO.
        windows: `(batch, *spatial, channels)`.
    """
    request = {"preset": str(preset), "weights": weights, "precisions": precisions, "threads": threads}
    if "tensorflow" in sys.modules or not sys.executable:
        return try_here(windows, **request)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, WINDOWS), windows)
        command = [sys.executable, "-c", f"from {__name__} import answer; answer()", folder, json.dumps(request)]
        paths = os.pathsep.join(filter(None, sys.path))  # so that it finds what this process has found
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
        if done.returncode == 0:
            return _read(Path(folder))
    return try_here(windows, **request)  # which tells what is wrong, if it is not only want of memory for two


def try_here(windows, preset, weights, precisions, threads):
    """Returns the `Trial` of a preset's network, in this process; see `try_out`."""
    model = keras_engine.load(preset, weights, REFERENCE.precision, threads).model
    find_labels = keras_engine.labels_of(model)
    trial = Trial(find_labels(windows), 0.0, {}, None)  # the first call, in which Keras compiles, is not timed
    if not trial.is_telling:
        return trial
    trial = trial._replace(seconds=seconds_of(lambda: find_labels(windows)))
    try:
        return trial._replace(compiled=openvino_engine.convert(model, precisions) if precisions else {})
    except EngineError as error:
        return trial._replace(refusal=str(error))


def seconds_of(call):
    """Returns the least seconds that a call takes, in several rounds if they are short."""
    seconds, end = [], time.perf_counter() + MOST_SECONDS
    while len(seconds) < ROUNDS and (not seconds or time.perf_counter() <= end):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def answer() -> None:
    """Tries out what the arguments of this process ask for, and leaves the `Trial` in the folder that they name."""
    folder = Path(sys.argv[1])
    tried = try_here(np.load(folder / WINDOWS), **json.loads(sys.argv[2]))
    np.save(folder / LABELS, tried.labels)
    for precision, content in tried.compiled.items():
        (folder / precision).write_bytes(content)
    facts = {"seconds": tried.seconds, "refusal": tried.refusal, "compiled": list(tried.compiled)}
    (folder / FACTS).write_text(json.dumps(facts))


def _read(folder):
    facts = json.loads((folder / FACTS).read_text())
    compiled = {precision: (folder / precision).read_bytes() for precision in facts["compiled"]}
    return Trial(np.load(folder / LABELS), facts["seconds"], compiled, facts["refusal"])

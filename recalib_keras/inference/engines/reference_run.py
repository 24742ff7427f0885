"""The labels of Keras in float32 for a scan's windows, which other engines must match.

After a whole head, TensorFlow keeps gigabytes that it does not give back. A process that has not imported it therefore
starts another process for the run, whose memory is free when it ends.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.core.errors import EngineError
from recalib_keras.inference.engines import keras_engine, openvino_engine
from recalib_keras.inference.engines.base import REFERENCE

# Windows in which structures have a smaller share than this say nothing about them.
LEAST_STRUCTURES = 0.001
# Files that two processes exchange.
WINDOWS, LABELS, FACTS = "windows.npy", "labels.npy", "facts.json"


class ReferenceRun(NamedTuple):
    """What Keras in float32 makes of the windows of a scan.

    Args:
        labels: `(batch, *spatial)`.
        compiled: The network compiled by OpenVINO, as bytes by precision; empty if the windows show no structures.
        refusal: Why OpenVINO cannot compile the network, in words; None if it can.
        has_sigmoid: Whether each structure has a probability of its own.
    """

    labels: np.ndarray
    compiled: dict[str, bytes]
    refusal: str | None
    has_sigmoid: bool = False

    @property
    def shows_structures(self) -> bool:
        """Whether the windows show enough of the structures to select an engine by them."""
        return bool((self.labels != 0).mean() >= LEAST_STRUCTURES)


def run_reference(
    preset: str | os.PathLike,
    weights: str,
    precisions: Sequence[str],
    windows: np.ndarray,
    threads: int | None = None,
) -> ReferenceRun:
    """Returns the reference run of a preset's network, in another process unless this one has TensorFlow already.

    Args:
        preset: See `recalib_keras.inference.open_engine`.
        weights: See there.
        precisions: Those to compile for OpenVINO.
        windows: `(batch, *spatial, channels)`.
        threads: See there.
    """
    request: dict[str, Any] = {
        "preset": str(preset),
        "weights": weights,
        "precisions": list(precisions),
        "threads": threads,
    }
    if "tensorflow" in sys.modules or not sys.executable:
        return run_here(windows, **request)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, WINDOWS), windows)
        command = [sys.executable, "-c", f"from {__name__} import serve; serve()", folder, json.dumps(request)]
        paths = os.pathsep.join(filter(None, sys.path))  # so that it finds the modules that this process finds
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
        if done.returncode == 0:
            return _read(Path(folder))
    return run_here(windows, **request)  # raises what is wrong, unless memory was only too small for two processes


def run_here(
    windows: np.ndarray, preset: str, weights: str, precisions: Sequence[str], threads: int | None
) -> ReferenceRun:
    """Returns the reference run of a preset's network, in this process.

    Args:
        windows: See `run_reference`.
        preset: See `run_reference`.
        weights: See `run_reference`.
        precisions: See `run_reference`.
        threads: See `run_reference`.
    """
    model = keras_engine.load(preset, weights, REFERENCE.precision, threads).model
    run = ReferenceRun(keras_engine.labels_of(model)(windows), {}, None, keras_engine.has_sigmoid(model))
    if not run.shows_structures:
        return run
    try:
        return run._replace(compiled=openvino_engine.convert(model, precisions) if precisions else {})
    except EngineError as error:
        return run._replace(refusal=str(error))


def serve() -> None:
    """Does the run that the arguments of this process describe, and leaves it in the folder that they name."""
    folder = Path(sys.argv[1])
    run = run_here(np.load(folder / WINDOWS), **json.loads(sys.argv[2]))
    np.save(folder / LABELS, run.labels)
    for precision, content in run.compiled.items():
        (folder / precision).write_bytes(content)
    facts = {"refusal": run.refusal, "compiled": list(run.compiled), "has_sigmoid": run.has_sigmoid}
    (folder / FACTS).write_text(json.dumps(facts))


def _read(folder):
    facts = json.loads((folder / FACTS).read_text())
    compiled = {precision: (folder / precision).read_bytes() for precision in facts["compiled"]}
    labels = np.load(folder / LABELS)
    return ReferenceRun(labels, compiled, facts["refusal"], facts["has_sigmoid"])

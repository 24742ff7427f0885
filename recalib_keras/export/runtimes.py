"""Exported files in the runtimes that they are made for, in a process of their own.

A runtime that aborts ends that process only. It also shows that a file needs neither Keras nor this package.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recalib_keras.core.errors import ExportError
from recalib_keras.core.messages import one_line
from recalib_keras.inference.engines.openvino_engine import import_openvino

# Files that two processes exchange.
PROBES, OUTPUTS, FACTS = "probes.npz", "outputs.npz", "facts.json"
MOST_OF_REASON = 300  # letters of what a runtime says when it fails


class Outcome(NamedTuple):
    """What a runtime makes of probes.

    Args:
        outputs: One `(batch, *spatial, classes)` for each probe.
        inputs: Inputs of the network, as keys of `recalib_keras.export.certificate.Port`.
        results: Its outputs, likewise.
        versions: Of the runtime's package.
    """

    outputs: list[np.ndarray]
    inputs: list[dict[str, Any]]
    results: list[dict[str, Any]]
    versions: dict[str, str]


def run(format: str, path: Path, probes: Sequence[np.ndarray]) -> Outcome:
    """Returns what the runtime of a format makes of probes, in another process.

    Args:
        format: Name of a format.
        path: The exported file or folder.
        probes: Images `(batch, *spatial, channels)`.

    Raises:
        ExportError: The runtime refuses the file, or crashes.
    """
    with tempfile.TemporaryDirectory() as exchange:
        folder = Path(exchange)
        np.savez(folder / PROBES, *probes)
        command = [sys.executable, "-c", f"from {__name__} import serve; serve()", format, str(path), exchange]
        paths = os.pathsep.join(filter(None, sys.path))  # so that it finds the modules that this process finds
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
        if done.returncode == 0:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            with np.load(folder / OUTPUTS) as outputs:
                return Outcome(list(outputs.values()), **facts)
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    reason = one_line(lines[-1])[:MOST_OF_REASON] if done.returncode > 0 else f"it crashed, signal {-done.returncode}"
    raise ExportError(
        expected=f"a file that runs in the runtime of {format}",
        received=f"one that it refuses ({reason})",
        remedy="export in another format",
    )


def serve() -> None:
    """Runs the file that the arguments of this process name, and leaves the outputs in the folder that they name."""
    format, path, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with np.load(folder / PROBES) as probes:
        outcome = RUNTIMES[format](path, list(probes.values()))
    np.savez(folder / OUTPUTS, *outcome.outputs)
    facts = {"inputs": outcome.inputs, "results": outcome.results, "versions": outcome.versions}
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _run_onnx(path, probes):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Outcome(
        [session.run(None, {name: probe})[0] for probe in probes],
        [_port(one.name, one.shape, one.type) for one in session.get_inputs()],
        [_port(one.name, one.shape, one.type) for one in session.get_outputs()],
        {"onnxruntime": onnxruntime.__version__},
    )


def _run_openvino(path, probes):
    network = import_openvino().Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ports = [
        [_port(_name_of(one), one.partial_shape, one.element_type.to_dtype().name) for one in ports]
        for ports in (network.inputs, network.outputs)
    ]
    outputs = [np.array(network(probe)[network.output(0)]) for probe in probes]
    return Outcome(outputs, *ports, {"openvino": metadata.version("openvino")})


def _name_of(port):
    """Returns the name of an input or output; those of networks from PyTorch may have none."""
    return port.get_any_name() if port.get_names() else port.get_node().get_friendly_name()


def _run_litert(path, probes):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for probe in probes:
        interpreter.resize_tensor_input(given["index"], probe.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], probe)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"]).copy())
    ports = [[_port(one["name"], one["shape_signature"], one["dtype"].__name__)] for one in (given, result)]
    return Outcome(outputs, *ports, {"ai-edge-litert": metadata.version("ai-edge-litert")})


def _run_savedmodel(path, probes):
    import tensorflow as tf

    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    ((name, spec),) = served.structured_input_signature[1].items()
    ((result, output),) = served.structured_outputs.items()
    return Outcome(
        [served(**{name: tf.constant(probe)})[result].numpy() for probe in probes],
        [_port(name, spec.shape, spec.dtype.name)],
        [_port(result, output.shape, output.dtype.name)],
        {"tensorflow": tf.__version__},
    )


def _port(name, shape, dtype):
    """Returns a description of an input or output; runtimes write a free size as None, -1, `?` or a name."""
    sizes = [int(str(size)) if str(size).isdigit() else None for size in shape]
    return {"name": name, "shape": sizes, "dtype": {"tensor(float)": "float32"}.get(dtype, dtype)}


RUNTIMES = {"onnx": _run_onnx, "openvino": _run_openvino, "litert": _run_litert, "savedmodel": _run_savedmodel}

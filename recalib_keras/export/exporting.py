"""The way of an export: write the file, run it, compare it with Keras, certify it, and only then put it in place."""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recalib_keras import __version__
from recalib_keras.core.backend import held_back_stderr, start_backend
from recalib_keras.core.errors import ExportError, WriteError
from recalib_keras.core.files import write_text
from recalib_keras.core.messages import one_line
from recalib_keras.core.versions import installed_versions
from recalib_keras.export import runtimes
from recalib_keras.export.certificate import Certificate, compared, hashes, path_of
from recalib_keras.export.formats import Format, format_named, format_of, other_backend
from recalib_keras.inference.engines.keras_engine import backend as current_backend

if TYPE_CHECKING:
    from recalib_keras.zoo import Weights

MISSING_OPERATIONS = re.compile(r"TF Select ops: ([\w, ]+)")
MOST_OF_REASON = 300  # letters of what a converter says when it fails


def export(
    source: Any,
    path: str | os.PathLike,
    format: str | None = None,
    weights: Weights = "default",
    dynamic: bool = True,
    probe: np.ndarray | None = None,
) -> Certificate:
    """Exports a network, runs it in its runtime, and writes a certificate of how well it agrees with Keras.

    The batch size is free in every file. The certificate, `PATH.certificate.json`, has what a user of the file must
    know: its inputs and outputs, the preprocessing and the labels, its SHA-256, and the measured agreement.

    Args:
        source: A `keras.Model` with one input and one output, the path of one saved as `*.keras`, or the name or folder
            of a preset.
        path: The file to write, or the folder of a SavedModel. What lies there is replaced once the export is proven.
        format: `"onnx"`, `"openvino"`, `"litert"` or `"savedmodel"`; None for the one of the path's suffix.
        weights: Of a preset: the name of a weight set or an ensemble, or several weight sets by name or with their
            shares, see `zoo.load`. An ensemble is exported as one network, from a volume to averaged probabilities.
        dynamic: Of a preset: whether the network takes windows of any size that its levels divide, or only the preset's
            window, for which runtimes can plan better. A model keeps its own sizes.
        probe: Image `(batch, *spatial, channels)` to compare on; None for random ones.

    Returns:
        The certificate.

    Raises:
        ExportError: The network cannot be exported in this format, or the exported network does not compute what the
            network computes. Nothing is written then.
        ImportError: A package is missing; the message has the command that installs it.
        ValueError: The format, the preset or its weights are unknown.
        WriteError: The file cannot be written.

    Example:
        certificate = export(zoo.load("unet3d_pe"), "unet3d_pe.onnx")
        certificate.agreement.largest_difference
    """
    path = Path(path)
    chosen = format_of(path) if format is None else format_named(format)
    backend = current_backend()
    chosen.check_path(path)
    chosen.check_installed(backend)
    if "keras" not in sys.modules:
        start_backend()
    import keras  # here, so that the process that runs exported files does without Keras

    from recalib_keras.export.probe import probes
    from recalib_keras.export.source import open_source

    opened = open_source(source, weights, dynamic and backend == "tensorflow")
    images = probes(opened.model, opened.window) if probe is None else [np.asarray(probe, "float32")]
    references = [keras.ops.convert_to_numpy(opened.model(image, training=False)) for image in images]
    with _folder_beside(path) as temporary:
        folder = Path(temporary)
        written = folder / path.name
        _write(chosen, opened, written, backend)
        outcome = runtimes.run(chosen.name, written, images)
        certificate = Certificate.of(
            compared(images, references, outcome.outputs),
            format=chosen.name,
            files=hashes(folder),
            inputs=outcome.inputs,
            outputs=outcome.results,
            versions=_versions(chosen, backend) | outcome.versions,
            **opened.facts,
        )
        _check(certificate, opened.name, path)
        _put_in_place(folder, path)
    write_text(path_of(path), certificate.to_json())
    return certificate


def _write(chosen: Format, opened, path, backend):
    """Writes the file. Converters print much, so their output is kept for the error message."""
    failure = None
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with held_back_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if chosen.name == "openvino":
                    runtimes.import_openvino()  # without its telemetry
                chosen.write(opened.model, path)
            except Exception as error:  # converters raise errors of every kind
                failure = error
    finally:
        logging.disable(level)
    if failure is not None:
        raise _refusal(chosen, opened.name, failure, backend) from failure


def _refusal(chosen, name, failure, backend):
    missing = MISSING_OPERATIONS.search(str(failure))
    reason = one_line(str(failure) or repr(failure))[:MOST_OF_REASON]
    if missing is not None:
        reason = f"it has operations that {chosen.title} lacks: {missing[1]}"
    elif backend != "tensorflow":
        return other_backend(chosen, backend, reason)
    return ExportError(
        expected=f"a network that can be exported for {chosen.title}",
        received=f"{name}, which cannot ({reason})",
        remedy="export in another format",
    )


def _check(certificate, name, path):
    if not certificate.agreement.is_good:
        raise ExportError(
            file=path,
            expected=f"an exported network that computes what {name} computes",
            received=f"one that differs, {certificate.agreement}",
            remedy="nothing was written; export in another format",
        )


def _folder_beside(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=path.parent, prefix=".")
    except OSError as error:
        raise _cannot_write(path, error) from error


def _put_in_place(folder, path):
    """Moves what an export wrote to its path, and what lies there out of the way."""
    try:
        for written in folder.iterdir():
            target = path.parent / written.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(written, target)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path, error):
    return WriteError(
        file=path,
        expected="a place that can be written",
        received=error.strerror or str(error),
        remedy="check that its folder can be written and its disk has room",
    )


def _versions(chosen, backend):
    packages = ("keras", backend, "numpy", *chosen.writes_with[backend])
    return {"recalib-keras": __version__, "python": platform.python_version(), **installed_versions(packages)}

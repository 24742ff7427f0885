"""Networks in files for other runtimes, each with a certificate that it computes what the network computes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from recalib_keras.core.errors import ExportError
from recalib_keras.export.certificate import Agreement, Certificate
from recalib_keras.export.exporting import export

if TYPE_CHECKING:
    from recalib_keras.zoo import Weights

__all__ = ["Agreement", "Certificate", "ExportError", "export", "litert", "onnx", "openvino", "savedmodel"]


def onnx(
    source: Any,
    path: str | os.PathLike,
    weights: Weights = "default",
    dynamic: bool = True,
    probe: np.ndarray | None = None,
) -> Certificate:
    """Exports a network as ONNX, runs the file in onnxruntime, and writes a certificate beside it.

    Args:
        source: See `export`.
        path: The file to write, `*.onnx`.
        weights: See `export`.
        dynamic: See `export`.
        probe: See `export`.

    Raises:
        ExportError: See `export`.
        ImportError: See `export`.
    """
    return export(source, path, "onnx", weights, dynamic, probe)


def openvino(
    source: Any,
    path: str | os.PathLike,
    weights: Weights = "default",
    dynamic: bool = True,
    probe: np.ndarray | None = None,
) -> Certificate:
    """Exports a network for OpenVINO, runs the files there, and writes a certificate beside them.

    Args:
        source: See `export`.
        path: The file to write, `*.xml`; the weights go into `*.bin` beside it.
        weights: See `export`.
        dynamic: See `export`.
        probe: See `export`.

    Raises:
        ExportError: See `export`.
        ImportError: See `export`.
    """
    return export(source, path, "openvino", weights, dynamic, probe)


def litert(
    source: Any,
    path: str | os.PathLike,
    weights: Weights = "default",
    dynamic: bool = True,
    probe: np.ndarray | None = None,
) -> Certificate:
    """Exports a network for LiteRT (TensorFlow Lite), runs the file there, and writes a certificate beside it.

    Args:
        source: See `export`.
        path: The file to write, `*.tflite`.
        weights: See `export`.
        dynamic: See `export`.
        probe: See `export`.

    Raises:
        ExportError: See `export`; also for an operation that LiteRT itself does not have.
        ImportError: See `export`.
    """
    return export(source, path, "litert", weights, dynamic, probe)


def savedmodel(
    source: Any,
    path: str | os.PathLike,
    weights: Weights = "default",
    dynamic: bool = True,
    probe: np.ndarray | None = None,
) -> Certificate:
    """Exports a network as a TensorFlow SavedModel, runs it without Keras, and writes a certificate beside it.

    Args:
        source: See `export`.
        path: The folder to write. It may be empty or a SavedModel, which is replaced.
        weights: See `export`.
        dynamic: See `export`.
        probe: See `export`.

    Raises:
        ExportError: See `export`.
        ImportError: See `export`.
    """
    return export(source, path, "savedmodel", weights, dynamic, probe)

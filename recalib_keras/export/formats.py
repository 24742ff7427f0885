"""The formats that networks are exported in: what each is called, what it needs, and how Keras writes it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recalib_keras.core.backend import BACKENDS
from recalib_keras.core.errors import ExportError, missing_package
from recalib_keras.core.messages import did_you_mean

# Modules that Keras needs on other backends than TensorFlow; no extra of this package has them.
OF_BACKENDS = ("jax2onnx", "litert_torch")


@dataclass(frozen=True)
class Format:
    """A format.

    Args:
        name: Of the format, and of the extra of this package that installs what it needs.
        title: What people call the runtime.
        suffix: Of the file; empty for a folder.
        keras_name: What `keras.Model.export` calls the format.
        writes_with: Modules that write it, by Keras's backend.
        runs_with: Module that runs it.
        options: Returns further arguments of `keras.Model.export` on TensorFlow.
    """

    name: str
    title: str
    suffix: str
    keras_name: str
    writes_with: dict[str, tuple[str, ...]]
    runs_with: str
    options: Callable[[], dict[str, Any]] = dict

    def check_path(self, path: Path) -> None:
        """Checks that a network can be written to a path in this format.

        Raises:
            ExportError: The path has another suffix, or something else lies there that must not be replaced.
        """
        if path.suffix != self.suffix and self.suffix:
            raise ExportError(
                file=path,
                expected=f"a file *{self.suffix} for {self.title}",
                received=f"the suffix {path.suffix!r}",
                remedy=f"write to {path.with_suffix(self.suffix).name}",
            )
        if self.suffix and path.is_dir():
            raise ExportError(file=path, expected="a file to write", received="a folder", remedy="give another path")
        if not self.suffix and path.exists() and not _may_be_replaced(path):
            raise ExportError(
                file=path,
                expected="a folder that is new, empty or a SavedModel",
                received="something else",
                remedy="give another path, or move it away",
            )

    def check_installed(self, backend: str) -> None:
        """Checks that the packages are installed that write and run this format.

        Args:
            backend: Keras's.

        Raises:
            ExportError: Keras cannot write the format from this backend.
            ImportError: A package is missing; the message has the command that installs it.
        """
        if backend not in self.writes_with:
            raise other_backend(self, backend, "this format")
        missing = [one for one in (*self.writes_with[backend], self.runs_with) if importlib.util.find_spec(one) is None]
        if missing and missing[0].startswith(OF_BACKENDS):
            raise other_backend(self, backend, f"without {missing[0]}; run: pip install {missing[0].replace('_', '-')}")
        if missing:
            command = f'pip install "recalib-keras[{self.name}]"'
            raise missing_package(f"an export for {self.title}", missing[0], command)

    def write(self, model: Any, path: Path) -> None:
        """Writes a model to a path in this format.

        Args:
            model: `keras.Model` with one input.
            path: Where nothing lies yet.
        """
        import keras

        shape, backend = model.input_shape, keras.backend.backend()
        signature = [keras.InputSpec(shape=shape, dtype="float32", name=model.inputs[0].name.split(":")[0])]
        options = self.options() if backend == "tensorflow" else {}
        model.export(str(path), format=self.keras_name, verbose=False, input_signature=signature, **options)


def format_named(name: str) -> Format:
    """Returns a format by its name.

    Args:
        name: One of `FORMATS`.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS, otherwise=f"known formats: {', '.join(FORMATS)}")
        raise ValueError(f"expected the name of a format, got {name!r}; {hint}")
    return FORMATS[name]


def format_of(path: Path) -> Format:
    """Returns the format that the suffix of a path stands for; a SavedModel without one.

    Args:
        path: The file or folder to write.

    Raises:
        ValueError: No format has that suffix.

    Example:
        >>> format_of(Path("unet.onnx")).name
        'onnx'
    """
    for one in FORMATS.values():
        if one.suffix == path.suffix:
            return one
    suffixes = ", ".join(one.suffix for one in FORMATS.values() if one.suffix)
    raise ValueError(f"{path}: expected one of the suffixes {suffixes}, got {path.suffix!r}; name a format")


def other_backend(format: Format, backend: str, reason: object) -> ExportError:
    """Returns the error that Keras cannot export from its backend, with the one that can.

    Args:
        format: The format.
        backend: Keras's.
        reason: What it cannot export, or why.
    """
    return ExportError(
        expected=f"Keras's TensorFlow backend, which exports all networks for {format.title}",
        received=f"{backend!r}, which cannot export it ({reason})",
        remedy="set KERAS_BACKEND=tensorflow",
    )


def _may_be_replaced(folder):
    return folder.is_dir() and ((folder / "saved_model.pb").is_file() or not any(folder.iterdir()))


def _only_operations_of_litert():
    import tensorflow as tf

    return {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}


FORMATS = {
    one.name: one
    for one in (
        Format(
            "onnx",
            "ONNX",
            ".onnx",
            "onnx",
            {"tensorflow": ("tf2onnx", "onnx"), "torch": ("onnx",), "jax": ("jax2onnx",)},
            "onnxruntime",
        ),
        Format("openvino", "OpenVINO", ".xml", "openvino", dict.fromkeys(BACKENDS, ()), "openvino"),
        Format(
            "litert",
            "LiteRT",
            ".tflite",
            "litert",
            {"tensorflow": ("tensorflow",), "torch": ("litert_torch",)},
            "ai_edge_litert",
            _only_operations_of_litert,
        ),
        Format(
            "savedmodel",
            "TensorFlow",
            "",
            "tf_saved_model",
            dict.fromkeys(BACKENDS, ("tensorflow",)),
            "tensorflow",
        ),
    )
}

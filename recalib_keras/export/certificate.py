"""The certificate of an exported network: what it is, how it is called, and how well it agrees with Keras."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from recalib_keras.core.records import from_mapping, read_mapping

ENDING = ".certificate.json"
# Outputs may differ by so much, in units of the larger of 1 and the largest output of Keras.
LARGEST_DIFFERENCE = 1e-3
# And this share of the voxels must have the same label.
LEAST_SAME_LABELS = 0.999


@dataclass(frozen=True)
class Agreement:
    """How far an exported network's outputs are from those of Keras, on one probe or on several together.

    Args:
        shapes: Those of the probes, each `(batch, *spatial, channels)`.
        largest_difference: Of two outputs, absolute.
        largest_output: The largest output of Keras, absolute; 1 at most for probabilities.
        same_labels: The share of voxels with the same label, from 0 to 1.
    """

    shapes: tuple[tuple[int, ...], ...]
    largest_difference: float
    largest_output: float
    same_labels: float

    @property
    def is_good(self) -> bool:
        """Whether the exported network computes what the network computes, up to rounding."""
        bound = LARGEST_DIFFERENCE * max(1.0, self.largest_output)
        return self.largest_difference <= bound and self.same_labels >= LEAST_SAME_LABELS  # not so for NaN

    def __str__(self) -> str:
        return f"largest difference {self.largest_difference:.1e}, {self.same_labels:.2%} of the labels the same"


@dataclass(frozen=True)
class Port:
    """An input or output of the exported network.

    Args:
        name: What the runtime calls it.
        shape: Sizes, None for one that may vary.
        dtype: Such as `"float32"`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Certificate:
    """What an exported network is and how well it agrees with Keras. It is the content of `*.certificate.json`.

    Args:
        format: `"onnx"`, `"openvino"`, `"litert"` or `"savedmodel"`.
        files: SHA-256 of each file, by its path relative to the certificate.
        inputs: Of the exported network.
        outputs: Of the exported network: the probability of each class at each voxel, as a rule.
        source: What was exported: a preset and its weights with their SHA-256, or the name of a model.
        network: Architecture and its arguments, if it is one of this package.
        input: Window, orientation, spacing (mm), normalisation and context that a preset's network expects; empty for
            a model.
        labels: The label of each class of a preset, in the order of the outputs' channels; empty for a model.
        licence: Of the weights, if it is known.
        agreement: As it was measured.
        versions: Of the packages that took part.
    """

    format: str
    files: dict[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    source: dict[str, Any]
    agreement: Agreement
    versions: dict[str, str]
    network: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    labels: tuple[dict[str, Any], ...] = ()
    licence: str | None = None

    @classmethod
    def of(cls, agreement: Agreement, **facts: Any) -> Self:
        """Returns a certificate made from what JSON can hold, equal to the one that is read from its file.

        Args:
            agreement: As it was measured.
            **facts: The other arguments, records as mappings.
        """
        facts["agreement"] = dataclasses.asdict(agreement)
        return from_mapping(cls, json.loads(json.dumps(facts)), "certificate")

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """Returns the certificate in a file.

        Args:
            path: The file.

        Raises:
            RecordError: The file cannot be read, or is not a certificate.
        """
        return from_mapping(cls, read_mapping(path, "certificate", "JSON"), path)

    def to_json(self) -> str:
        """Returns the content of the file."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        return f"{self.format}: {self.agreement}"


def compared(
    probes: Sequence[np.ndarray], references: Sequence[np.ndarray], outputs: Sequence[np.ndarray]
) -> Agreement:
    """Returns how far outputs are from references; an output of another shape agrees nowhere.

    Args:
        probes: Images `(batch, *spatial, channels)`.
        references: Outputs of Keras, one `(batch, *spatial, classes)` for each probe.
        outputs: Those of the exported network.

    Example:
        >>> maps = np.array([[[0.9, 0.1], [0.2, 0.8]]])
        >>> compared([maps], [maps], [maps[..., ::-1]]).same_labels
        0.0
    """
    shapes = tuple(probe.shape for probe in probes)
    if [reference.shape for reference in references] != [output.shape for output in outputs]:
        return Agreement(shapes, float("inf"), 0.0, 0.0)
    pairs = list(zip(references, outputs))
    same = [labels_in(reference) == labels_in(output) for reference, output in pairs]
    return Agreement(
        shapes,
        max(float(np.abs(np.subtract(*pair, dtype="float64")).max()) for pair in pairs),
        max(float(np.abs(reference).max()) for reference in references),
        float(np.concatenate([one.ravel() for one in same]).mean()),
    )


def labels_in(outputs: np.ndarray) -> np.ndarray:
    """Returns the class of each voxel; of a single class, whether it is there.

    Args:
        outputs: `(batch, *spatial, classes)`.
    """
    return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else outputs[..., 0] > 0.5


def path_of(exported: Path) -> Path:
    """Returns the path of the certificate of an exported file or folder.

    Args:
        exported: The file or folder.

    Example:
        >>> path_of(Path("unet.onnx")).name
        'unet.onnx.certificate.json'
    """
    return exported.with_name(exported.name + ENDING)


def hashes(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file in a folder and the folders below, by its relative path.

    Args:
        folder: The folder.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

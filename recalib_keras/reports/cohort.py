"""The scans of an output folder: what its table of volumes and its manifests know of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core.errors import RecordError
from recalib_keras.core.tables import read_csv
from recalib_keras.inference.batch.batch import TABLE
from recalib_keras.inference.batch.manifest import FORMAT, read_manifest
from recalib_keras.inference.batch.volume_table import NEEDED

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class CohortScan:
    """A scan with its labels.

    Args:
        folder: The output folder.
        labels: Path of the label map, relative to the folder.
        rows: What the table says about its structures.
    """

    folder: Path
    labels: str
    rows: Rows

    @property
    def scan(self) -> str:
        """Path of the scan, relative to the folder."""
        return self.rows[0]["scan"]

    @property
    def warning(self) -> str:
        """What is unusual, or an empty text."""
        return self.rows[0].get("warning", "")

    @property
    def made_by(self) -> str:
        """What made the labels."""
        return self.rows[0].get("made_by", "")

    @property
    def label_map(self) -> Path:
        """Path of the label map."""
        return self.folder / self.labels

    @property
    def total_ml(self) -> float:
        """Volume of all structures together."""
        total = _float(self.rows[0].get("total_mm3", ""))
        return (sum(_float(row["mm3"]) for row in self.rows) if np.isnan(total) else total) / 1000

    @property
    def entropy(self) -> float:
        """Mean entropy of the structures' voxels; NaN if it is unknown.

        The manifest knows it of the voxels that the network saw. The table gives that of the scan's voxels, which
        differs in the third digit.
        """
        manifest = read_manifest(self.label_map)
        counts = {str(one["label"]): str(one["voxels"]) for one in manifest.get("structures", ())}
        if manifest.get("mean_entropy") is not None and counts == {row["label"]: row["voxels"] for row in self.rows}:
            return manifest["mean_entropy"]
        pairs = [(_float(row["voxels"]), _float(row.get("mean_entropy", ""))) for row in self.rows]
        known = np.array([pair for pair in pairs if np.isfinite(pair).all() and pair[0]])
        return float(np.average(known[:, 1], weights=known[:, 0])) if len(known) else float("nan")

    def volumes_ml(self) -> dict[str, float]:
        """Returns the volume of each structure by its name."""
        return {row["structure"]: _float(row["mm3"]) / 1000 for row in self.rows}

    def manifest(self) -> dict[str, Any]:
        """Returns what made the labels: their manifest, or without one what the table says."""
        return read_manifest(self.label_map) or {
            "format": FORMAT,
            "scan": os.path.relpath(self.folder / self.scan, self.label_map.parent).replace(os.sep, "/"),
            "made_by": self.made_by,
            "warnings": [self.warning] * bool(self.warning),
            "structures": [
                {
                    "name": row["structure"],
                    "label": int(row["label"]),
                    "voxels": int(row["voxels"]),
                    "mean_entropy": float(row["mean_entropy"]) if row.get("mean_entropy") else None,
                }
                for row in self.rows
            ],
        }


def read_cohort(folder: str | os.PathLike) -> list[CohortScan]:
    """Returns the scans of an output folder, by the names of their label maps.

    Args:
        folder: Where `recalib segment` or `recalib bids` has written.

    Raises:
        RecordError: The folder has no table of volumes, or one without any label map.
    """
    path = Path(folder) / TABLE
    table = read_csv(path, (*NEEDED, "labels"), "the table of an output folder of `recalib segment`", True)
    found: dict[str, list[dict[str, str]]] = {}
    for row in table.rows:
        if row["labels"]:
            found.setdefault(row["labels"], []).append(row)
    if not found:
        raise RecordError(
            file=path, expected="volumes of label maps", received="none", remedy="segment scans into this folder first"
        )
    return [CohortScan(Path(folder), labels, rows) for labels, rows in sorted(found.items())]


def _float(text):
    try:
        return float(text)
    except ValueError:
        return float("nan")

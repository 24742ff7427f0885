"""The run manifest beside each label map: what made it, with what, on what, and how long it took."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import read_file, write_json
from recalib_keras.core.messages import one_line
from recalib_keras.core.processor import processor_name
from recalib_keras.core.records import to_mapping
from recalib_keras.core.spreading import devices
from recalib_keras.core.versions import installed_versions
from recalib_keras.inference.engines import named
from recalib_keras.volumes.names import stem

if TYPE_CHECKING:
    from recalib_keras.inference.segmentation import Segmentation
    from recalib_keras.inference.segmenter import Segmenter

FORMAT = 1
PACKAGES = ("recalib-keras", "keras", "tensorflow", "jax", "torch", "openvino", "numpy", "nibabel")


def manifest_path(labels: Path) -> Path:
    """Returns the path of a label map's manifest: beside it, of the same name, `.json`.

    Args:
        labels: The label map.

    Example:
        >>> manifest_path(Path("out/head_labels.nii.gz")).name
        'head_labels.json'
    """
    return labels.with_name(f"{stem(labels)}.json")


def manifest_of(
    segmenter: Segmenter,
    segmentation: Segmentation,
    scan: str,
    made_by: str,
    command: str,
    times: Mapping[str, Any],
    volume: int | None = None,
) -> dict[str, Any]:
    """Returns a manifest, which JSON can hold.

    Args:
        segmenter: What has made the labels.
        segmentation: The labels.
        scan: Path of the scan, relative to the folder of the labels.
        made_by: Preset, weights, and all else that changes the labels, in words.
        command: The command that was typed, or empty.
        times: When it began, and the seconds of each step.
        volume: Which volume of a 4-D scan was segmented.
    """
    networks = [
        {
            "weights": predictor.weight_set.title,
            "sha256": predictor.weight_set.sha256,
            "licence": predictor.weight_set.licence,
            "trained_on": one_line(predictor.weight_set.data.get("source", "")),
            "share": share,
            **dict(zip(("engine", "precision"), named(predictor.engine))),
        }
        for predictor, share in segmenter.members
    ]
    return {
        "format": FORMAT,
        "scan": scan,
        "volume": volume,
        "made_by": made_by,
        "command": command,
        "networks": networks,
        "times": dict(times),
        **findings_of(segmentation),
        "versions": versions(),
        "hardware": hardware(),
    }


def findings_of(segmentation: Segmentation) -> dict[str, Any]:
    """Returns the part of a manifest that tells what was found, and what it is to be compared with.

    Args:
        segmentation: The labels.
    """
    uncertainty = segmentation.uncertainty
    entropies = {} if uncertainty is None else uncertainty.by_structure
    structures = [
        {
            "name": volume.name,
            "label": volume.label,
            "voxels": volume.voxels,
            "mm3": round(volume.cubic_millimetres, 1),
            "mean_entropy": _rounded(entropies.get(volume.label)),
            "color": list(label.color),
            "mirror": label.mirror,
            "includes": list(label.includes or ()),
        }
        for label, volume in zip(segmentation.structures, segmentation.volumes)
    ]
    return {
        "warnings": list(segmentation.warnings),
        "structures": structures,
        "mean_entropy": None if uncertainty is None else _rounded(uncertainty.foreground),
        "reference_range": _mapping(segmentation.reference_range),
        "own_asymmetry": _mapping(segmentation.own_asymmetry),
    }


def write_manifest(labels: Path, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest of a label map.

    Args:
        labels: The label map.
        manifest: From `manifest_of`.

    Raises:
        WriteError: It cannot be written.
    """
    # In ASCII, since a scan's name may hold bytes that are not UTF-8.
    write_json(manifest_path(labels), manifest, ensure_ascii=True)


def read_manifest(labels: Path) -> dict[str, Any]:
    """Returns the manifest of a label map; an empty one if there is none, or it cannot be read.

    Args:
        labels: The label map.
    """
    try:
        found = json.loads(read_file(manifest_path(labels), "a run manifest", RecordError))
    except (RecordError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("format") == FORMAT else {}


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that matter, as far as they are installed."""
    return {"python": platform.python_version(), **installed_versions(PACKAGES)}


def hardware() -> dict[str, Any]:
    """Returns the system, the processor, the number of cores and the GPUs of this machine; not its name."""
    return {
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": devices.count_cores(),
        "gpus": os.environ.get(devices.GPUS, "all"),
    }


def _mapping(record):
    return None if record is None else to_mapping(record)


def _rounded(entropy):
    return None if entropy is None else round(float(entropy), 4)

"""What a set of scans is like, as far as a plan depends on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras import datasets
from recalib_keras.core.errors import RecordError
from recalib_keras.datasets import DatasetError
from recalib_keras.datasets.folders import read_json

ORIENTATION = "RAS"
# Layouts that are recognised by their folders.
LAYOUTS = {"imagesTr": "msd", "images": "nifti_folder"}
MOST_SAMPLED = 10_000  # voxels of the foreground of a scan whose intensities count
AIR = -200  # Hounsfield units: a scan without anything darker is no CT of a body in air
SEED = 0


@dataclass(frozen=True)
class Facts:
    """What a set of scans is like.

    Args:
        folder: The folder of the set.
        dataset: Name of its layout; see `recalib datasets`.
        volume: Which volume of 4-D scans, or None.
        patients: Number of patients.
        shapes: Voxels of each scan along right, front and top, integers `(scans, 3)`.
        spacings: Voxel sizes of each scan in mm, `(scans, 3)`.
        is_ct: Whether intensities are Hounsfield units.
        modality: What says so, in words.
        labels: Name of each label number that occurs, without the background.
        scans_with: How many scans have each label.
        volumes: Median volume of each label in ml, over the scans that have it.
        intensities: The percentiles 0.5 and 99.5 of the foreground's intensities.
        foreground: Mean share of the voxels that belong to a structure.
        source: Where the scans come from, in words.
        licence: Their licence, in words; None if nothing says so.
    """

    folder: Path
    dataset: str
    volume: int | None
    patients: int
    shapes: np.ndarray
    spacings: np.ndarray
    is_ct: bool
    modality: str
    labels: Mapping[int, str]
    scans_with: Mapping[int, int]
    volumes: Mapping[int, float]
    intensities: tuple[float, float]
    foreground: float
    source: str
    licence: str | None

    @property
    def scans(self) -> int:
        """Number of scans."""
        return len(self.shapes)


def read_facts(
    folder: str | os.PathLike,
    dataset: str | None = None,
    volume: int | None = None,
    on_scan: Callable[[int, int], object] = lambda done, count: None,
) -> Facts:
    """Returns what a set is like. Reads every scan, one after the other.

    Args:
        folder: Folder of the set.
        dataset: Name of its layout; None to recognise the Decathlon's and that of `nifti_folder`.
        volume: Which volume of 4-D scans to take.
        on_scan: Called with `(done, count)` after each scan.

    Raises:
        RecordError: The layout is not recognised, or no scan has a structure.
        DatasetError: Scans cannot be used; lists every problem.
    """
    folder = Path(folder)
    dataset = dataset or _layout(folder)
    found = datasets.survey(folder, dataset, volume)
    scans = [scan for scan in found.scans if scan.part != "test"]
    problems, measured = [*found.problems], []
    for done, scan in enumerate(scans, start=1):
        image, labels, wrong = scan.inspect()
        problems += wrong
        if not wrong:
            measured.append(_Measured.of(image, labels))
        on_scan(done, len(scans))
    if problems:
        raise DatasetError(problems)
    return _facts(folder, dataset, volume, scans, measured, found.labels or {})


@dataclass(frozen=True)
class _Measured:
    """One scan."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    darkest: float
    sample: np.ndarray
    voxels: Counter

    @classmethod
    def of(cls, image, labels):
        grid, inside = image.grid.oriented(ORIENTATION), image.array[labels.array > 0]
        rng = np.random.default_rng(SEED)
        numbers, counts = np.unique(labels.array, return_counts=True)
        return cls(
            grid.shape,
            grid.spacing,
            float(np.percentile(image.array, 1)),
            rng.choice(inside, MOST_SAMPLED) if inside.size > MOST_SAMPLED else inside,
            Counter(dict(zip(numbers.tolist(), counts.tolist()))),
        )


def _facts(folder, dataset, volume, scans, measured, names):
    numbers = sorted({number for one in measured for number in one.voxels} - {0})
    if not numbers:
        raise RecordError(file=folder, expected="label maps with structures", received="only 0 in all of them")
    spacings = np.array([one.spacing for one in measured])
    per_voxel = spacings.prod(axis=1) / 1000
    found = {number: [one.voxels[number] * ml for one, ml in zip(measured, per_voxel)] for number in numbers}
    is_ct, modality = _modality(folder, dataset, measured)
    about, _ = read_json(folder / "dataset.json")
    low, high = np.percentile(np.concatenate([one.sample for one in measured]), (0.5, 99.5))
    return Facts(
        folder=folder,
        dataset=dataset,
        volume=volume,
        patients=len({scan.patient for scan in scans}),
        shapes=np.array([one.shape for one in measured]),
        spacings=spacings,
        is_ct=is_ct,
        modality=modality,
        labels={number: names.get(number, f"label {number}") for number in numbers},
        scans_with={number: sum(volume > 0 for volume in volumes) for number, volumes in found.items()},
        volumes={number: float(np.median([v for v in volumes if v > 0])) for number, volumes in found.items()},
        intensities=(float(low), float(high)),
        foreground=float(np.mean([1 - one.voxels[0] / np.prod(one.shape) for one in measured])),
        source=_text(about, "reference") or _text(about, "name") or folder.resolve().name,
        licence=_text(about, "licence") or _text(about, "license"),
    )


def _layout(folder):
    for part, dataset in LAYOUTS.items():
        if (folder / part).is_dir():
            return dataset
    raise RecordError(
        file=folder,
        expected="a folder with imagesTr and labelsTr, or with images and labels",
        received="neither" if folder.is_dir() else "no such folder",
        remedy="name another layout by --dataset NAME; `recalib datasets` lists them",
    )


def _modality(folder, dataset, measured):
    """Returns whether scans are CT, and what says so: dataset.json, the name of the set, or the intensities."""
    about, _ = read_json(folder / "dataset.json")
    given: Any = about.get("channel_names") or about.get("modality")
    if isinstance(given, dict) and given:
        name = str(next(iter(given.values())))
        return name.upper() == "CT", f"dataset.json calls the scans {name}"
    title = datasets.describe(dataset).title
    if "CT" in title.replace(",", " ").replace(":", " ").split():
        return True, f"the set {dataset} holds CT"
    is_ct = all(one.darkest < AIR for one in measured)
    return is_ct, f"{'every scan has' if is_ct else 'not every scan has'} voxels below {AIR}, as air has in CT"


def _text(about, key):
    value = about.get(key)
    text = " ".join(str(value).split()) if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable() and character not in "<>|")[:200] or None

"""What a set of scans is like, as far as a plan depends on it."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recalib_keras import datasets
from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import listed, one_line
from recalib_keras.datasets import DatasetError
from recalib_keras.datasets.channels import with_numbered_channels
from recalib_keras.datasets.checking import unknown_labels, without_structures
from recalib_keras.datasets.folders import channel_names, read_json
from recalib_keras.volumes.windows import with_channel_axis

ORIENTATION = "RAS"
# Layouts that are recognised by their folders.
LAYOUTS = {"imagesTr": "msd", "images": "nifti_folder"}
MOST_SAMPLED = 10_000  # voxels of the foreground of a scan whose intensities count
AIR = -200  # Hounsfield units: a scan without anything darker is not a CT of a body in air
SEED = 0


class Modality(NamedTuple):
    """What the intensities of one channel are like.

    Args:
        name: Name of the channel; empty for scans of one channel.
        is_ct: Whether intensities are Hounsfield units.
        why: What says so, in words.
        intensities: The percentiles 0.5 and 99.5 of the foreground's intensities.
    """

    name: str
    is_ct: bool
    why: str
    intensities: tuple[float, float]


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
        modalities: Of each channel.
        labels: Name of each label number that occurs, without the background and what nobody looked at; those that
            include others come first.
        scans_with: How many scans have each label.
        looked_for: In how many scans each label was looked for.
        volumes: Median volume of each label in ml, over the scans that have it.
        foreground: Mean share of the voxels that belong to a structure.
        source: Where the scans come from, in words.
        licence: Their licence, in words; None if nothing says so.
        includes: For each label number that stands for several, the others.
    """

    folder: Path
    dataset: str
    volume: int | None
    patients: int
    shapes: np.ndarray
    spacings: np.ndarray
    modalities: tuple[Modality, ...]
    labels: Mapping[int, str]
    scans_with: Mapping[int, int]
    looked_for: Mapping[int, int]
    volumes: Mapping[int, float]
    foreground: float
    source: str
    licence: str | None
    includes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def scans(self) -> int:
        """Number of scans."""
        return len(self.shapes)

    @property
    def is_ct(self) -> bool:
        """Whether the intensities of all channels are Hounsfield units."""
        return all(modality.is_ct for modality in self.modalities)


def read_facts(
    folder: str | os.PathLike,
    dataset: str | None = None,
    volume: int | None = None,
    on_scan: Callable[[int, int], object] = lambda done, count: None,
) -> Facts:
    """Returns the properties of a set. Reads every scan, one after the other; remarks on the set become warnings.

    Args:
        folder: Folder of the set.
        dataset: Name of its layout; None to recognise the Decathlon's and that of `nifti_folder`.
        volume: Which volume of 4-D scans to take.
        on_scan: Called with `(done, count)` after each scan.

    Raises:
        RecordError: The layout is not recognised, or all scans belong to the test part.
        DatasetError: Scans, or the list of their labels, cannot be used; lists every problem.
    """
    folder = Path(folder)
    dataset = dataset or _layout(folder)
    found = datasets.survey(folder, dataset, volume)
    scans = [scan for scan in found.scans if scan.part != "test"]
    if found.scans and not scans:
        raise RecordError(
            file=folder,
            expected="scans to train on",
            received="only scans of the test part",
            remedy="give some of them another part in scans.csv",
        )
    scans = [with_numbered_channels(scan) for scan in scans]
    # A plan takes the names and regions of structures from the set's own list.
    about_labels = [remark for remark in found.remarks if remark.file.suffix == ".json"]
    problems, measured = [*found.problems, *about_labels], []
    for done, scan in enumerate(scans, start=1):
        image, labels, wrong = scan.inspect()
        problems += wrong
        if not wrong:
            measured.append(_Measured.of(image, labels, scan.ignore))
            problems += unknown_labels(scan, sorted(measured[-1].voxels), found.labels)
        on_scan(done, len(scans))
    problems = problems or without_structures(scans, {number for one in measured for number in one.voxels})
    if problems:
        raise DatasetError(problems)
    for remark in found.remarks:
        warnings.warn(str(remark), stacklevel=2)
    return _facts(folder, dataset, volume, scans, measured, found)


@dataclass(frozen=True)
class _Measured:
    """One scan."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    darkest: np.ndarray  # of each channel, (channels,)
    sample: np.ndarray  # intensities of the foreground, (voxels, channels)
    voxels: Counter

    @classmethod
    def of(cls, image, labels, ignore):
        grid, array = image.grid.oriented(ORIENTATION), with_channel_axis(image.array)
        inside = array[(labels.array > 0) & (labels.array != ignore)]
        rng = np.random.default_rng(SEED)
        numbers, counts = np.unique(labels.array, return_counts=True)
        voxels = Counter(dict(zip(numbers.tolist(), counts.tolist())))
        voxels.pop(ignore, None)
        return cls(
            grid.shape,
            grid.spacing,
            np.percentile(array, 1, axis=(0, 1, 2)),
            rng.choice(inside, MOST_SAMPLED) if len(inside) > MOST_SAMPLED else inside,
            voxels,
        )


def _facts(folder, dataset, volume, scans, measured, survey):
    names = survey.labels or {}
    numbers = {number for one in measured for number in one.voxels} - {0}
    includes = {
        number: kept
        for number, inner in survey.includes.items()
        if number in numbers and (kept := tuple(one for one in inner if one in numbers))
    }
    numbers = sorted(numbers, key=lambda number: (-len(includes.get(number, ())), number))
    spacings = np.array([one.spacing for one in measured])
    per_voxel = spacings.prod(axis=1) / 1000
    found = {number: [one.voxels[number] * ml for one, ml in zip(measured, per_voxel)] for number in numbers}
    about, _ = read_json(folder / "dataset.json")
    known = {number: sum(scan.knows(number) for scan in scans) for number in numbers}
    return Facts(
        folder=folder,
        dataset=dataset,
        volume=volume,
        patients=len({scan.patient for scan in scans}),
        shapes=np.array([one.shape for one in measured]),
        spacings=spacings,
        modalities=_modalities(folder, dataset, scans, measured),
        labels={number: names.get(number, f"label {number}") for number in numbers},
        includes=includes,
        scans_with={number: sum(volume > 0 for volume in volumes) for number, volumes in found.items()},
        looked_for=known,
        volumes={number: float(np.median([v for v in volumes if v > 0])) for number, volumes in found.items()},
        foreground=float(np.mean([1 - one.voxels[0] / one.voxels.total() for one in measured])),
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


def _modalities(folder, dataset, scans, measured):
    """Returns the modality of each channel."""
    if len({tuple(channel.name for channel in scan.channels) for scan in scans}) > 1:
        raise RecordError(
            file=folder,
            expected="scans of the same channels",
            received=listed(sorted({f"{len(scan.channels) or 1} in {scan.name}" for scan in scans})),
            remedy="take out those that differ, or choose one channel by --volume",
        )
    samples = np.concatenate([one.sample for one in measured])
    about, _ = read_json(folder / "dataset.json")
    given = channel_names(about.get("channel_names") or about.get("modality") or {})
    names = [channel.name for channel in scans[0].channels] or [""]
    found = []
    for place, name in enumerate(names):
        stated = given.get(scans[0].volume or 0) if not name else None if name.isdecimal() else name
        is_ct, why = _is_ct(dataset, stated, [one.darkest[place] for one in measured])
        low, high = np.percentile(samples[:, place], (0.5, 99.5))
        found.append(Modality(name, is_ct, why, (float(low), float(high))))
    return tuple(found)


def _is_ct(dataset, stated, darkest):
    """Returns whether a channel is CT, and what says so: its name, the name of the set, or the intensities."""
    if stated is not None:
        return stated.upper() == "CT", f"the set calls it {one_line(stated)}"
    title = datasets.describe(dataset).title
    if "CT" in title.replace(",", " ").replace(":", " ").split():
        return True, f"the set {dataset} holds CT"
    is_ct = all(value < AIR for value in darkest)
    return is_ct, f"{'every scan has' if is_ct else 'not every scan has'} voxels below {AIR}, as air has in CT"


def _text(about, key):
    value = about.get(key)
    text = " ".join(str(value).split()) if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable() and character not in "<>|")[:200] or None

"""CHAOS: abdomens in CT and MR, DICOM series with a PNG mask for each slice."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recalib_keras import volumes
from recalib_keras.datasets.folders import first_folder, visible_files
from recalib_keras.datasets.problems import Problem, noted
from recalib_keras.datasets.scan import Inspection, LabelledScan
from recalib_keras.datasets.sets.slices import by_number, mask_levels, placed_slices
from recalib_keras.datasets.source import Description, Source, Survey
from recalib_keras.volumes import Volume


class Sequence(NamedTuple):
    """One kind of images of CHAOS.

    Attributes:
        title: What it is, in words.
        patients: Folder of the patients' folders.
        images: Folder of the DICOM slices, from a patient's folder.
        masks: Folder of the PNG masks, from a patient's folder.
        levels: Grey levels of each label, from 1 on, as `(name, lowest, highest)`.
    """

    title: str
    patients: str
    images: str
    masks: str
    levels: tuple[tuple[str, int, int], ...]


LIVER = (("liver", 255, 255),)
ORGANS = (("liver", 55, 70), ("right kidney", 110, 135), ("left kidney", 175, 200), ("spleen", 240, 255))
SEQUENCES = {
    "ct": Sequence("CT, portal venous phase", "CT", "DICOM_anon", "Ground", LIVER),
    # Both phases were taken in one breath hold: they share their masks.
    "mr_t1in": Sequence("MR, T1-DUAL in phase", "MR", "T1DUAL/DICOM_anon/InPhase", "T1DUAL/Ground", ORGANS),
    "mr_t1out": Sequence("MR, T1-DUAL out of phase", "MR", "T1DUAL/DICOM_anon/OutPhase", "T1DUAL/Ground", ORGANS),
    "mr_t2": Sequence("MR, T2-SPIR", "MR", "T2SPIR/DICOM_anon", "T2SPIR/Ground", ORGANS),
}

LAYOUT = """\
CHAOS_Train_Sets.zip from zenodo.org/records/3431873, unpacked; FOLDER is the one it was unpacked in, Train_Sets, or
any between. Needed of it, for each patient's number N:
  Train_Sets/{patients}/N/{images}/*.dcm  the slices of one series
  Train_Sets/{patients}/N/{masks}/*.png  as many masks
Grey levels of the masks: {levels}.
The first mask by name belongs to the first slice by name, and so on, as the organisers count them; where in the body a
slice lies is read from its DICOM header. The test sets have no masks and are skipped."""
CITATION = """\
@article{kavur2021chaos,
  title = {{CHAOS} Challenge - combined ({CT-MR}) healthy abdominal organ segmentation},
  author = {Kavur, A. Emre and Gezer, N. Sinem and Bar{\\i}{\\c{s}}, Mustafa and others},
  journal = {Medical Image Analysis}, volume = {69}, pages = {101950}, year = {2021},
  doi = {10.1016/j.media.2020.101950}
}"""


@dataclass(frozen=True)
class SlicedScan(LabelledScan):
    """A folder of DICOM slices and one of PNG masks.

    Args:
        name: See `LabelledScan`.
        image: Folder of the slices.
        labels: Folder of the masks.
        patient: See `LabelledScan`.
        part: See `LabelledScan`.
        volume: See `LabelledScan`.
        merge: See `LabelledScan`.
        levels: Grey levels of each label; see `Sequence`.
    """

    levels: tuple[tuple[str, int, int], ...] = ()

    def inspect(self) -> Inspection:
        """Reads the series and its masks; see `LabelledScan.inspect`."""
        problems = []
        image, slices, masks = None, None, []
        with noted(problems, self.image):
            image = volumes.read(self.image)
            slices = placed_slices(self.image, image.grid)
        with noted(problems, self.labels):
            masks = [path for path in visible_files(self.labels) if path.suffix.lower() == ".png"]
        masks.sort(key=by_number)
        if slices is not None:
            problems += _unlike(slices, masks, self.labels)
        is_paired = slices is not None and len(slices) == len(masks)
        labels = np.zeros(image.grid.shape, np.uint8) if is_paired else None
        for number, path in enumerate(masks):
            with noted(problems, path):
                classes = _classes(mask_levels(path), path, self.levels)
                if is_paired:
                    _check_shape(path, classes.shape, labels.shape[:2])
                    labels[:, :, slices[number][1]] = classes
        truth = Volume(labels, image.grid, source=self.labels) if is_paired else None
        return Inspection(image, truth, problems)


def find(folder: Path, sequence: str) -> Survey:
    """Returns what is in a folder.

    Args:
        folder: `Train_Sets`, a folder around it, or the folder of the patients' folders.
        sequence: A key of `SEQUENCES`.

    Raises:
        FileNotFoundError: There are no patients' folders.
    """
    kind = SEQUENCES[sequence]
    scans, problems = [], []
    for case in _cases(folder, kind.patients):
        images, masks = case / kind.images, case / kind.masks
        absent = [
            Problem(path, f"a folder of {content}", "none", "unpack the archive again")
            for path, content in ((images, "slices"), (masks, "masks"))
            if not path.is_dir()
        ]
        problems += absent
        if not absent:
            patient = f"{kind.patients}_{case.name:0>2}"
            name = patient if sequence == "ct" else f"{patient}_{sequence.removeprefix('mr_')}"
            scans.append(SlicedScan(name, images, masks, patient, levels=kind.levels))
    return Survey(sorted(scans, key=lambda scan: scan.name), labels_of(sequence), problems, [])


def _cases(folder, kind):
    """Returns the patients' folders, which have numbers as names."""
    patients = first_folder(
        folder / kind,
        folder / "Train_Sets" / kind,
        folder / "CHAOS_Train_Sets" / "Train_Sets" / kind,
        *([folder] if folder.resolve().name == kind else []),
    )
    cases = [path for path in patients.iterdir() if path.is_dir() and path.name.isdigit()] if patients else []
    if not cases:
        raise FileNotFoundError(
            f"expected Train_Sets/{kind} with a numbered folder for each patient in {folder}, got none"
        )
    return sorted(cases)


def labels_of(sequence: str) -> dict[int, str]:
    """Returns the name of each label number.

    Args:
        sequence: A key of `SEQUENCES`.
    """
    return dict(enumerate(("background", *(name for name, _, _ in SEQUENCES[sequence].levels))))


def _unlike(slices, masks, folder):
    """Returns as a list what is wrong with the pairs of slices and masks by their order."""
    if len(masks) != len(slices):
        return [
            Problem(folder, f"{len(slices)} masks, one for each slice", f"{len(masks)}", "unpack the archive again")
        ]
    names = {path.stem for path, _ in slices}
    if 2 * sum(mask.stem in names for mask in masks) <= len(masks):
        return []
    # Masks that are named like the slices show that a slice and the mask of another slice are missing.
    return [
        Problem(
            mask,
            f"a mask named like the slice it belongs to by order, {path.name}",
            "another name",
            "find the missing slice or mask",
        )
        for (path, _), mask in zip(slices, masks)
        if mask.stem != path.stem
    ]


def _check_shape(path, shape, expected):
    if shape != expected:
        raise volumes.VolumeError(
            file=path, expected=f"the shape of its slice, {expected} (columns, rows)", received=f"{shape}"
        )


def _classes(levels, path, ranges):
    """Returns the label of each pixel of a mask, `(columns, rows)`."""
    classes = np.zeros(levels.shape, np.uint8)
    for label, (_, lowest, highest) in enumerate(ranges, start=1):
        classes[(lowest <= levels) & (levels <= highest)] = label
    unknown = np.unique(levels[(classes == 0) & (levels != 0)])
    if unknown.size:
        known = ", ".join(_range(lowest, highest) for _, lowest, highest in ranges)
        raise volumes.VolumeError(
            file=path, expected=f"the grey levels 0, {known}", received=f"{unknown[:10].tolist()} too"
        )
    return classes


def _range(lowest, highest):
    return f"{lowest}-{highest}" if lowest < highest else str(lowest)


def _source(name, sequence):
    levels = ", ".join(f"{organ} {_range(lowest, highest)}" for organ, lowest, highest in sequence.levels)
    structures = ", ".join(name for name, _, _ in sequence.levels)
    layout = LAYOUT.format(patients=sequence.patients, images=sequence.images, masks=sequence.masks, levels=levels)
    description = Description(
        f"chaos/{name}",
        f"CHAOS {sequence.title}: {structures}",
        labels_of(name),
        layout,
        "CC BY-NC-SA 4.0",
        CITATION,
        "https://chaos.grand-challenge.org",
    )
    return Source(description, functools.partial(find, sequence=name))


SOURCES = tuple(_source(name, sequence) for name, sequence in SEQUENCES.items())

"""VISCERAL: contrast-enhanced CT of thorax and abdomen, a mask file for each organ."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recalib_keras import volumes
from recalib_keras.datasets.problems import Problem, noted
from recalib_keras.datasets.scan import Inspection, LabelledScan
from recalib_keras.datasets.source import Description, Source, Survey

# Millimetres between voxels after reading, in all directions: what the papers trained on.
SPACING = 2.0
# RadLex number of each organ, in the order of the label numbers from 1 on. The papers have ten organs and show the
# lungs, kidneys and psoas muscles by side, but do not list them all; these ten are large enough for 2 mm.
ORGANS = {
    58: "liver",
    86: "spleen",
    480: "aorta",
    1247: "trachea",
    1302: "right lung",
    1326: "left lung",
    29662: "right kidney",
    29663: "left kidney",
    32248: "right psoas major",
    32249: "left psoas major",
}
LABELS = dict(enumerate(("background", *ORGANS.values())))
# Patient, number of the scan, modality (contrast-enhanced CT) and region; then RadLex number and annotator of a mask.
NAME = re.compile(r"(?P<scan>(?P<patient>\d+)_\d+_CTce_[A-Za-z]+)(_(?P<organ>\d+)(_[^_]*)?)?\.nii(\.gz)?")
# Automatic segmentations to train on, manual ones to test on.
PARTS = {"silver": "train", "gold": "test"}

LAYOUT = """\
By request from the VISCERAL consortium (visceral.eu, Anatomy3). Below FOLDER, in folders of any depth:
  10000100_1_CTce_ThAb.nii.gz        a scan
  10000100_1_CTce_ThAb_58_4.nii.gz   a mask of it: RadLex number of the organ (58 is the liver), then the annotator
Files below a folder whose name has "silver" in it are the training part, below one with "gold" the test part. Other
modalities and organs are skipped. An organ that is not in a scan needs an empty mask: a missing mask could also mean
that nobody outlined it.
Scans and masks are resampled to 2 mm as they are read. Organs and their RadLex numbers:
""" + "\n".join(f"  {number:>5}  {name}" for number, name in ORGANS.items())
CITATION = """\
@article{jimenez2016visceral,
  title = {Cloud-Based Evaluation of Anatomical Structure Segmentation and Landmark Detection Algorithms: VISCERAL
           Anatomy Benchmarks},
  author = {Jimenez-del-Toro, Oscar and M{\\"u}ller, Henning and Krenn, Markus and others},
  journal = {IEEE Transactions on Medical Imaging}, volume = {35}, number = {11}, pages = {2459--2475}, year = {2016},
  doi = {10.1109/TMI.2016.2578680}
}"""


@dataclass(frozen=True)
class OrganScan(LabelledScan):
    """A scan with a mask file for each organ, resampled when read.

    Args:
        name: See `LabelledScan`.
        image: The scan.
        labels: Folder of the masks.
        patient: See `LabelledScan`.
        part: See `LabelledScan`.
        volume: See `LabelledScan`.
        merge: See `LabelledScan`.
        masks: One for each label number from 1 on, in this order. Where masks overlap, the later one wins.
    """

    masks: tuple[Path, ...] = ()

    def _paths(self):
        return [self.image, *self.masks]

    def inspect(self) -> Inspection:
        """Reads the scan and its masks on a grid of 2 mm; see `LabelledScan.inspect`."""
        problems = []
        image, labels = None, None
        with noted(problems, self.image):
            image = volumes.read(self.image)
        for label, path in enumerate(self.masks, start=1):
            with noted(problems, path):
                mask = volumes.read_labels(path)
                if image is not None or labels is not None:
                    mask = mask.aligned((image or labels).grid)
                if labels is None:
                    labels = replace(mask, array=np.zeros(mask.grid.shape, np.uint8))
                labels.array[mask.array != 0] = label
        if problems:
            return Inspection(image, labels, problems)
        grid = image.grid.resampled(SPACING)
        return Inspection(image.on(grid), labels.on(grid, order=0), problems)


def find(folder: Path) -> Survey:
    """Returns all scans below a folder.

    Args:
        folder: The folder; scans may lie in its subfolders.

    Raises:
        FileNotFoundError: There is no scan with a VISCERAL name.
    """
    images, masks, problems = _files_by_name(folder)
    if not images:
        raise FileNotFoundError(f"expected scans named like 10000100_1_CTce_ThAb.nii.gz below {folder}, got none")
    scans: list[LabelledScan] = []
    for name, image in sorted(images.items()):
        paths = [masks.get((name, organ)) for organ in ORGANS]
        problems += [
            Problem(
                image,
                f"a mask of the {title}, {name}_{organ}_*.nii.gz",
                "none",
                "if the organ is not in the scan, add an empty mask",
            )
            for (organ, title), path in zip(ORGANS.items(), paths)
            if path is None
        ]
        if None not in paths:
            patient = NAME.fullmatch(image.name)["patient"]
            scans.append(OrganScan(name, image, paths[0].parent, patient, _part(image, folder), masks=tuple(paths)))
    remarks = [
        Problem(path, f"a scan {name}.nii.gz for this mask", "none")
        for (name, _), path in masks.items()
        if name not in images
    ]
    return Survey(scans, LABELS, problems, remarks)


def _files_by_name(folder):
    images, masks, problems = {}, {}, []
    for path in sorted(folder.rglob("*.nii*")):
        found = NAME.fullmatch(path.name)
        if not found or (found["organ"] and int(found["organ"]) not in ORGANS):
            continue
        kind, key = (masks, (found["scan"], int(found["organ"]))) if found["organ"] else (images, found["scan"])
        if key in kind:
            problems.append(Problem(path, "one file of a scan and organ", f"{kind[key]} too", "move one away"))
        kind.setdefault(key, path)
    return images, masks, problems


def _part(path, folder):
    above = reversed(path.relative_to(folder).parent.parts)
    return next((part for name in above for word, part in PARTS.items() if word in name.lower()), None)


DESCRIPTION = Description(
    "visceral",
    "VISCERAL Anatomy, contrast-enhanced CT at 2 mm: 10 organs",
    LABELS,
    LAYOUT,
    "by agreement with the VISCERAL consortium; research only",
    CITATION,
    "https://visceral.eu",
)
SOURCES = (Source(DESCRIPTION, find),)

"""MALC: whole brains of the MICCAI 2012 multi-atlas labelling challenge, from OASIS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from recalib_keras.datasets.folders import first_folder, paired
from recalib_keras.datasets.label_mapping import LabelMapping
from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.scan import Inspection, LabelledScan
from recalib_keras.datasets.source import Description, Source, Survey

ARCHIVE = "MICCAI-2012-Multi-Atlas-Challenge-Data"
PARTS = {"train": "training", "test": "testing"}
LABEL_ENDING = "_glm"  # of the label maps' names

# Neuromorphometrics number: FreeSurfer number and name. The 27 structures of QuickNAT and of the scSE papers, numbered
# like FreeSurfer's so that these scans and automatically labelled ones can be mixed.
STRUCTURES = {
    45: (2, "left cerebral white matter"),
    52: (4, "left lateral ventricle"),
    41: (7, "left cerebellum white matter"),
    39: (8, "left cerebellum cortex"),
    60: (10, "left thalamus"),
    37: (11, "left caudate"),
    58: (12, "left putamen"),
    56: (13, "left pallidum"),
    4: (14, "3rd ventricle"),
    11: (15, "4th ventricle"),
    35: (16, "brain-stem"),
    48: (17, "left hippocampus"),
    32: (18, "left amygdala"),
    62: (28, "left ventral DC"),
    44: (41, "right cerebral white matter"),
    51: (43, "right lateral ventricle"),
    40: (46, "right cerebellum white matter"),
    38: (47, "right cerebellum cortex"),
    59: (49, "right thalamus"),
    36: (50, "right caudate"),
    57: (51, "right putamen"),
    55: (52, "right pallidum"),
    47: (53, "right hippocampus"),
    31: (54, "right amygdala"),
    61: (60, "right ventral DC"),
}
# The parcels of the cortex: even numbers on the right, odd ones on the left.
PARCELS = range(100, 208)
LEFT_CORTEX, RIGHT_CORTEX = (3, "left cerebral cortex"), (42, "right cerebral cortex")

LABELS = {0: "background", **dict(sorted([*STRUCTURES.values(), LEFT_CORTEX, RIGHT_CORTEX]))}

LAYOUT = f"""\
By request from Neuromorphometrics (neuromorphometrics.com, 2012 MICCAI challenge data). Unpacked, the folder (or
{ARCHIVE} within it) holds
  training-images/1000_3.nii.gz, ...      15 T1 scans, 1 mm
  training-labels/1000_3_glm.nii.gz, ...  their label maps, Neuromorphometrics numbers
  testing-images/1003_3.nii.gz, ...       the scans of the test part
  testing-labels/1003_3_glm.nii.gz, ...   their label maps; without this folder, only the training part is used
The 27 structures of the papers are kept, with FreeSurfer's numbers; the parcels of the cortex become one label a side,
and all other structures background."""
CITATION = """\
@proceedings{landman2012miccai,
  title = {MICCAI 2012 Workshop on Multi-Atlas Labeling}, editor = {Landman, Bennett A. and Warfield, Simon K.},
  year = {2012}
}
@article{marcus2007oasis,
  title = {Open Access Series of Imaging Studies (OASIS): cross-sectional MRI data in young, middle aged, nondemented,
           and demented older adults},
  author = {Marcus, Daniel S. and Wang, Tracy H. and Parker, Jamie and Csernansky, John G. and Morris, John C. and
            Buckner, Randy L.},
  journal = {Journal of Cognitive Neuroscience}, volume = {19}, number = {9}, pages = {1498--1507}, year = {2007},
  doi = {10.1162/jocn.2007.19.9.1498}
}"""


@dataclass(frozen=True)
class BrainScan(LabelledScan):
    """A scan whose label map has Neuromorphometrics numbers on disk, and the numbers of `LABELS` when read."""

    def inspect(self) -> Inspection:
        """Reads the scan and its label map; see `LabelledScan.inspect`."""
        image, labels, problems = super().inspect()
        if labels is None:
            return Inspection(image, labels, problems)
        unknown = MAPPING.unknown(labels.array)
        if unknown:
            remedy = "give the label map as it was distributed"
            problem = Problem(self.labels, "Neuromorphometrics numbers", f"{unknown}", remedy)
            return Inspection(image, None, [*problems, problem])
        return Inspection(image, replace(labels, array=MAPPING(labels.array)), problems)


def find(folder: Path) -> Survey:
    """Returns what is in a folder.

    Args:
        folder: Holds `training-images/` and so on, or the archive's own folder with these in it.

    Raises:
        FileNotFoundError: `training-images` or `training-labels` is missing, or holds no scan.
    """
    folder = first_folder(folder / ARCHIVE) or folder
    scans, problems, remarks = [], [], []
    for part, word in PARTS.items():
        labels_folder = folder / f"{word}-labels"
        if part == "test" and not labels_folder.is_dir():
            continue
        found = paired(folder / f"{word}-images", labels_folder, lambda name: name + LABEL_ENDING)
        # 1000_3 is the third label map of patient 1000.
        scans += [BrainScan(name, *files, name.partition("_")[0], part) for name, files in found[0].items()]
        problems += found[1]
        remarks += found[2]
    return Survey(sorted(scans, key=lambda scan: scan.name), LABELS, problems, remarks)


def _mapping():
    """Returns which FreeSurfer number replaces each Neuromorphometrics number; other structures become background."""
    numbers = dict.fromkeys(range(PARCELS.stop), 0)
    numbers |= {number: target for number, (target, _) in STRUCTURES.items()}
    numbers |= {parcel: (LEFT_CORTEX if parcel % 2 else RIGHT_CORTEX)[0] for parcel in PARCELS}
    return LabelMapping(numbers)


MAPPING = _mapping()
DESCRIPTION = Description(
    "malc",
    "OASIS brains of MICCAI 2012, T1: 27 structures",
    LABELS,
    LAYOUT,
    "CC BY-NC 3.0; labels provided by Neuromorphometrics, Inc. under academic subscription, scans from OASIS",
    CITATION,
    "http://www.neuromorphometrics.com/2012_MICCAI_Challenge_Data.html",
)
SOURCES = (Source(DESCRIPTION, find),)

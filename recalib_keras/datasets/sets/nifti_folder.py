"""A user's own scans: images and label maps of the same names."""

from __future__ import annotations

from pathlib import Path

from recalib_keras.datasets.folders import label_names, paired, read_json
from recalib_keras.datasets.scan import LabelledScan
from recalib_keras.datasets.source import Description, Source, Survey

LAYOUT = """\
  FOLDER/images/*.nii.gz  scans (.nii and .mgz too)
  FOLDER/labels/*.nii.gz  label maps of the same names, whole numbers, on the grids of their scans
  FOLDER/labels.json      optional: {"1": "liver", "2": "spleen"} names the label numbers"""


def find(folder: Path, volume: int | None = None) -> Survey:
    """Returns what is in a folder.

    Args:
        folder: Holds `images/` and `labels/`.
        volume: Which volume of 4-D images, counted from 0.

    Raises:
        FileNotFoundError: `images` or `labels` is missing, or holds no scan.
    """
    pairs, problems, remarks = paired(folder / "images", folder / "labels")
    path = folder / "labels.json"
    content, unreadable = read_json(path)
    labels, unnamed = label_names(content, path)
    scans = [LabelledScan(name, *files, volume=volume) for name, files in pairs.items()]
    return Survey(scans, labels, problems, [*remarks, *unreadable, *unnamed])


DESCRIPTION = Description("nifti_folder", "your own scans: images, labels", None, LAYOUT, "yours")
SOURCES = (Source(DESCRIPTION, find, takes_volume=True),)

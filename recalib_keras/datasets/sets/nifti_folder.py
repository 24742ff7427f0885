"""A user's own scans: images and label maps of the same names."""

from __future__ import annotations

from pathlib import Path

from recalib_keras.datasets.folders import channel_names, label_names, labelled_scans, read_json
from recalib_keras.datasets.source import Description, Source, Survey

LAYOUT = """\
  FOLDER/images/*.nii.gz  scans (.nii and .mgz too)
  FOLDER/labels/*.nii.gz  label maps of the same names, whole numbers, on the grids of their scans
  FOLDER/labels.json      optional: {"1": "liver", "2": "spleen"} names the label numbers
Scans of several channels are 4-D, or have a file for each channel, named as in nnU-Net:
  FOLDER/images/x_0000.nii.gz, x_0001.nii.gz, ... beside FOLDER/labels/x.nii.gz
  FOLDER/channels.json    {"0": "FLAIR", "1": "T1w"} names the channels; else a recipe does"""


def find(folder: Path, volume: int | None = None) -> Survey:
    """Returns what is in a folder.

    Args:
        folder: Holds `images/` and `labels/`.
        volume: Which volume of 4-D images, counted from 0.

    Raises:
        FileNotFoundError: `images` or `labels` is missing, or holds no scan.
    """
    named, unread = read_json(folder / "channels.json")
    scans, problems, remarks = labelled_scans(folder / "images", folder / "labels", channel_names(named), volume)
    path = folder / "labels.json"
    content, unreadable = read_json(path)
    labels, unnamed = label_names(content, path)
    return Survey(scans, labels, problems, [*remarks, *unread, *unreadable, *unnamed])


DESCRIPTION = Description("nifti_folder", "your own scans: images, labels", None, LAYOUT, "yours")
SOURCES = (Source(DESCRIPTION, find, takes_volume=True),)

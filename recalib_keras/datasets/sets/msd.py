"""The Medical Segmentation Decathlon, and every folder laid out like it."""

from __future__ import annotations

import functools
from pathlib import Path

from recalib_keras.datasets.folders import channel_names, first_folder, label_names, labelled_scans, read_json
from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.regions import read_regions
from recalib_keras.datasets.source import Description, Source, Survey
from recalib_keras.volumes.names import stem

LAYOUT = """\
Unpack the task's archive (medicaldecathlon.com), or lay your own scans out alike:
  {folder}/imagesTr/*.nii.gz  scans (.nii and .mgz too)
  {folder}/labelsTr/*.nii.gz  label maps of the same names
  {folder}/dataset.json       optional; its "labels" name the label numbers
A folder of nnU-Net is read too: imagesTr/x_0000.nii.gz, x_0001.nii.gz, ... beside labelsTr/x.nii.gz, and regions.
Scans of several channels are 4-D, or have a file for each channel as in nnU-Net; dataset.json names the channels.
imagesTs, which has no labels, and hidden files (._*) are skipped."""
CITATION = """\
@article{antonelli2022decathlon,
  title = {The Medical Segmentation Decathlon},
  author = {Antonelli, Michela and Reinke, Annika and Bakas, Spyridon and others},
  journal = {Nature Communications}, volume = {13}, number = {4128}, year = {2022},
  doi = {10.1038/s41467-022-30695-9}
}"""
LICENCE = "CC BY-SA 4.0"
HOMEPAGE = "http://medicaldecathlon.com"

# Each task's modalities and labels from 1 on, as its dataset.json has them.
TASKS = {
    "Task01_BrainTumour": (("FLAIR", "T1w", "T1gd", "T2w"), ("edema", "non-enhancing tumor", "enhancing tumour")),
    "Task02_Heart": (("MRI",), ("left atrium",)),
    "Task03_Liver": (("CT",), ("liver", "cancer")),
    "Task04_Hippocampus": (("MRI",), ("Anterior", "Posterior")),
    "Task05_Prostate": (("T2", "ADC"), ("PZ", "TZ")),
    "Task06_Lung": (("CT",), ("cancer",)),
    "Task07_Pancreas": (("CT",), ("pancreas", "cancer")),
    "Task08_HepaticVessel": (("CT",), ("Vessel", "Tumour")),
    "Task09_Spleen": (("CT",), ("spleen",)),
    "Task10_Colon": (("CT",), ("colon cancer primaries",)),
}


def find(folder: Path, volume: int | None = None, task: str | None = None) -> Survey:
    """Returns what is in a folder.

    Args:
        folder: Holds `imagesTr/` and `labelsTr/`; for a task, it may also be the folder that holds the task's folder.
        volume: Which volume of 4-D images, counted from 0.
        task: Name of one of the Decathlon's tasks, or None for any folder.

    Raises:
        FileNotFoundError: `imagesTr` or `labelsTr` is missing, or holds no scan.
    """
    folder = first_folder(folder / task) or folder if task else folder
    path = folder / "dataset.json"
    content, unreadable = read_json(path)
    names = channel_names(content.get("modality") or content.get("channel_names")) or (
        dict(enumerate(TASKS[task][0])) if task else {}
    )
    scans, problems, remarks = labelled_scans(folder / "imagesTr", folder / "labelsTr", names, volume)
    numbered, includes, unnested = read_regions(content, path)
    labels, unnamed = label_names(numbered, path)
    if labels is None and task:
        labels = _labels(task)
    known = {scan.name for scan in scans} | {stem(problem.file) for problem in problems}
    remarks += [*unreadable, *unnested, *unnamed, *_missing(content, path, known)]
    return Survey(scans, labels, problems, remarks, includes)


def _missing(content, path, known):
    """Returns a problem for each scan that dataset.json lists and no file holds."""
    entries = content.get("training")
    entries = entries if isinstance(entries, list) else []
    listed = [entry["image"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("image"), str)]
    return [
        Problem(path.parent / name, f"the scan that {path.name} lists", "none", "unpack the archive again")
        for name in listed
        if stem(path.parent / name) not in known
    ]


def _labels(task):
    return dict(enumerate(("background", *TASKS[task][1])))


def _sources():
    own = "Medical Segmentation Decathlon layout, any task: imagesTr, labelsTr, dataset.json"
    layout = LAYOUT.format(folder="FOLDER")
    yield Source(Description("msd", own, None, layout, "that of the scans", CITATION, HOMEPAGE), find, True)
    for task, (modalities, _) in TASKS.items():
        yield _source(task, task, modalities, None)
        for volume, modality in enumerate(modalities) if len(modalities) > 1 else ():
            yield _source(f"{task}_{modality}", task, (modality,), volume)


def _source(name, task, modalities, volume):
    structures = ", ".join(TASKS[task][1])
    title = f"Decathlon {task.replace('_', ' ')}, {' + '.join(modalities)}: {structures}"
    layout = LAYOUT.format(folder=task)
    description = Description(f"msd/{name}", title, _labels(task), layout, LICENCE, CITATION, HOMEPAGE)
    if volume is None:
        return Source(description, functools.partial(find, task=task), takes_volume=True)
    return Source(description, functools.partial(find, task=task, volume=volume))


SOURCES = tuple(_sources())

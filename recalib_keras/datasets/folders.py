"""What lies in a folder of scans: scans and label maps of the same names, and a JSON file of label names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recalib_keras.core.checks import check_text
from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import read_file
from recalib_keras.core.messages import one_line
from recalib_keras.datasets.channels import CaseFiles, with_channel_files, with_volumes
from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.scan import LabelledScan
from recalib_keras.volumes.names import LABEL_SUFFIXES, stem

MOST_DIGITS = 20  # of a label number
ADD, CORRECT = "add it, or take the other file out", "correct the file"

Pairs = dict[str, tuple[Path, Path]]


def paired(
    images_folder: Path, labels_folder: Path, label_name: Callable[[str], str] = str
) -> tuple[Pairs, list[Problem], list[Problem]]:
    """Returns scans with their label maps, by name.

    Hidden files and files that are not scans are skipped.

    Args:
        images_folder: Folder of the scans.
        labels_folder: Folder of the label maps.
        label_name: Turns a scan's name into that of its label map; the same name by default.

    Returns:
        Name to `(image, label map)` in the order of names; problems (a scan without a label map, several files of one
        name); and remarks, which keep no scan from being read (a label map without a scan).

    Raises:
        FileNotFoundError: A folder is missing, or holds no scan.
    """
    images, problems = _by_name(images_folder)
    labels, doubled_labels = _by_name(labels_folder)
    wanted = {label_name(name): name for name in images}
    problems += [problem for problem in doubled_labels if stem(problem.file) in wanted]
    problems += [
        Problem(labels_folder / name, f"a label map for the scan {images[scan]}", "none", ADD)
        for name, scan in wanted.items()
        if name not in labels
    ]
    remarks = [
        Problem(path, f"a scan for this label map in {images_folder}", "none", ADD)
        for name, path in labels.items()
        if name not in wanted
    ]
    pairs = {scan: (images[scan], labels[name]) for name, scan in wanted.items() if name in labels}
    return pairs, problems, remarks


def labelled_scans(
    images_folder: Path, labels_folder: Path, names: Mapping[int, str], volume: int | None = None
) -> tuple[list[LabelledScan], list[Problem], list[Problem]]:
    """Returns the scans of a folder with all of their channels, by name; see `paired` for problems and remarks.

    Args:
        images_folder: Folder of the scans: a file each, 4-D for several channels, or a file for each channel named as
            nnU-Net does.
        labels_folder: Folder of the label maps.
        names: Names of the channels by their numbers; empty if they are not known, or there is one.
        volume: Number of the one channel to take, or None for all.

    Raises:
        FileNotFoundError: A folder is missing, or holds no scan.
    """
    files = CaseFiles.among(_scans(images_folder), {stem(path) for path in _scans(labels_folder)})
    pairs, problems, remarks = paired(images_folder, labels_folder, lambda name: files.names.get(name, name))
    if not files.cases:
        scans = [LabelledScan(name, *found, volume=volume) for name, found in pairs.items()]
        return (scans if volume is not None else with_volumes(scans, names)), problems, remarks
    found = [LabelledScan(files.names.get(name, name), *own) for name, own in pairs.items()]
    if len(files.numbers) == 1:
        scans, lacking = [replace(scan, volume=volume) for scan in found], []
    else:
        scans, lacking = with_channel_files(found, files, names, volume)
    return sorted(scans, key=lambda scan: scan.name), [*problems, *lacking], remarks


def _scans(folder):
    """Returns the files of a folder that can be scans; none if there is no folder."""
    files = visible_files(folder) if folder.is_dir() else []
    return [path for path in files if path.name.lower().endswith(LABEL_SUFFIXES)]


def visible_files(folder: Path) -> list[Path]:
    """Returns the files of a folder that are not hidden, sorted by name.

    macOS puts a hidden `._name` beside each file that it packs, and the Decathlon's archives are full of them.

    Args:
        folder: The folder.
    """
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def first_folder(*candidates: Path) -> Path | None:
    """Returns the first of these paths that is a folder, or None.

    Args:
        *candidates: Paths.
    """
    return next((path for path in candidates if path.is_dir()), None)


def read_json(path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Returns the mapping in a JSON file, empty if there is no such file, and what is wrong with the file.

    Args:
        path: The file.
    """
    if not os.path.lexists(path):
        return {}, []
    try:
        content = json.loads(read_file(path, "a JSON file that can be read", RecordError))
    except RecordError as error:
        return {}, [Problem.of(path, error)]
    except (ValueError, RecursionError) as error:
        return {}, [Problem(path, "a JSON file that can be read", one_line(error), CORRECT)]
    if not isinstance(content, dict):
        return {}, [Problem(path, "a JSON file with a mapping", f"a {type(content).__name__}", CORRECT)]
    return content, []


def channel_names(mapping: Mapping[str, Any]) -> dict[int, str]:
    """Returns the name of each channel by its number, as a JSON file has them: `{"0": "FLAIR", "1": "T1w"}`.

    Args:
        mapping: As read from JSON; anything else than a mapping has no names.
    """
    named = mapping.items() if isinstance(mapping, dict) else ()
    return {int(number): str(name) for number, name in named if str(number).isdecimal()}


def label_names(mapping: Mapping[str, Any] | None, path: Path) -> tuple[dict[int, str] | None, list[Problem]]:
    """Returns number to name, or None if there are no names, and what is wrong with the mapping.

    Both ways of writing are understood: `{"1": "liver"}` (the Decathlon's) and `{"liver": 1}` (nnU-Net's).

    Args:
        mapping: As read from JSON; None if the file has no names.
        path: The file that it was read from.

    Example:
        >>> label_names({"0": "background", "1": "liver"}, "dataset.json")
        ({0: 'background', 1: 'liver'}, [])
        >>> label_names({"background": 0, "liver": 1}, "dataset.json")
        ({0: 'background', 1: 'liver'}, [])
    """
    if not mapping:
        return None, []
    names = {}
    for key, value in mapping.items() if isinstance(mapping, dict) else ():
        if isinstance(value, str) and key.strip().isdecimal() and len(key) < MOST_DIGITS:
            names[int(key)] = value
        elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            names[value] = key
    if not isinstance(mapping, dict) or len(names) != len(mapping):
        expected = 'labels as {"1": "liver", ...}, each number and name once'
        return None, [Problem(path, expected, json.dumps(mapping)[:200], CORRECT)]
    try:
        for name in names.values():
            check_text(name, "the name of a label")
    except RecordError as error:
        return None, [Problem.of(path, error)]
    return {0: "background"} | dict(sorted(names.items())), []


def _by_name(folder):
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of scans at {folder}, got none; give the folder that holds it")
    found, problems = {}, []
    for path in _scans(folder):
        name = stem(path)
        if name in found:
            problems.append(Problem(path, "one file of a name", f"{found[name]} too", "move one away"))
        found.setdefault(name, path)
    if not found:
        raise FileNotFoundError(f"expected scans ({', '.join(LABEL_SUFFIXES)}) in {folder}, got none")
    return found, problems

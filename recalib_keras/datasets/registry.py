"""The known sets, and their scans in a user's folder."""

from __future__ import annotations

import os
from pathlib import Path

from recalib_keras.core.messages import did_you_mean
from recalib_keras.datasets.annotation import unknown_annotations, with_annotations
from recalib_keras.datasets.checking import across
from recalib_keras.datasets.problems import DatasetError
from recalib_keras.datasets.scan import LabelledScan
from recalib_keras.datasets.sets import chaos, duke_dme, malc, msd, nifti_folder, visceral
from recalib_keras.datasets.source import Description, Survey
from recalib_keras.datasets.splitting import with_patients

SOURCES = {
    source.description.name: source
    for module in (msd, malc, visceral, chaos, duke_dme, nifti_folder)
    for source in module.SOURCES
}


def names() -> tuple[str, ...]:
    """Returns the names of all sets, as `find_scans` takes them: `"msd"`, …, `"chaos/ct"`, …, `"nifti_folder"`."""
    return tuple(SOURCES)


def describe(dataset: str) -> Description:
    """Returns the description of a set: title, label names, expected files, licence, citation.

    Args:
        dataset: One of `names()`.

    Raises:
        ValueError: The set is unknown.

    Example:
        >>> describe("chaos/ct").labels
        {0: 'background', 1: 'liver'}
    """
    return _source(dataset).description


def survey(folder: str | os.PathLike, dataset: str = "msd", volume: int | None = None) -> Survey:
    """Returns the labelled scans in a folder, and everything that is wrong with the files' names.

    Args:
        folder: Holds the set's files; see `describe(dataset).layout`.
        dataset: One of `names()`.
        volume: Which volume of 4-D images, or which channel, to take, counted from 0; None for 3-D images, and for all
            channels of a set that has several.

    Raises:
        FileNotFoundError: The folder does not hold this set at all.
        ValueError: The set is unknown; or `volume` is given for a set of 3-D images.
    """
    source, folder = _source(dataset), Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of scans at {folder}, got none; check the path")
    if volume is not None and not source.takes_volume:
        raise ValueError(
            f"expected no volume for {dataset!r}, whose images are read as 3-D, got {volume}; leave it out"
        )
    found = source.find(folder, volume=volume) if source.takes_volume else source.find(folder)
    found = with_annotations(with_patients(found, folder), folder)
    return found._replace(problems=[*found.problems, *across(found.scans), *unknown_annotations(found, folder)])


def find_scans(folder: str | os.PathLike, dataset: str = "msd", volume: int | None = None) -> list[LabelledScan]:
    """Returns the labelled scans of a folder, sorted by name.

    Reads names, and headers at most; `check` reads the scans themselves.

    Args:
        folder: Holds the set's files; see `describe(dataset).layout`.
        dataset: One of `names()`.
        volume: See `survey`.

    Raises:
        DatasetError: Files do not fit each other: a scan without a label map, two files of one name. Lists all.
        FileNotFoundError: The folder does not hold this set at all.
        ValueError: See `survey`.
    """
    found = survey(folder, dataset, volume)
    if found.problems:
        raise DatasetError(found.problems)
    return found.scans


def _source(dataset):
    if dataset not in SOURCES:
        hint = did_you_mean(dataset, SOURCES, otherwise=f"known sets: {', '.join(SOURCES)}", cutoff=0.4)
        raise ValueError(f"expected the name of a set of scans, got {dataset!r}; {hint}")
    return SOURCES[dataset]

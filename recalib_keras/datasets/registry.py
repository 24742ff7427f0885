"""The sets that are known, and their scans in a user's folder."""

import difflib
from pathlib import Path

from recalib_keras.datasets.checking import across
from recalib_keras.datasets.patients import with_patients
from recalib_keras.datasets.problems import DatasetError
from recalib_keras.datasets.sets import chaos, duke_dme, malc, msd, nifti_folder, visceral

SOURCES = {
    source.description.name: source
    for module in (msd, malc, visceral, chaos, duke_dme, nifti_folder)
    for source in module.SOURCES
}


def names():
    """Returns the names of all sets, as `find_scans` takes them: `"msd"`, …, `"chaos/ct"`, …, `"nifti_folder"`."""
    return tuple(SOURCES)


def describe(dataset):
    """Returns the `Description` of a set: title, label names, expected files, licence, citation.

    Raises:
        ValueError: there is no such set.

    >>> describe("chaos/ct").labels
    {0: 'background', 1: 'liver'}
    """
    return _source(dataset).description


def survey(folder, dataset="msd", volume=None):
    """Returns a `Survey`: the labelled scans in a folder and all that is wrong with the files' names.

    Args:
        folder: path that holds the set's files, see `describe(dataset).layout`.
        dataset: one of `names()`.
        volume: which volume of 4-D images to take, counted from 0; None for 3-D images.

    Raises:
        FileNotFoundError: the folder is not of this set at all.
        ValueError: there is no such set, or `volume` is given for a set that has none to choose from, or not given
            where one must be chosen.
    """
    source, folder = _source(dataset), Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of scans at {folder}, got none; check the path")
    if volume is not None and not source.takes_volume:
        raise ValueError(f"expected no volume for {dataset!r}, whose images are 3-D as they are read, got {volume}")
    found = source.find(folder, volume=volume) if source.takes_volume else source.find(folder)
    found = with_patients(found, folder)
    return found._replace(problems=[*found.problems, *across(found.scans)])


def find_scans(folder, dataset="msd", volume=None):
    """Returns the labelled scans of a folder, a list of `LabelledScan` sorted by name.

    Reads names, and headers at most; `check` reads the scans themselves.

    Args:
        folder, dataset, volume: see `survey`.

    Raises:
        DatasetError: names do not fit: a scan without a label map, two files of one name (all are told).
        FileNotFoundError, ValueError: see `survey`.
    """
    found = survey(folder, dataset, volume)
    if found.problems:
        raise DatasetError(found.problems)
    return found.scans


def _source(dataset):
    if dataset not in SOURCES:
        near = difflib.get_close_matches(str(dataset), SOURCES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(SOURCES)}"
        raise ValueError(f"expected the name of a set of scans, got {dataset!r}; {hint}")
    return SOURCES[dataset]

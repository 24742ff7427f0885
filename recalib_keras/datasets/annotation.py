"""What was looked for in each scan: a label map without a structure need not mean that the scan shows none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from recalib_keras.core.checks import shown
from recalib_keras.core.messages import listed
from recalib_keras.datasets.folders import CORRECT, read_json
from recalib_keras.datasets.problems import Problem
from recalib_keras.datasets.source import Survey

TABLE = "annotated.json"
IGNORE = "ignore"  # nnU-Net's name of the label of voxels that nobody looked at
LAYOUT = f"""\
  FOLDER/{TABLE}   optional: {{"scan_1": [1, 2], "scan_2": [1]}}: the label numbers that were looked for in each
                          scan; any other structure is unknown there, not absent"""


def with_annotations(survey: Survey, folder: Path) -> Survey:
    """Returns a survey whose scans know which labels were looked for, and which label means that nobody looked.

    The table, `annotated.json`, has the numbers for every scan of the set by its name; names of other scans do no harm.
    A column `annotated` in `scans.csv` says the same. A label with the name `ignore` marks voxels that nobody looked
    at, as in nnU-Net.

    Args:
        survey: What was found in the folder.
        folder: The folder.
    """
    ignore = next((number for number, name in (survey.labels or {}).items() if name == IGNORE), None)
    scans = [dataclasses.replace(scan, ignore=ignore) for scan in survey.scans] if ignore else survey.scans
    path = folder / TABLE
    content, problems = read_json(path)
    if not path.exists():
        return survey._replace(scans=scans)
    annotated = [content.get(scan.name) for scan in scans]
    if not problems:
        problems = [
            Problem(
                path, f"a list of label numbers for {scan.name}", "none" if numbers is None else shown(numbers), CORRECT
            )
            for scan, numbers in zip(scans, annotated)
            if not _is_numbers(numbers)
        ]
    if not problems:
        sorted_numbers = [tuple(sorted(numbers)) for numbers in annotated]
        problems = [
            Problem(path, f"{list(scan.annotated)} for {scan.name}, as in scans.csv", f"{list(numbers)}", CORRECT)
            for scan, numbers in zip(scans, sorted_numbers)
            if scan.annotated not in (None, numbers)
        ]
        scans = [dataclasses.replace(scan, annotated=numbers) for scan, numbers in zip(scans, sorted_numbers)]
    return survey._replace(scans=scans, problems=[*survey.problems, *problems])


def unknown_annotations(survey: Survey, folder: Path) -> list[Problem]:
    """Returns a problem for each scan in which a label was looked for that the set does not have.

    Args:
        survey: What was found in the folder.
        folder: The folder.
    """
    if survey.labels is None:
        return []
    unknown = {scan.name: sorted({*(scan.annotated or ())} - {*survey.labels}) for scan in survey.scans}
    path = folder / TABLE if (folder / TABLE).exists() else folder
    expected = f"labels of the set that were looked for, {listed(sorted(survey.labels))}"
    return [
        Problem(path, f"{expected}, for {name}", f"{numbers} too", CORRECT)
        for name, numbers in unknown.items()
        if numbers
    ]


def _is_numbers(value):
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)

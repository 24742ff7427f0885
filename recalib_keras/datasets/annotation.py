"""What was looked for in each scan: a label map without a structure need not mean that the scan shows none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from recalib_keras.core.checks import shown
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
        scans = [dataclasses.replace(scan, annotated=tuple(sorted(numbers))) for scan, numbers in zip(scans, annotated)]
    return survey._replace(scans=scans, problems=[*survey.problems, *problems])


def _is_numbers(value):
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)

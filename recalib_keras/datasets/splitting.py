"""Which patients train and which validate: the user's table of scans, and the split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.core.messages import listed
from recalib_keras.core.tables import TableError, read_csv
from recalib_keras.datasets.problems import Problem

if TYPE_CHECKING:
    from recalib_keras.datasets.scan import LabelledScan
    from recalib_keras.datasets.source import Survey

TABLE = "scans.csv"
COLUMNS = ("name", "patient", "part", "annotated")
PARTS = ("train", "test", "")


def split(
    scans: Sequence[LabelledScan], every: int, held_out: Sequence[str] = ()
) -> tuple[list[LabelledScan], list[LabelledScan]]:
    """Returns training and validation scans: of the patients in order, every `every`-th validates, from the first.

    All scans of a patient stay together. If a set has an official split, its test scans are in neither list. They are
    kept for the end: `[scan for scan in scans if scan.part == "test"]`.

    Args:
        scans: As sorted by `find_scans`.
        every: At least 1; 1 puts all patients into validation.
        held_out: Names of the patients that validate instead; or names of scans, which bring all scans of their
            patient; or patterns of names such as `"site_2_*"`.

    Returns:
        Training scans and validation scans, in the order of `scans`.

    Raises:
        ValueError: `every` is below 1, or no patient and no scan has one of the names in `held_out`.

    Example:
        >>> from recalib_keras.datasets import LabelledScan
        >>> scans = [LabelledScan(name, "image", "labels", patient=name[0]) for name in ("a", "b1", "b2", "c")]
        >>> [[scan.name for scan in part] for part in split(scans, every=2)]
        [['b1', 'b2'], ['a', 'c']]
    """
    if every < 1:
        raise ValueError(f"expected every 1st, 2nd, … patient for validation, got every={every}; give at least 1")
    scans = [scan for scan in scans if scan.part != "test"]
    patients = list(dict.fromkeys(scan.patient for scan in scans))
    chosen = _named(scans, held_out) if held_out else set(patients[::every])
    return (
        [scan for scan in scans if scan.patient not in chosen],
        [scan for scan in scans if scan.patient in chosen],
    )


def _named(scans, patterns):
    """Returns the patients that patterns name, by their own name or that of one of their scans."""
    chosen = set()
    for pattern in patterns:
        found = {scan.patient for scan in scans for name in (scan.patient, scan.name) if fnmatchcase(name, pattern)}
        if not found:
            known = ", ".join(dict.fromkeys(name for scan in scans for name in (scan.patient, scan.name)))
            raise ValueError(f"expected patients or scans to hold out by the name {pattern!r}, got {known}")
        chosen |= found
    return chosen


def with_patients(survey: Survey, folder: Path) -> Survey:
    """Returns a survey whose scans have the patients and parts that a table in the folder gives them.

    The table, `scans.csv`, has the columns `name` (of the scan), `patient`, and optionally `part` (`train`, `test` or
    empty) and `annotated` (the numbers of the labels that were looked for, with blanks between; empty for all). Scans
    that it does not name stay as they are. With an invalid table no scan is used: scans of one patient could then lie
    on both sides of a split.

    Args:
        survey: What was found in the folder.
        folder: The folder.
    """
    path = folder / TABLE
    if not path.is_file():
        return survey
    rows, problems = _rows(path)
    known = {scan.name for scan in survey.scans}
    problems += [
        Problem(path, f"names of scans in {folder}", repr(name), "correct it or remove its line")
        for name in rows
        if name not in known
    ]
    scans = [dataclasses.replace(scan, **rows.get(scan.name, {})) for scan in survey.scans]
    return survey._replace(scans=scans, problems=[*survey.problems, *problems])


def _rows(path):
    """Returns what to change of each scan, by name, and a list of problems."""
    rows, problems = {}, []
    what = "the columns name, patient and, optionally, part and annotated"
    try:
        table = read_csv(path, COLUMNS[:2], what, allow_short_rows=True)
    except TableError as error:
        return {}, [Problem.of(path, error)]
    if not {*table.columns} <= {*COLUMNS}:
        return {}, [Problem(path, what, listed(table.columns), "rename or remove the other columns")]
    for number, row in zip(table.numbers, table.rows):
        name, patient, part, annotated = (row.get(column, "").strip() for column in COLUMNS)
        numbers = annotated.split()
        is_annotated = all(text.isdecimal() for text in numbers)
        if not name or not patient or part not in PARTS or name in rows or not is_annotated:
            expected = "a unique name, a patient, train, test or no part, and label numbers in the column annotated"
            problems.append(Problem(path, expected, f"{row} in line {number}", "correct the line or remove it"))
        rows[name] = {"patient": patient or name} | ({"part": part or None} if "part" in row else {})
        if numbers and is_annotated:
            rows[name]["annotated"] = tuple(sorted(map(int, numbers)))
    return rows, problems

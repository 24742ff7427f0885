"""Whose scan is whose: what a user's own table says of a folder's scans."""

import csv
import dataclasses

from recalib_keras.core.messages import one_line
from recalib_keras.datasets.problems import Problem

TABLE = "scans.csv"
COLUMNS = ("name", "patient", "part")
PARTS = ("train", "test", "")


def with_patients(survey, folder):
    """Returns a survey whose scans have the patients and parts that a table in the folder tells.

    The table, `scans.csv`, has the columns `name` (of the scan), `patient`, and if wanted `part` (`train`, `test` or
    empty). Scans that it does not name stay as they are. A table that is wrong keeps scans from being used, since
    scans of one patient might then stand on both sides of a split.

    Args:
        survey: `Survey`.
        folder: `pathlib.Path`.
    """
    path = folder / TABLE
    if not path.is_file():
        return survey
    rows, problems = _rows(path)
    known = {scan.name for scan in survey.scans}
    problems += [
        Problem(path, f"names of scans in {folder}", f"{name!r}; correct it or take the line out")
        for name in rows
        if name not in known
    ]
    scans = [dataclasses.replace(scan, **rows.get(scan.name, {})) for scan in survey.scans]
    return survey._replace(scans=scans, problems=[*survey.problems, *problems])


def _rows(path):
    """Returns what to change of each scan, by name, and a list of problems."""
    rows, problems = {}, []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        return {}, [Problem(path, "a table of comma-separated values", one_line(error))]
    if table and not {"name", "patient"} <= table[0].keys() <= {*COLUMNS}:
        return {}, [Problem(path, "the columns name, patient and, if wanted, part", ", ".join(map(str, table[0])))]
    for number, row in enumerate(table, start=2):
        name, patient, part = ((row.get(column) or "").strip() for column in COLUMNS)
        if not name or not patient or part not in PARTS or name in rows:
            problems.append(
                Problem(path, "a name of its own, a patient, and train, test or no part", f"{row} in line {number}")
            )
        rows[name] = {"patient": patient or name} | ({"part": part or None} if "part" in row else {})
    return rows, problems

"""The measures of all scans and structures, their summary, and both as tables on disk."""

import math
import os
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from recalib_keras.core.tables import TableError, read_csv, write_csv
from recalib_keras.evaluation.measures import MEASURES, NAN, Measures

MEAN = "mean of structures"
DECIMALS = 6  # a thousandth of a micrometre, a millionth of a Dice
IDENTITY = ("scan", "structure", "label")
STORED = tuple(each.name for each in fields(Measures))
DERIVED = ("volume_difference_mm3", "relative_volume_difference")
COLUMNS = (*IDENTITY, "found_in", *STORED, *DERIVED)
SUMMARY_COLUMNS = ("structure", "label", "measure", "mean", "sd", "median", "scans", "missed", "spurious")
WHAT = "a table as `recalib evaluate -o` writes it"
NEEDED = ("truth_mm3", "prediction_mm3")  # cells that are never empty
MOST = {"dice": 1.0, "jaccard": 1.0}


@dataclass(frozen=True)
class Row:
    """The measures of one structure in one scan.

    Args:
        scan: Name of the scan.
        structure: Name of the structure.
        label: Number of the structure.
        measures: How well it was segmented.
        extra: Further columns that a user added to the table: texts by name of the column.
    """

    scan: str
    structure: str
    label: int
    measures: Measures
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Report:
    """How well each structure was segmented in each scan.

    A structure without a row for a scan counts as in neither the ground truth nor the prediction of that scan.

    Args:
        rows: Rows, at most one for each scan and structure.

    Example:
        >>> report = Report((Row("a", "liver", 6, Measures(dice=0.5)), Row("b", "liver", 6, Measures(dice=0.75))))
        >>> report.values("dice").tolist()
        [[0.5], [0.75]]
    """

    rows: tuple[Row, ...]

    @property
    def scans(self) -> list[str]:
        """The names of the scans, in the order of the rows."""
        return list(dict.fromkeys(row.scan for row in self.rows))

    @property
    def labels(self) -> dict[str, int]:
        """The number of each structure by its name, sorted by number."""
        return dict(sorted({row.structure: row.label for row in self.rows}.items(), key=lambda item: item[1]))

    @property
    def structures(self) -> list[str]:
        """The names of the structures, sorted by their numbers."""
        return list(self.labels)

    def values(self, measure: str) -> np.ndarray:
        """Returns the values of a measure as `(scans, structures)`, NaN where there is none.

        Args:
            measure: One of `recalib_keras.evaluation.MEASURES`, or another attribute of `Measures`.
        """
        scans, structures = ({name: i for i, name in enumerate(names)} for names in (self.scans, self.structures))
        values = np.full((len(scans), len(structures)), NAN)
        for row in self.rows:
            values[scans[row.scan], structures[row.structure]] = getattr(row.measures, measure)
        return values

    def scan_means(self, measure: str) -> np.ndarray:
        """Returns for each scan the mean over its structures, without those that have no value.

        Args:
            measure: See `values`.
        """
        return mean_over_structures(self.values(measure))

    def counts(self, found_in: str) -> dict[str, int]:
        """Returns for each structure the number of scans in which it is found as given.

        Args:
            found_in: A value of `Measures.found_in`, such as `"truth only"`.
        """
        return {
            structure: sum(row.structure == structure and row.measures.found_in == found_in for row in self.rows)
            for structure in self.structures
        }

    def write(self, path: str | os.PathLike) -> Path:
        """Writes the report as CSV, a row for each scan and structure, an empty cell where there is no value.

        Args:
            path: The file to create or replace. Missing parent folders are created.

        Returns:
            `path` as a `Path`.

        Raises:
            WriteError: If the file cannot be written.
        """
        extra = list(dict.fromkeys(name for row in self.rows for name in row.extra))
        rows = [
            (
                *(row.scan, row.structure, row.label),
                *(getattr(row.measures, column) for column in COLUMNS[len(IDENTITY) :]),
                *(row.extra.get(name, "") for name in extra),
            )
            for row in self.rows
        ]
        return write_csv(path, [*COLUMNS, *extra], rows, DECIMALS)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Report":
        """Returns the report in a CSV file that `write` made. Columns that a user added are kept.

        Args:
            path: The file.

        Raises:
            TableError: If it cannot be read, lacks a column, has no rows, has a scan and structure twice, or has a
                value outside the range of its measure.
        """
        table = read_csv(path, (*IDENTITY, *STORED), WHAT)
        rows = tuple(_row(cells, path, number) for cells, number in zip(table.rows, table.numbers))
        if not rows:
            raise TableError(file=path, expected=WHAT, received="one without rows", remedy="evaluate the scans again")
        (key, count), *_ = Counter((row.scan, row.structure) for row in rows).most_common(1)
        if count > 1:
            received = f"{key[0]}, {key[1]} {count} times"
            raise TableError(
                file=path, expected="each scan and structure once", received=received, remedy="remove all rows but one"
            )
        return cls(rows)


@dataclass(frozen=True)
class Summary:
    """One measure of one structure over all scans.

    Args:
        structure: Name of the structure, or `"mean of structures"` for the mean over the structures of each scan.
        label: Number of the structure; None for the mean of structures.
        measure: One of `recalib_keras.evaluation.MEASURES`.
        mean: Mean over the scans that have a value; NaN without any.
        sd: Standard deviation of a sample (divided by n - 1) over these scans; NaN for fewer than two.
        median: Median over these scans; NaN without any.
        scans: Number of these scans.
        missed: Number of scans in which only the ground truth has the structure.
        spurious: Number of scans in which only the prediction has the structure.
    """

    structure: str
    label: int | None
    measure: str
    mean: float
    sd: float
    median: float
    scans: int
    missed: int
    spurious: int


def summarize(report: Report) -> list[Summary]:
    """Returns a `Summary` for each structure and for the mean of structures, and each of `MEASURES`.

    Args:
        report: The report.
    """
    missed, spurious = report.counts("truth only"), report.counts("prediction only")
    summaries = []
    for measure in MEASURES:
        values = report.values(measure)
        for (structure, label), of_structure in zip(report.labels.items(), values.T):
            counts = missed[structure], spurious[structure]
            summaries.append(Summary(structure, label, measure, *_statistics(of_structure), *counts))
        counts = sum(missed.values()), sum(spurious.values())
        summaries.append(Summary(MEAN, None, measure, *_statistics(report.scan_means(measure)), *counts))
    order = {structure: index for index, structure in enumerate([*report.structures, MEAN])}
    return sorted(summaries, key=lambda summary: order[summary.structure])


def write_summary(report: Report, path: str | os.PathLike) -> Path:
    """Writes the summary of a report as CSV, a row for each structure and measure.

    Args:
        report: The report.
        path: The file to create or replace. Missing parent folders are created.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: If the file cannot be written.
    """
    rows = [[getattr(summary, column) for column in SUMMARY_COLUMNS] for summary in summarize(report)]
    return write_csv(path, SUMMARY_COLUMNS, rows, DECIMALS)


def mean_over_structures(values: np.ndarray) -> np.ndarray:
    """Returns the mean of each row of an array, without NaN; NaN for a row without numbers.

    Args:
        values: Array `(scans, structures)`.
    """
    return np.ma.masked_invalid(values).mean(axis=1).filled(NAN)


def _statistics(values: np.ndarray) -> tuple[float, float, float, int]:
    """Returns mean, deviation, median and number of the values that are not NaN."""
    known = values[~np.isnan(values)].tolist()
    if not known:
        return NAN, NAN, NAN, 0
    deviation = statistics.stdev(known) if len(known) > 1 else NAN
    return statistics.fmean(known), deviation, statistics.median(known), len(known)


def _row(cells, path, number):
    """Returns the row of a report from the cells of a table's row."""

    def value_error(column, expected):
        return TableError(
            file=path,
            expected=f"{expected} in column {column}",
            received=f"{cells[column]!r} in row {number}",
            remedy="correct the cell",
        )

    try:
        label = int(cells["label"])
    except ValueError:
        raise value_error("label", "a whole number") from None
    values = {}
    for column in STORED:
        try:
            values[column] = _value(cells[column], column)
        except ValueError as error:
            raise value_error(column, error) from None
    extra = {name: cell for name, cell in cells.items() if name not in COLUMNS}
    return Row(cells["scan"], cells["structure"], label, Measures(**values), extra)


def _value(cell, column):
    """Returns the number in a cell, NaN for an empty one; raises what was expected as a ValueError."""
    most = MOST.get(column, math.inf)
    expected = "a number from 0 to 1" if most == 1 else "a number of at least 0"
    if column not in NEEDED:
        expected += " or an empty cell"
        if cell.strip().lower() in ("", "nan"):
            return NAN
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(expected) from None
    if not (math.isfinite(value) and 0 <= value <= most):
        raise ValueError(expected)
    return value

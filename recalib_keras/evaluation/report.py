"""The measures of all scans and structures, and their table on disk."""

import csv
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from recalib_keras.evaluation.measures import NAN, Measures
from recalib_keras.evaluation.tables import write_table

STORED = tuple(field.name for field in fields(Measures))
DERIVED = ("volume_difference_mm3", "relative_volume_difference")
COLUMNS = ("scan", "structure", "label", "found_in", *STORED, *DERIVED)


@dataclass(frozen=True)
class Row:
    """The measures of one structure in one scan."""

    scan: str
    structure: str
    label: int
    measures: Measures


@dataclass(frozen=True)
class Report:
    """How well each structure was segmented in each scan.

    A structure that a scan has no row for counts as found neither in its truth nor in its prediction.

    Args:
        rows: tuple of `Row`, each scan and structure at most once.

    >>> report = Report((Row("a", "liver", 6, Measures(dice=0.5)), Row("b", "liver", 6, Measures(dice=0.75))))
    >>> report.values("dice").tolist()
    [[0.5], [0.75]]
    """

    rows: tuple[Row, ...]

    @property
    def scans(self):
        """The names of the scans, in the order of the rows."""
        return list(dict.fromkeys(row.scan for row in self.rows))

    @property
    def labels(self):
        """The number of each structure by its name, sorted by number."""
        return dict(sorted({row.structure: row.label for row in self.rows}.items(), key=lambda item: item[1]))

    @property
    def structures(self):
        """The names of the structures, sorted by their numbers."""
        return list(self.labels)

    def values(self, measure):
        """Returns one of `recalib_keras.evaluation.MEASURES` as `(scans, structures)`, NaN where it has no value."""
        scans, structures = ({name: i for i, name in enumerate(names)} for names in (self.scans, self.structures))
        values = np.full((len(scans), len(structures)), NAN)
        for row in self.rows:
            values[scans[row.scan], structures[row.structure]] = getattr(row.measures, measure)
        return values

    def scan_means(self, measure):
        """Returns for each scan the mean over its structures, those without a value left out."""
        return mean_over_structures(self.values(measure))

    def counts(self, found_in):
        """Returns for each structure the number of scans where it is found as told: `"truth only"` and the like."""
        return {
            structure: sum(row.structure == structure and row.measures.found_in == found_in for row in self.rows)
            for structure in self.structures
        }

    def write(self, path):
        """Writes the report as CSV, a row for each scan and structure, an empty cell where there is no value."""
        rows = [
            (row.scan, row.structure, row.label, *(getattr(row.measures, column) for column in COLUMNS[3:]))
            for row in self.rows
        ]
        return write_table(path, COLUMNS, rows)

    @classmethod
    def read(cls, path):
        """Returns the report in a CSV file that `write` made.

        Raises:
            ValueError: if there is no such file, it is no such table, is empty, or has a scan and structure twice.
        """
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                table = csv.DictReader(file)
                missing = [column for column in ("scan", "structure", "label", *STORED) if column not in _names(table)]
                if missing:
                    raise ValueError(f"no column {', '.join(missing)}")
                rows = tuple(_row(cells) for cells in table)
        except FileNotFoundError:
            raise ValueError(f"{path}: expected a table as `recalib evaluate -o` writes it, got no such file") from None
        except (ValueError, TypeError, csv.Error) as error:
            raise ValueError(f"{path}: expected a table as `recalib evaluate -o` writes it, got {error}") from None
        if not rows:
            raise ValueError(f"{path}: expected a table as `recalib evaluate -o` writes it, got one without rows")
        (key, count), *_ = Counter((row.scan, row.structure) for row in rows).most_common(1)
        if count > 1:
            raise ValueError(f"{path}: expected each scan and structure once, got {key[0]}, {key[1]} {count} times")
        return cls(rows)


def mean_over_structures(values):
    """Returns the mean of each row of an array, NaN left out; NaN for a row of nothing else."""
    return np.ma.masked_invalid(values).mean(axis=1).filled(NAN)


def _names(table):
    return table.fieldnames or ()


def _row(cells):
    if None in cells.values():
        raise ValueError(f"a row with too few cells, that of {cells['scan']}")
    is_needed = ("truth_mm3", "prediction_mm3")
    measures = {name: float(cells[name] if name in is_needed else cells[name] or "nan") for name in STORED}
    return Row(cells["scan"], cells["structure"], int(cells["label"]), Measures(**measures))

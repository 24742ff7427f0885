"""Write tables as CSV."""

import csv
import math

from recalib_keras.core.files import atomic_write

DECIMALS = 6  # a thousandth of a micrometre, a millionth of a Dice …
DIGITS, SMALL = 4, 1e-3  # … and of small p-values the leading ones


def write_table(path, columns, rows):
    """Writes a table as CSV, wholly or not at all; returns its path.

    Args:
        path: missing parent folders are made.
        columns: names.
        rows: sequences of cells. Numbers are rounded to 6 decimals, those below 0.001 to 4 digits; NaN becomes an
            empty cell, which spreadsheets, R and pandas read as a missing value.
    """

    def write(temporary):
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *([_cell(value) for value in row] for row in rows)])

    return atomic_write(path, write)


def _cell(value):
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return ""
    return round(value, DECIMALS) if abs(value) >= SMALL else float(f"{value:.{DIGITS}g}")

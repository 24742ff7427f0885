r"""Read and write tables as CSV files, by one set of rules.

A table is UTF-8 text: a line of column names, then a line for each row, with commas between the cells.

- Spreadsheets run a cell that begins with `=`, `+`, `-` or `@` as a formula. Text of this kind gets an apostrophe in
  front, as OWASP recommends. Numbers stay as they are.
- Control characters in text, such as a line break in the name of a scan, are written as `\x0a`. So are the bytes of a
  file name that is not valid UTF-8, as `\udcff`.
- Reading undoes both, so that names match again.

Reference: OWASP, "CSV injection", https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recalib_keras.core.checks import repeated
from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import atomic_write, read_file
from recalib_keras.core.messages import listed

DIGITS, SMALL = 4, 1e-3  # of numbers closer to 0, such as p-values, the leading digits count
# The full-width forms count too: spreadsheets in some languages take them for the plain ones.
_FORMULA = re.compile(r"'*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?%?", re.IGNORECASE | re.ASCII)
_CODE = r"(?:x[01][0-9a-f]|x5c|x7f|x[89][0-9a-f]|udc[89a-f][0-9a-f])"
_TO_ESCAPE = re.compile(rf"[\x00-\x1f\x7f-\x9f\udc80-\udcff]|\\(?={_CODE})")
_ESCAPED = re.compile(rf"\\{_CODE}")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
MOST_OF_CELL = 40  # letters of a cell that a message shows
SAVE_AS_UTF_8 = "save it as 'CSV UTF-8'"


class TableError(RecordError):
    """A CSV file cannot be read as the table it should be."""


@dataclass(frozen=True)
class Table:
    """The content of a CSV file.

    Args:
        columns: Names of the columns.
        rows: Texts of the cells of each row, by column. Lines without any text are not rows.
        numbers: Number of each row as a spreadsheet shows it; the names of the columns are row 1.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    numbers: tuple[int, ...]


def write_csv(
    path: str | os.PathLike,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    decimals: int | None = None,
) -> Path:
    """Writes a table as CSV, atomically.

    Args:
        path: The file to create or replace. Missing parent folders are created.
        columns: Names of the columns.
        rows: Cells of each row. NaN and None become empty cells, which spreadsheets, R and pandas read as missing.
        decimals: Decimals that floats are rounded to, those below 0.001 to 4 digits instead; None to not round.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: If the file cannot be written.
    """
    return _write(path, columns, rows, decimals, "excel")


def write_tsv(path: str | os.PathLike, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Path:
    """Writes a table as BIDS has it, with tabs between the cells; all else as `write_csv`.

    Args:
        path: The file to create or replace. Missing parent folders are created.
        columns: Names of the columns.
        rows: Cells of each row. BIDS writes `n/a` for what is missing.

    Returns:
        `path` as a `Path`.

    Raises:
        WriteError: If the file cannot be written.
    """
    return _write(path, columns, rows, None, _Tabs)


class _Tabs(csv.excel_tab):
    lineterminator = "\n"


def _write(
    path: str | os.PathLike,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    decimals: int | None,
    dialect: str | type[csv.Dialect],
) -> Path:
    lines = [[as_cell(name) for name in columns], *([as_cell(value, decimals) for value in row] for row in rows)]

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, dialect).writerows(lines)

    return atomic_write(path, write)


def as_cell(value: object, decimals: int | None = None) -> object:
    r"""Returns a value as a CSV file holds it; see `write_csv`.

    Example:
        >>> as_cell("=1+1"), as_cell(-1), as_cell("-1"), as_cell("two\nlines")
        ("'=1+1", -1, '-1', 'two\\x0alines')
    """
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if decimals is None:
            return value
        return round(value, decimals) if abs(value) >= SMALL else float(f"{value:.{DIGITS}g}")
    if value is None or isinstance(value, int):
        return value
    text = _TO_ESCAPE.sub(lambda found: _code(ord(found[0])), str(value))
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _code(character: int) -> str:
    return f"\\x{character:02x}" if character < 256 else f"\\u{character:04x}"


def from_cell(text: str) -> str:
    """Returns the text that `as_cell` made a cell of.

    Example:
        >>> from_cell("'=1+1"), from_cell("'tis")
        ('=1+1', "'tis")
    """
    if text.startswith("'") and _FORMULA.match(text):
        text = text[1:]
    return _ESCAPED.sub(lambda found: chr(int(found[0][2:], 16)), text)


def read_csv(
    path: str | os.PathLike, needed: Sequence[str] = (), what: str = "a table", allow_short_rows: bool = False
) -> Table:
    """Returns the table in a CSV file, all columns and all rows of it.

    Args:
        path: The file.
        needed: Names of columns that the table must have. Others are read too.
        what: What the file should be, for messages.
        allow_short_rows: Whether a row may have fewer cells than there are columns; those missing are then empty.

    Raises:
        TableError: If the file cannot be read, is not in UTF-8, lacks a column, has two columns of one name, or has a
            row with too few or too many cells.
    """
    path = Path(path)
    lines = _lines(path, what)
    _, names = next(lines, (1, []))
    while names and not names[-1]:  # spreadsheets leave empty columns at the end
        names.pop()
    _check_columns(names, needed, path, what)
    rows, numbers = [], []
    for number, cells in lines:
        surplus = len(cells) > len(names) and any(cells[len(names) :])
        if surplus or (len(cells) < len(names) and not allow_short_rows):
            received = f"{len(cells)} cells in row {number} for {len(names)} columns"
            raise TableError(file=path, expected=what, received=received, remedy="correct the row")
        rows.append(dict.fromkeys(names, "") | dict(zip(names, cells)))
        numbers.append(number)
    return Table(tuple(names), tuple(rows), tuple(numbers))


def _lines(path: Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yields number and cells of each line that has any text."""
    reader = csv.reader(io.StringIO(_text(path, what), newline=""), strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if any(cells):
                yield number, [from_cell(cell) for cell in cells]
    except csv.Error as error:
        received = f"an error in row {number + 1}: {error}"
        raise TableError(file=path, expected=what, received=received, remedy="correct the row") from None


def _text(path: Path, what: str) -> str:
    """Returns the text of a file; one that is a pipe, or not in UTF-8, is refused."""

    def refused(received: str, remedy: str) -> TableError:
        return TableError(file=path, expected=what, received=received, remedy=remedy)

    content = read_file(path, what, TableError)
    if content.startswith(_UTF_16):
        raise refused("text in UTF-16", SAVE_AS_UTF_8)
    if b"\0" in content:
        raise refused("a file with NUL bytes (UTF-16, or no text at all)", SAVE_AS_UTF_8)
    try:
        return content.decode("utf-8-sig")  # Excel begins its files with a mark
    except UnicodeDecodeError as error:
        place = f"byte 0x{content[error.start]:02x} in line {content.count(bytes([10]), 0, error.start) + 1}"
        raise refused(f"an encoding other than UTF-8, such as Latin-1 ({place})", SAVE_AS_UTF_8) from None


def _check_columns(names: Sequence[str], needed: Sequence[str], path: Path, what: str) -> None:
    missing = [name for name in needed if name not in names]
    if missing:
        received = f"no column {', '.join(missing)}" + (
            f" among {listed(map(_shortened, names))}" if names else " in an empty file"
        )
        remedy = "name the columns in the first line, with commas between them"
        raise TableError(file=path, expected=what, received=received, remedy=remedy)
    twice = repeated(names)
    if twice is not None:
        received = f"several columns with the name {_shortened(twice)!r}"
        raise TableError(file=path, expected=what, received=received, remedy="rename or remove all but one")


def _shortened(name: str) -> str:
    return name if len(name) <= MOST_OF_CELL else f"{name[:MOST_OF_CELL]}…"

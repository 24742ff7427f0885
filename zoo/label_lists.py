"""Lists of labels in text files: one line for each class, as in a colour table, or names alone."""

from __future__ import annotations

import os

from recalib_keras.core.checks import shown
from recalib_keras.core.colors import BLACK
from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import read_file
from recalib_keras.evaluation.structures import read_table_line
from recalib_keras.zoo.labels import Label


def read_labels(path: str | os.PathLike) -> list[Label | str]:
    r"""Returns the labels that a text file lists, in the order of the classes.

    A line is `NUMBER NAME`, `NUMBER NAME RED GREEN BLUE`, the same with a fourth value (transparency), a line of
    ITK-SNAP, or a name alone.
    Empty lines and comments after `#` are left out.

    Args:
        path: The file.

    Raises:
        RecordError: The file cannot be read, is empty, or some lines have numbers and others do not.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "labels.txt")
        >>> _ = file.write_text("0 background 0 0 0\n17 left hippocampus 220 216 20\n")
        >>> [(label.id, label.name, label.color) for label in read_labels(file)]
        [(0, 'background', (0, 0, 0)), (17, 'left hippocampus', (220, 216, 20))]
        >>> folder.cleanup()
    """
    content = read_file(path, "a list of labels that can be read", RecordError)
    try:
        lines = [" ".join(line.partition("#")[0].split()) for line in content.decode().splitlines()]
    except UnicodeDecodeError:
        raise RecordError(file=path, expected="a text in UTF-8", received="other bytes") from None
    lines = [line for line in lines if line]
    entries = [read_table_line(line) for line in lines]
    names = [line for line, entry in zip(lines, entries) if entry is None]
    if not lines or len(names) not in (0, len(lines)):
        raise RecordError(
            file=path, expected="lines of NUMBER NAME, or of names alone", received=shown(names[0]) if names else "none"
        )
    if names:
        return list(names)
    try:
        return [Label(number, name, color or BLACK) for number, name, color in filter(None, entries)]
    except RecordError as error:
        raise error.at(path) from None

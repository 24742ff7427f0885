"""Labels from a text file: one line for each class, as FreeSurfer's colour tables have them, or names alone."""

from __future__ import annotations

import os

from recalib_keras.core.checks import shown
from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import read_file
from recalib_keras.zoo.labels import Label

CHANNELS = 3  # of a colour: red, green, blue


def read_labels(path: str | os.PathLike) -> list[Label | str]:
    r"""Returns the labels that a text file lists, in the order of the classes.

    A line is `NUMBER NAME`, `NUMBER NAME RED GREEN BLUE`, the same with a fourth value (transparency), or a name alone.
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
        lines = [line.partition("#")[0].split() for line in content.decode().splitlines()]
    except UnicodeDecodeError:
        raise RecordError(file=path, expected="a text in UTF-8", received="other bytes") from None
    lines = [words for words in lines if words]
    numbered = [words for words in lines if words[0].isdecimal() and len(words) > 1]
    if not lines or len(numbered) not in (0, len(lines)):
        raise RecordError(
            file=path,
            expected="lines of NUMBER NAME, or of names alone",
            received="none" if not lines else shown(" ".join(next(words for words in lines if words not in numbered))),
        )
    try:
        return [_label(words) for words in lines] if numbered else [" ".join(words) for words in lines]
    except RecordError as error:
        raise error.at(path) from None


def _label(words):
    number, *words = words
    values = 0
    while values < CHANNELS + 1 and len(words) > values + 1 and words[-1 - values].isdecimal():
        values += 1
    if values < CHANNELS:  # the name ends with a number
        return Label(int(number), " ".join(words))
    name, color = words[:-values], words[len(words) - values :][:CHANNELS]
    return Label(int(number), " ".join(name), tuple(map(int, color)))

"""Names, sides and colours of the structures in a label map."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recalib_keras.core.checks import repeated
from recalib_keras.core.colors import Color, distinct_color
from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import read_file

# "17 Left-Hippocampus 220 216 20 0", as FreeSurfer and 3D Slicer write colour tables; the colour is optional.
TABLE_LINE = re.compile(r"(?P<id>-?\d+)\s+(?P<name>.*?)(?:\s+(?P<color>\d+\s+\d+\s+\d+)(?:\s+\d+)?)?")
# '17 220 216 20 1 1 1 "Left Hippocampus"', as ITK-SNAP does.
ITK_SNAP_LINE = re.compile(r'(?P<id>\d+)\s+(?P<color>\d+\s+\d+\s+\d+)\s+[\d.]+\s+\d\s+\d\s+"(?P<name>.*)"')
WORDS = ("left", "right")


class StructureLike(Protocol):
    """What this package reads of a structure. `Structure` and `recalib_keras.zoo.Label` have it."""

    @property
    def id(self) -> int:
        """Number of the structure in label maps."""

    @property
    def name(self) -> str:
        """Name of the structure."""

    @property
    def color(self) -> Color:
        """Colour (RGB, 0 to 255)."""


@dataclass(frozen=True)
class Structure:
    """One structure.

    Args:
        id: Number of the structure in label maps.
        name: Name of the structure.
        color: Colour (RGB, 0 to 255).
    """

    id: int
    name: str
    color: Color


def numbers_of(structure: StructureLike) -> tuple[int, ...]:
    """Returns the numbers in label maps of all voxels of a structure; several for one that includes others.

    Args:
        structure: The structure.
    """
    return getattr(structure, "numbers", (structure.id,))


def unnamed_structures(labels: Iterable[int]) -> list[Structure]:
    """Returns structures with names such as "label 17", in colours that are easy to distinguish.

    Args:
        labels: Numbers of the structures.

    Example:
        >>> unnamed_structures([17])
        [Structure(id=17, name='label 17', color=(230, 159, 0))]
    """
    return [Structure(int(label), f"label {label}", distinct_color(index)) for index, label in enumerate(labels)]


def side(name: str) -> str | None:
    """Returns "left" or "right", whichever of the two words a name has; None for neither or both.

    Args:
        name: Name of a structure.

    Example:
        >>> side("Left-Hippocampus"), side("kidney_right"), side("brain-stem")
        ('left', 'right', None)
    """
    found = set(WORDS) & set(re.split(r"[\W_]+", name.lower()))
    return found.pop() if len(found) == 1 else None


def without_side(name: str) -> str:
    """Returns a name without its side.

    Args:
        name: Name of a structure.

    Example:
        >>> without_side("Left-Hippocampus"), without_side("kidney_right"), without_side("brain-stem")
        ('Hippocampus', 'kidney', 'brain-stem')
    """
    if side(name) is None:
        return name
    parts = re.split(r"([\W_]+)", name)
    place = next(place for place, part in enumerate(parts) if part.lower() in WORDS)
    first = max(0, place - 1) if place + 1 == len(parts) else place  # with the space after it, or the one before
    return "".join(parts[:first] + parts[place + 2 :])


def read_structures(path: str | os.PathLike) -> list[Structure]:
    """Returns the structures that a file names, without the background 0.

    Args:
        path: A colour table of FreeSurfer or 3D Slicer (number, name, RGB) or of ITK-SNAP, or the `dataset.json` of a
            data set in the layout of the Medical Segmentation Decathlon or nnU-Net. Structures without a colour get
            one.

    Raises:
        RecordError: If the file cannot be read, is none of these, or has a number or a name twice.
    """
    path = Path(path)
    content = read_file(path, "a file with names of labels", RecordError)
    try:
        text = content.decode("utf-8-sig")
        entries = _from_json(json.loads(text)) if path.suffix == ".json" else _from_table(text)
    except (UnicodeDecodeError, LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise RecordError(
            file=path,
            expected="names of labels in a colour table (lines such as '17 Left-Hippocampus 220 216 20 0') or a "
            "dataset.json",
            received=f"something else ({error})",
            remedy="give such a file",
        ) from None
    entries = [entry for entry in entries if entry[0] != 0]
    for kind, values in (("number", [number for number, _, _ in entries]), ("name", [name for _, name, _ in entries])):
        twice = repeated(values)
        if twice is not None:
            raise RecordError(file=path, expected=f"each {kind} once", received=f"{twice!r} twice", remedy="remove one")
    return [
        Structure(number, name, color or distinct_color(index)) for index, (number, name, color) in enumerate(entries)
    ]


def read_table_line(line: str) -> tuple[int, str, Color | None] | None:
    """Returns number, name, and colour or None, of a line of a colour table; None if it is no such line.

    Args:
        line: The line, without blanks around it.

    Example:
        >>> read_table_line("17 Left-Hippocampus 220 216 20 0")
        (17, 'Left-Hippocampus', (220, 216, 20))
        >>> read_table_line("4 left kidney"), read_table_line("left kidney")
        ((4, 'left kidney', None), None)
    """
    match = ITK_SNAP_LINE.fullmatch(line) or TABLE_LINE.fullmatch(line)
    if not match or not match["name"]:
        return None
    if not match["color"]:
        return int(match["id"]), match["name"], None
    red, green, blue = map(int, match["color"].split())
    return int(match["id"]), match["name"], (red, green, blue)


def _from_json(content):
    """Returns number, name and no colour; Decathlon's labels are names by number, nnU-Net's numbers by name."""
    pairs = content["labels"].items()
    if all(key.lstrip("-").isdigit() for key, _ in pairs):
        return [(int(number), str(name), None) for number, name in pairs]
    return [(int(number), str(name), None) for name, number in pairs]


def _from_table(text):
    """Returns number, name, and colour or None, of each line of a colour table."""
    entries = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        entry = read_table_line(line)
        if entry is None:
            raise ValueError(f"cannot read the line {line[:60]!r}")
        if max(entry[2] or (0,)) > 255:
            raise ValueError(f"a colour above 255 in the line {line[:60]!r}")
        entries.append(entry)
    if not entries:
        raise ValueError("it is empty")
    return entries

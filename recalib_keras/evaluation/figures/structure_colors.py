"""The colours of structures in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recalib_keras.core.colors import Color, distinct_color
from recalib_keras.evaluation.figures.color_vision import told_apart
from recalib_keras.evaluation.structures import StructureLike, without_side

SAME_COLOR = 2  # of 255: in FreeSurfer's table the left and the right pallidum differ by 1


@dataclass(frozen=True)
class ShownStructure:
    """A structure as pictures show it.

    Args:
        id: Number of the structure in label maps.
        name: Name of the structure.
        color: Colour (RGB, 0 to 255) in pictures.
        entry: Its name in a legend, without the side if both sides are shown in one colour.
    """

    id: int
    name: str
    color: Color
    entry: str


def as_shown(structures: Sequence[StructureLike]) -> list[ShownStructure]:
    """Returns structures in colours that can be told apart on a scan; see `color_vision`.

    Tables of colours have white for white matter and dark grey for fluid, which cannot be seen on a scan, and several
    colours that look alike. The two sides of a structure share a colour if they do so in the table.

    Args:
        structures: The structures; take all of a label map, so that a structure has one colour in all pictures of it.

    Example:
        >>> from recalib_keras.evaluation import Structure
        >>> [(one.name, one.color) for one in as_shown([Structure(17, "hippocampus", (220, 216, 20))])]
        [('hippocampus', (220, 216, 20))]
    """
    by_id = {structure.id: structure for structure in structures}
    entries = [_entry(structure, by_id) for structure in structures]
    table = dict(reversed([(entry, structure.color) for entry, structure in zip(entries, structures)]))
    names = list(dict.fromkeys(entries))
    colors = dict(zip(names, told_apart([table[name] for name in names])))
    return [
        ShownStructure(structure.id, structure.name, colors[entry], entry)
        for entry, structure in zip(entries, structures)
    ]


def colors_by_name(names: Sequence[str], structures: Sequence[StructureLike] | None = None) -> dict[str, Color]:
    """Returns the colour of each name in a figure, as pictures show it.

    Args:
        names: What is drawn.
        structures: Structures with colours; other names, or all names for None, get distinct colours.
    """
    known = {structure.name: structure.color for structure in as_shown(structures or ())}
    return {name: known.get(name, distinct_color(index)) for index, name in enumerate(names)}


def _entry(structure, by_id):
    other = by_id.get(getattr(structure, "mirror", None))
    is_alike = other is not None and np.abs(np.subtract(other.color, structure.color)).max() <= SAME_COLOR
    return without_side(structure.name) if is_alike and other.id != structure.id else structure.name

"""The structures that a network segments, and the rules for a set of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from recalib_keras.core.checks import Range, check_ranges, check_text, repeated
from recalib_keras.core.colors import BLACK, Color, distinct_color
from recalib_keras.core.errors import RecordError

# Label maps are stored as integers of at most 32 bits.
LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Label:
    """One structure.

    Args:
        id: The number it has in label maps.
        name: In words: one line of at most 100 characters.
        color: Red, green and blue. A structure that is black, as without this key, gets a colour of its own.
        mirror: Number of its counterpart on the other side of the body, for structures that come in pairs.

    Raises:
        RecordError: A value is outside its range.
    """

    id: Annotated[int, Range(0, LARGEST_ID)]
    name: str
    color: Annotated[Color, Range(0, 255)] = BLACK
    mirror: int | None = None

    def __post_init__(self):
        check_ranges(self)
        check_text(self.name, "name")


def check_labels(labels: Sequence[Label]) -> None:
    """Checks that labels differ, and that the background, 0 as a rule, is the first of them.

    Args:
        labels: At least one.

    Raises:
        RecordError: There is none, two have the same number or name, or the background is not the first.
    """
    if not labels:
        raise RecordError(expected="labels, the background first", received="none", remedy="add them")
    for key in ("id", "name"):
        twice = repeated(getattr(label, key) for label in labels)
        if twice is not None:
            raise RecordError(expected=f"labels that differ in {key}", received=f"{twice!r} more than once")
    for label in labels[1:]:
        if label.id == 0 or label.name == "background":
            raise RecordError(
                expected="the background as the first of the labels",
                received=f"{labels[0].id} ({labels[0].name!r})",
                remedy=f"put {label.id} ({label.name!r}) first",
            )


def with_colors(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Returns labels whose black structures have a colour, because black cannot be seen on a scan.

    The two sides of a structure share a colour, like those of FreeSurfer's table.

    Args:
        labels: The background and the structures; colours that they have stay.

    Example:
        >>> left, right = Label(4, "left", mirror=9), Label(9, "right", mirror=4)
        >>> [label.color for label in with_colors([Label(0, "background"), left, right])]
        [(0, 0, 0), (230, 159, 0), (230, 159, 0)]
    """
    known = {label.id: label.color for label in labels[1:] if label.color != BLACK}
    for index, label in enumerate(labels[1:]):
        if label.color == BLACK:
            known[label.id] = known.get(label.mirror) or distinct_color(index)
    return (*labels[:1], *(replace(label, color=known[label.id]) for label in labels[1:]))


def counterpart_classes(labels: Sequence[Label]) -> tuple[int, ...]:
    """Returns for each class the class of its counterpart on the other side of the body; for an unpaired one its own.

    Args:
        labels: The label of each class.

    Raises:
        RecordError: A label's counterpart is not among the labels, or names another counterpart.

    Example:
        >>> counterpart_classes([Label(0, "background"), Label(4, "left", mirror=9), Label(9, "right", mirror=4)])
        (0, 2, 1)
    """
    mirrors = {label.id: label.id if label.mirror is None else label.mirror for label in labels}
    ids = list(mirrors)
    for label in labels:
        other = mirrors[label.id]
        if mirrors.get(other) != label.id:
            found = "is no label" if other not in mirrors else f"has the mirror {mirrors[other]}"
            raise RecordError(
                expected="the labels of the two sides to name each other as `mirror`",
                received=f"{label.id} ({label.name!r}), whose mirror {other} {found}",
                remedy="correct `mirror` of the labels",
            )
    classes = {number: index for index, number in enumerate(ids)}
    return tuple(classes[mirrors[number]] for number in ids)

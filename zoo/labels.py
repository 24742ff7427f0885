"""The structures that a network segments, and the rules for a set of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from recalib_keras.core.checks import Range, check_ranges, check_text, repeated, shown
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
        includes: Numbers of other labels that lie inside this structure: a whole tumour with number 1 and
            `includes = (2, 3)` is all voxels with 1, 2 or 3. They come after it, the innermost last.

    Raises:
        RecordError: A value is outside its range.
    """

    id: Annotated[int, Range(0, LARGEST_ID)]
    name: str
    color: Annotated[Color, Range(0, 255)] = BLACK
    mirror: int | None = None
    includes: tuple[int, ...] | None = None

    def __post_init__(self):
        check_ranges(self)
        check_text(self.name, "name")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in label maps of all voxels of the structure: its own first, then those that it includes."""
        return self.id, *(self.includes or ())


# Labels as a user may give them.
Labels = Sequence[str | Label] | Mapping[int, str]


def as_labels(labels: Labels | None, known: Sequence[Label]) -> tuple[Label, ...]:
    """Returns the labels that a user means.

    Args:
        labels: For each class its name, or a `Label`; or a dict from numbers to names. Names alone get the numbers 0,
            1, …, and the colours that these structures have among the known ones. None for the known ones. Structures
            without a colour get one, see `with_colors`.
        known: Labels of the preset.

    Raises:
        ValueError: It is a single text.

    Example:
        >>> [(label.id, label.name) for label in as_labels(["background", "lesion"], known=())]
        [(0, 'background'), (1, 'lesion')]
    """
    if labels is None:
        return tuple(known)
    if isinstance(labels, str):
        raise ValueError(f"expected `labels` as a list of names, got {labels!r}; put it in a list")
    numbered = labels.items() if isinstance(labels, Mapping) else enumerate(labels)
    colors = {label.name: label.color for label in known}
    return with_colors(
        [one if isinstance(one, Label) else Label(number, one, colors.get(one, BLACK)) for number, one in numbered]
    )


def labels_of_classes(labels: Labels | None, known: Sequence[Label], classes: int) -> tuple[Label, ...]:
    """Returns the label of each class, checked.

    Args:
        labels: See `as_labels`.
        known: Labels of the preset.
        classes: Number of classes, the background included.

    Raises:
        ValueError: There is another number of labels.
        RecordError: See `check_labels`.
    """
    chosen = as_labels(labels, known)
    if len(chosen) != classes:
        raise ValueError(
            f"expected {classes} `labels`, one for each class of the model, the background first, got "
            f"{'those of the preset, ' if labels is None else ''}{len(chosen)}; name them all"
        )
    check_labels(chosen)
    return chosen


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
    _check_regions(labels)


def _check_regions(labels):
    """Checks that labels which include others come before them, and include all that those include."""
    if labels[0].includes:
        raise RecordError(expected="a background that includes no other label", received=shown(labels[0].includes))
    inside = {}
    for label in reversed(labels):
        later = [number for number in label.numbers[1:] if number not in inside]
        if later:
            raise RecordError(
                expected=f"labels after {label.id} ({label.name!r}) in its `includes`",
                received=str(later[0]),
                remedy="order labels from the outermost structure to the innermost",
            )
        missing = {number for inner in label.numbers[1:] for number in inside[inner]} - {*label.numbers}
        if missing:
            raise RecordError(
                expected=f"`includes` of {label.id} ({label.name!r}) to hold all that the labels in it include",
                received=f"it without {min(missing)}",
                remedy=f"add {min(missing)}",
            )
        inside[label.id] = label.numbers


def matching_classes(
    known: Sequence[Label], wanted: Sequence[Label], stand_ins: Mapping[int, int] | None = None, title: str = ""
) -> list[int]:
    """Returns for each wanted label the class of a network that it gets its probability from.

    Args:
        known: The label of each class of the network.
        wanted: Labels of several networks together, those of this one among them.
        stand_ins: From the number of a label to that of the label whose probability it gets where the network lacks
            it. Defaults to the labels' `mirror`: a network that cannot tell sides apart counts for either.
        title: What the network segments, for messages.

    Raises:
        ValueError: The network has other labels, another background, or neither a label nor a stand-in for it.

    Example:
        >>> both = [Label(0, "background"), Label(4, "left", mirror=9), Label(9, "right", mirror=4)]
        >>> matching_classes(both[:2], both)
        [0, 1, 1]
    """
    if stand_ins is None:
        stand_ins = {label.id: label.mirror for label in wanted if label.mirror is not None}
    ids = [label.id for label in known]
    strangers = sorted(set(ids) - {label.id for label in wanted})
    if strangers:
        raise ValueError(
            f"expected members with no labels but those of the member with the most, got {strangers} from {title!r}; "
            "average networks of the same structures"
        )
    sources = [label.id if label.id in ids else stand_ins.get(label.id) for label in wanted]
    missing = [label.id for label, source in zip(wanted, sources) if source not in ids]
    if missing:
        raise ValueError(
            f"expected all labels of the member with the most, or a stand-in for each, in every member, got none for "
            f"{missing} in {title!r}; give `stand_ins`, or give the labels a `mirror`"
        )
    if ids[0] != wanted[0].id:
        raise ValueError(
            f"expected the background {wanted[0].id} in every member, got {ids[0]} from {title!r}; average networks "
            "with one background"
        )
    return [ids.index(source) for source in sources]


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
            found = "is not a label" if other not in mirrors else f"has the mirror {mirrors[other]}"
            raise RecordError(
                expected="the labels of the two sides to name each other as `mirror`",
                received=f"{label.id} ({label.name!r}), whose mirror {other} {found}",
                remedy="correct `mirror` of the labels",
            )
    classes = {number: index for index, number in enumerate(ids)}
    return tuple(classes[mirrors[number]] for number in ids)


def region_classes(labels: Sequence[Label]) -> tuple[tuple[int, ...], ...]:
    """Returns for each structure the classes of its voxels: its own, and those of the labels that it includes.

    Args:
        labels: The label of each class, the background first.

    Example:
        >>> whole, core = Label(1, "whole tumour", includes=(2,)), Label(2, "core")
        >>> region_classes([Label(0, "background"), whole, core])
        ((1, 2), (2,))
    """
    classes = {label.id: index for index, label in enumerate(labels)}
    return tuple(tuple(sorted(classes[number] for number in label.numbers)) for label in labels[1:])

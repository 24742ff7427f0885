"""The structures that a network tells apart, and what holds of them together."""

from dataclasses import dataclass

from recalib_keras.core.errors import RecordError


@dataclass(frozen=True)
class Label:
    """One structure.

    Args:
        id: the number it has in label maps.
        name: in words.
        color: red, green and blue, 0 to 255 each.
        mirror: number of its counterpart on the other side of the body, for structures that come in pairs.
    """

    id: int
    name: str
    color: tuple[int, int, int] = (0, 0, 0)
    mirror: int | None = None


def check_labels(labels) -> None:
    """Checks that labels can be told apart, and that the background, 0 as a rule, is the first of them.

    Args:
        labels: sequence of `Label`.

    Raises:
        RecordError: if two have the same number or name, or the background stands behind another label.
    """
    for key in ("id", "name"):
        values = [getattr(label, key) for label in labels]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise RecordError(f"labels must differ in {key}; {twice!r} is there more than once")
    for label in labels[1:]:
        if label.id == 0 or label.name == "background":
            raise RecordError(
                f"labels must begin with the background, not with {labels[0].id} ({labels[0].name!r}); put "
                f"{label.id} ({label.name!r}) first"
            )


def counterpart_classes(labels):
    """Returns for each class the class of its counterpart on the other side of the body; for an unpaired one its own.

    Args:
        labels: sequence of `Label`.

    Raises:
        RecordError: if a label's counterpart is not among the labels, or names another one as its own.

    >>> counterpart_classes([Label(0, "background"), Label(4, "left", mirror=9), Label(9, "right", mirror=4)])
    (0, 2, 1)
    """
    mirrors = {label.id: label.id if label.mirror is None else label.mirror for label in labels}
    ids = list(mirrors)
    for label in labels:
        other = mirrors[label.id]
        if mirrors.get(other) != label.id:
            raise RecordError(
                f"expected the labels of the two sides to name each other as `mirror`, got {label.id} "
                f"({label.name!r}), whose mirror {other} "
                + ("is no label" if other not in mirrors else f"has the mirror {mirrors[other]}")
                + "; mend `mirror` of the labels"
            )
    return tuple(ids.index(mirrors[number]) for number in ids)

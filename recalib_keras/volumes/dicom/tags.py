"""The values of DICOM tags: pydicom converts them when they are used, and a value that is wrong must name its file."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recalib_keras.core.errors import VolumeError

if TYPE_CHECKING:
    from pydicom import Dataset

REQUIRED = object()
KINDS = {float: ("a number", "numbers"), int: ("a whole number", "whole numbers"), str: ("a text", "texts")}
# The message shows this many letters of a wrong value.
SHOWN = 60
REMEDY = "export the scan again, or correct this tag"


def tag_value(
    dataset: Dataset,
    keyword: str,
    kind: type,
    file: str | os.PathLike,
    *,
    count: int | None = 1,
    default: Any = REQUIRED,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Any:
    """Returns the value of a DICOM tag, checked.

    Args:
        dataset: What pydicom read.
        keyword: The tag's name, such as `"PixelSpacing"`.
        kind: `float`, `int` or `str`.
        file: The file, for messages.
        count: How many values the tag must have; None for any number of them.
        default: What to return if the tag is missing or empty. Without it, that is an error.
        bounds: Smallest and largest number allowed.

    Returns:
        The value as `kind`; a tuple of them unless `count` is 1.

    Raises:
        VolumeError: The tag is missing, or its value is damaged: text for a number, NaN or infinity, another number of
            values, a number outside `bounds`.
    """
    values = _values(dataset, keyword, file)
    if not values and default is not REQUIRED:
        return default
    expected = _in_words(kind, count, bounds)
    if not values:
        raise unusable(file, keyword, expected, "none")
    if count is not None and len(values) != count:
        raise unusable(file, keyword, expected, f"{len(values)}: {_shown(values)}")
    converted = tuple(_converted(value, kind) for value in values)
    if any(value is None or (kind is not str and not bounds[0] <= value <= bounds[1]) for value in converted):
        raise unusable(file, keyword, expected, _shown(values))
    return converted[0] if count == 1 else converted


def tag_items(dataset: Dataset, keyword: str, file: str | os.PathLike) -> Sequence[Dataset]:
    """Returns the datasets in a DICOM sequence; none if the tag is missing.

    Args:
        dataset: What pydicom read.
        keyword: The tag's name, such as `"PlanePositionSequence"`.
        file: The file, for messages.

    Raises:
        VolumeError: The sequence is damaged.
    """
    value = _raw(dataset, keyword, file)
    if value is None or (isinstance(value, (bytes, str)) and not value):
        return ()
    is_sequence = hasattr(value, "__iter__") and not isinstance(value, (bytes, str))
    if not is_sequence or not all(hasattr(item, "walk") for item in value):
        raise unusable(file, keyword, "a sequence of datasets", _shown([value]))
    return value


def tag_bytes(dataset: Dataset, keyword: str, file: str | os.PathLike) -> bytes:
    """Returns the bytes of a tag such as `"PixelData"`; none if the tag is missing.

    Args:
        dataset: What pydicom read.
        keyword: The tag's name.
        file: The file, for messages.

    Raises:
        VolumeError: The value is damaged, or no bytes.
    """
    value = _raw(dataset, keyword, file)
    if value is None or isinstance(value, bytes):
        return value or b""
    raise unusable(file, keyword, "bytes", _shown([value]))


def unusable(file: str | os.PathLike, keyword: str, expected: str, received: str) -> VolumeError:
    """Returns the error about a tag whose value cannot be used.

    Args:
        file: The file.
        keyword: The tag's name.
        expected: What was expected, in words.
        received: What was found instead.
    """
    return VolumeError(file=file, part=keyword, expected=expected, received=received, remedy=REMEDY)


def _raw(dataset, keyword, file):
    try:
        return dataset[keyword].value if keyword in dataset else None
    except Exception as error:  # pydicom converts the stored bytes now, and raises a dozen kinds of errors
        raise unusable(file, keyword, "a value that can be read", f"a damaged one ({error})") from error


def _values(dataset, keyword, file):
    value = _raw(dataset, keyword, file)
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return [] if isinstance(value, (str, bytes)) and not value else [value]
    return list(value)


def _converted(value, kind):
    """Returns a value as `kind`, or None."""
    if kind is str:
        return str(value) if isinstance(value, (str, int, float)) else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(number) or (kind is int and not number.is_integer()):
        return None
    return kind(number)


def _in_words(kind, count, bounds):
    one, several = KINDS[kind]
    words = one if count == 1 else several if count is None else f"{count} {several}"
    lowest, highest = bounds
    if math.isinf(lowest) and math.isinf(highest):
        return words
    if math.isinf(highest):
        return f"{words} of at least {lowest:g}"
    return f"{words} from {lowest:g} to {highest:g}"


def _shown(values):
    if any(hasattr(value, "walk") for value in values):
        return "a sequence"
    text = repr(values[0]) if len(values) == 1 else "[" + ", ".join(str(value) for value in values[:12]) + "]"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

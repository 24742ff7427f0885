"""Rules that several records share: what may be a name, a short text, a number.

Names become parts of paths, tables and cards, so they have one rule wherever they are read.
"""

from __future__ import annotations

import functools
import math
import re
import typing
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recalib_keras.core.errors import RecordError

NAME = re.compile(r"[\w-][\w.-]*")
MOST_IN_NAME = 64
MOST_IN_LABEL = 100
MOST_IN_TITLE = 200
# They break a card (HTML, tables of Markdown).
MARKUP = "<>|"
MOST_SHOWN = 80
LARGEST_SEED = 2**32 - 1  # of NumPy's generators

type_hints = functools.cache(typing.get_type_hints)  # to read them takes most of the time of a record


@dataclass(frozen=True)
class Range:
    """The numbers that a key of a record may have, both ends included: `epochs: Annotated[int, Range(1, 100)]`.

    In a list or a table, it holds for every number.

    Args:
        lowest: The smallest number allowed.
        highest: The largest number allowed.
    """

    lowest: float
    highest: float = math.inf

    def __str__(self):
        if self.highest == math.inf:
            return f"at least {_in_words(self.lowest)}"
        return f"from {_in_words(self.lowest)} to {_in_words(self.highest)}"


def ranges_of(record_class: type) -> dict[str, Range]:
    """Returns the range of each key of a dataclass whose type names one.

    Args:
        record_class: The dataclass.
    """
    hints = type_hints(record_class, include_extras=True)
    found = {key: [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Range)]
             for key, hint in hints.items()}  # fmt: skip
    return {key: ranges[0] for key, ranges in found.items() if ranges}


def check_ranges(record: Any) -> None:
    """Checks the numbers of a dataclass against the ranges that its types name.

    Args:
        record: An instance of it.

    Raises:
        RecordError: A number lies outside its range.
    """
    for key, allowed in ranges_of(type(record)).items():
        for number in numbers_in(getattr(record, key)):
            check_range(number, f"`{key}`", allowed.lowest, allowed.highest)


def numbers_in(value: object) -> Iterator[float]:
    """Yields every number in a value, in lists and tables at any depth; true and false are not numbers.

    Args:
        value: A value as JSON or TOML has it.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value
    elif isinstance(value, (list, tuple, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from numbers_in(item)


def check_name(name: object, what: str) -> None:
    """Checks the name of a preset, a weight set or an ensemble, which also names its files.

    Args:
        name: Letters, digits, `_`, `-` and `.`, at most 64, the first no `.`.
        what: What has the name, for the message, such as `"preset"`.

    Raises:
        RecordError: The name is not allowed.

    Example:
        >>> check_name("densenet3d_pe", "preset")
        >>> try:
        ...     check_name("../x", "preset")
        ... except RecordError as error:
        ...     print(error.received)
        '../x'
    """
    if not isinstance(name, str) or len(name) > MOST_IN_NAME or not NAME.fullmatch(name):
        raise RecordError(
            expected=f"{what} to be at most {MOST_IN_NAME} letters, digits, '_', '-' or '.', the first no '.'",
            received=shown(name),
            remedy="choose another name",
        )


def check_text(text: object, what: str, most: int = MOST_IN_LABEL) -> None:
    """Checks a short text that people read in tables and cards, such as the name of a label.

    Args:
        text: One line of printable characters without `<`, `>` and `|`, not empty.
        what: What the text is, for the message.
        most: How many characters it may have.

    Raises:
        RecordError: The text is not allowed.
    """
    is_line = isinstance(text, str) and text.strip() and text.isprintable() and len(text) <= most
    if not is_line or any(character in str(text) for character in MARKUP):
        raise RecordError(
            expected=f"{what} to be one line of at most {most} printable characters without {' '.join(MARKUP)}",
            received=shown(text),
            remedy="choose another text",
        )


def check_range(number: float, what: str, lowest: float, highest: float = math.inf) -> None:
    """Checks that a number lies in a range, both ends included; NaN and infinity never do.

    Args:
        number: The number.
        what: What it is, for the message.
        lowest: The smallest number allowed.
        highest: The largest number allowed.

    Raises:
        RecordError: The number lies outside.
    """
    # An integer too large for a float is compared, not converted.
    if not lowest <= number <= highest or number in (math.inf, -math.inf):
        raise RecordError(expected=f"{what} {Range(lowest, highest)}", received=shown(number))


def _in_words(number):
    return f"{number:,}" if isinstance(number, int) else f"{number:,g}"


def repeated(values: Iterable[Hashable]) -> Any:
    """Returns the first value that comes a second time, or None; quick for any number of values.

    Args:
        values: The values; none of them is None.

    Example:
        >>> repeated(["a", "b", "a", "b"])
        'a'
    """
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def shown(value: object) -> str:
    """Returns a value as a message shows it: as Python writes it, cut off where it is long.

    Args:
        value: Anything.
    """
    if isinstance(value, int) and value.bit_length() > 4 * MOST_SHOWN:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to write integers of over 4,300 digits
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."

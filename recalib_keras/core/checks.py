"""Rules that several records share: what may be a name, a short text, a number.

Names become parts of paths, tables and cards, so they have one rule wherever they are read.
"""

from __future__ import annotations

import math
import re

from recalib_keras.core.errors import RecordError

NAME = re.compile(r"[\w-][\w.-]*")
MOST_IN_NAME = 64
MOST_IN_LABEL = 100
MOST_IN_TITLE = 200
# They break a card (HTML, tables of Markdown).
MARKUP = "<>|"
MOST_SHOWN = 80


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
        bounds = f"at least {lowest:,g}" if highest == math.inf else f"from {lowest:,g} to {highest:,g}"
        raise RecordError(expected=f"{what} {bounds}", received=shown(number))


def shown(value: object) -> str:
    """Returns a value as a message shows it: as Python writes it, cut off where it is long.

    Args:
        value: Anything.
    """
    if isinstance(value, int) and value.bit_length() > 4 * MOST_SHOWN:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to write integers of over 4,300 digits
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."

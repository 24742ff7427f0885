"""Tables and numbers as Markdown."""

import math

from recalib_keras.core.messages import one_line


def header(*names):
    """Returns the first two lines of a table."""
    return f"{row(*names)}\n|" + "---|" * len(names)


def row(*cells):
    """Returns a line of a table; what would break it is escaped.

    >>> row("loss", "a|b")
    '| loss | a\\\\|b |'
    """
    return "| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def number(value) -> str:
    """Returns a score as text, empty for NaN."""
    return "" if math.isnan(value) else f"{value:.4f}"


def signed(value) -> str:
    """Returns a difference of scores as text, empty for NaN."""
    return "" if math.isnan(value) else f"{value:+.4f}"


def bounds(interval, write=number) -> str:
    """Returns an interval as text, empty for NaN."""
    return "" if math.isnan(interval[0]) else f"{write(interval[0])} to {write(interval[1])}"


def names(values):
    """Returns values as a list in words.

    >>> names(["max", "add"])
    '`max`, `add`'
    """
    return ", ".join(f"`{value}`" for value in values)

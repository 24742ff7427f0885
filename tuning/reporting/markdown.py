"""Tables and numbers as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from recalib_keras.core.messages import one_line


def header(*names: str) -> str:
    """Returns the first two lines of a table.

    Args:
        names: Names of the columns.
    """
    return f"{row(*names)}\n|" + "---|" * len(names)


def row(*cells: object) -> str:
    r"""Returns a line of a table; characters that would break the table are escaped.

    Args:
        cells: Contents of the cells.

    Example:
        >>> row("loss", "a|b")
        '| loss | a\\|b |'
    """
    return "| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def number(value: float) -> str:
    """Returns a score as text, empty for NaN.

    Args:
        value: The score.
    """
    return "" if math.isnan(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """Returns a difference of scores as text, empty for NaN.

    Args:
        value: The difference.
    """
    return "" if math.isnan(value) else f"{value:+.4f}"


def bounds(interval: tuple[float, float], write: Callable[[float], str] = number) -> str:
    """Returns an interval as text, empty for NaN.

    Args:
        interval: The interval.
        write: Turns a bound into text.
    """
    return "" if math.isnan(interval[0]) else f"{write(interval[0])} to {write(interval[1])}"


def names(values: Iterable[object]) -> str:
    """Returns values as a list in words.

    Args:
        values: The values.

    Example:
        >>> names(["max", "add"])
        '`max`, `add`'
    """
    return ", ".join(f"`{value}`" for value in values)

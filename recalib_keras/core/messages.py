"""How messages are worded: one line, parts in one order, names close to a mistyped one."""

import difflib
from collections.abc import Iterable


def one_line(message: object) -> str:
    """Returns a text or an error with all line breaks and runs of blanks folded to single spaces."""
    return " ".join(str(message).split())


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """Returns the question that suggests the known name closest to a mistyped one.

    Args:
        name: What the user wrote.
        known: The names there are.
        otherwise: What to return if no known name is close.
        cutoff: How similar a name must be, from 0 to 1.

    Example:
        >>> did_you_mean("unet3", ["unet3d", "sdnet3d"]), did_you_mean("x", ["unet3d"], otherwise="known: unet3d")
        ("did you mean 'unet3d'?", 'known: unet3d')
    """
    nearest = difflib.get_close_matches(str(name), list(known), n=1, cutoff=cutoff)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise


def listed(items: Iterable[object], most: int = 8, separator: str = ", ") -> str:
    """Returns items in words, those beyond the first `most` as a number.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    items = [str(item) for item in items]
    rest = len(items) - most
    return separator.join(items[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun, which takes an `s` unless the number is 1.

    Example:
        >>> counted(1, "scan"), counted(3, "scan")
        ('1 scan', '3 scans')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

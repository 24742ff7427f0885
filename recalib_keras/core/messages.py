"""The wording of messages: one line, lists of names, suggestions for a mistyped name."""

import difflib
import logging
import re
from collections.abc import Iterable

# Logs what the package does while a user waits; it is silent unless a handler is added. Level INFO: what
# takes a while once on a machine; DEBUG: what takes seconds each time.
STEPS = logging.getLogger("recalib_keras")
STEPS.addHandler(logging.NullHandler())
# Control characters, and the bytes of file names that are not in UTF-8, which no stream can print.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\udc80-\udcff]")


def one_line(message: object) -> str:
    r"""Returns a text or an error with every line break and run of blanks as a single space.

    Other control characters, which a terminal would obey, are shown as their codes.

    Args:
        message: A text, or an error whose text is meant.

    Example:
        >>> one_line("expected 3 axes,\n    got 2")
        'expected 3 axes, got 2'
        >>> one_line("red\x1b[31m.nii")
        'red\\x1b[31m.nii'
    """
    return printable(" ".join(str(message).split()))


def printable(text: str) -> str:
    r"""Returns a text, such as a path, as a single line that any terminal shows: control characters as their codes.

    Args:
        text: The text.

    Example:
        >>> printable("two\nlines.nii")
        'two\\nlines.nii'
    """
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """Returns the question that suggests the known name closest to a mistyped one, in upper or lower case.

    Args:
        name: What the user wrote.
        known: The names there are.
        otherwise: What to return if no known name is close.
        cutoff: How similar a name must be, from 0 to 1.

    Returns:
        The question, or `otherwise`.

    Example:
        >>> did_you_mean("unet3", ["unet3d", "sdnet3d"]), did_you_mean("x", ["unet3d"], otherwise="known: unet3d")
        ("did you mean 'unet3d'?", 'known: unet3d')
        >>> did_you_mean("t2", ["T1", "T2"])
        "did you mean 'T2'?"
    """
    names = {each.casefold(): each for each in known}
    nearest = difflib.get_close_matches(str(name).casefold(), names, n=1, cutoff=cutoff)
    return f"did you mean {names[nearest[0]]!r}?" if nearest else otherwise


def plain_name(name: str) -> str:
    """Returns a name of a structure in lower case, with single blanks for blanks, `-` and `_`.

    Args:
        name: The name.

    Example:
        >>> plain_name("Left-Thalamus_Proper")
        'left thalamus proper'
    """
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


def listed(items: Iterable[object], most: int = 8, separator: str = ", ") -> str:
    """Returns items in words; says how many there are beyond the first `most`.

    Args:
        items: What to list.
        most: How many items to name.
        separator: What stands between two items.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    texts = [str(item) for item in items]
    rest = len(texts) - most
    return separator.join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun, which takes an `s` unless the number is 1.

    Args:
        count: How many.
        noun: Of what, in the singular.

    Example:
        >>> counted(1, "scan"), counted(3, "scan")
        ('1 scan', '3 scans')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Returns a duration in words.

    Args:
        seconds: The duration.

    Example:
        >>> duration(47), duration(725), duration(7260)
        ('47 s', '12 min', '2 h 01 min')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"

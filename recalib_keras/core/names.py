"""What presets, weight sets and labels may be called: these names become parts of paths, tables and cards."""

from __future__ import annotations

import re

from recalib_keras.core.errors import RecordError

NAME = re.compile(r"[\w-][\w.-]*")
MOST_IN_NAME = 64
MOST_IN_LABEL = 100
# They break a card (HTML, tables of Markdown).
MARKUP = "<>|"
SHOWN = 80


def check_name(name: object, what: str) -> None:
    """Checks the name of a preset, a weight set or an ensemble, which also names its files.

    Args:
        name: Letters, digits, `_`, `-` and `.`, at most 64, the first no `.`.
        what: What has the name, for the message, such as `"preset"`.

    Raises:
        RecordError: The name is not allowed.

    Example:
        >>> check_name("densenet3d_pe", "preset")
        >>> check_name("../x", "preset")
        Traceback (most recent call last):
            ...
        recalib_keras.core.errors.RecordError: expected preset to be a name of letters, digits, '_', '-' and '.', \
at most 64 of them and no '.' first, got '../x'; choose another name
    """
    if not isinstance(name, str) or len(name) > MOST_IN_NAME or not NAME.fullmatch(name):
        raise RecordError(
            expected=f"{what} to be a name of letters, digits, '_', '-' and '.', at most {MOST_IN_NAME} of them and "
            "no '.' first",
            received=_shown(name),
            remedy="choose another name",
        )


def check_label_name(name: object, what: str = "the name of a label", most: int = MOST_IN_LABEL) -> None:
    """Checks the name of a structure, or another short text that people read in tables and cards.

    Args:
        name: One line of printable characters without `<`, `>` and `|`, not empty.
        what: What the text is, for the message.
        most: How many characters it may have.

    Raises:
        RecordError: The name is not allowed.
    """
    is_text = isinstance(name, str) and name.strip() and name.isprintable()
    if not is_text or len(name) > most or any(character in name for character in MARKUP):
        raise RecordError(
            expected=f"{what} to be a line of at most {most} printable characters, without {', '.join(MARKUP)}",
            received=_shown(name),
            remedy="choose another text",
        )


def _shown(name):
    text = repr(name)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"

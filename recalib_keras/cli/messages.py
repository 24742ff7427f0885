"""What commands say beside their results: single lines on stderr that begin with the command."""

import sys


def line(command, message) -> str:
    """Returns an error or a text as the line that tells it."""
    from recalib_keras.core.messages import one_line  # loaded when there is something to say

    return f"recalib {command}: {one_line(message)}"


def tell(command, message) -> None:
    """Prints that line on stderr, at once; an error of many problems takes a line for each."""
    for part in getattr(message, "lines", [message]):
        print(line(command, part), file=sys.stderr, flush=True)

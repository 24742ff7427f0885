"""The one error of this package: a scan, a grid or a file that cannot be used as asked."""


def one_line(message) -> str:
    """Return what an error or a text says with all line breaks and runs of blanks folded to single spaces."""
    return " ".join(str(message).split())


class VolumeError(ValueError):
    """A scan that cannot be read, placed in space or written; its message is a single line.

    The line says what was expected, what came and how to mend it. Line breaks inside `message` (file names and
    other libraries' errors may hold some) are folded to spaces.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))

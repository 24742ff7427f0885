"""What is wrong with a folder of labelled scans, file by file."""

import re
from dataclasses import dataclass
from pathlib import Path

from recalib_keras.core.messages import one_line
from recalib_keras.volumes import VolumeError

# How the messages of `recalib_keras.volumes` are built.
MESSAGE = re.compile(r"(?:(?P<file>.+?): )?expected (?P<expected>.+?), (?:got|found) (?P<received>.+)")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one file.

    Args:
        file: the file, or the folder that should hold it.
        expected: what should be there, in words.
        received: what is there instead, and how to mend it.
    """

    file: Path
    expected: str
    received: str

    def __str__(self):
        return f"{self.file}: expected {self.expected}, got {self.received}"

    @classmethod
    def of(cls, file, error):
        """Returns the problem that an error met while reading a file stands for."""
        text = one_line(error)
        found = MESSAGE.fullmatch(text)
        if found is None:
            return cls(Path(file), "a file that can be read", text.removeprefix(f"{file}: "))
        # Of a folder of slices the message names the one that is amiss.
        return cls(Path(found["file"] or file), found["expected"], found["received"])


class DatasetError(VolumeError):
    """A folder of scans, or one scan of it, that cannot be used; printed as one line a problem.

    Attributes:
        problems: tuple of `Problem`, every one that was found.
    """

    def __init__(self, problems):
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    def __str__(self):
        return "\n".join(map(str, self.problems))

    def __reduce__(self):  # workers of a data pipeline send errors home by pickle
        return type(self), (self.problems,)

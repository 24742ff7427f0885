"""What is wrong with the files of a set of scans, file by file."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from recalib_keras.core.errors import RecalibError, VolumeError, WriteError
from recalib_keras.core.messages import counted, one_line

# How many problems an error prints; the rest is counted.
MOST_PRINTED = 10
# More files than this with the same problem share one line.
FEW = 3
# What reading a file raises if its content is wrong: our own errors, and those of the libraries that parse it.
READING_ERRORS = (RecalibError, OSError, ValueError, EOFError, zlib.error)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one file.

    Args:
        file: The file, or the folder that should hold it.
        expected: What should be there, in words.
        received: What is there instead.
        remedy: How to fix it, if that can be said.
    """

    file: Path
    expected: str
    received: str
    remedy: str | None = None

    def __str__(self):
        remedy = "" if self.remedy is None else f"; {self.remedy}"
        return f"{self.file}: expected {self.expected}, got {self.received}{remedy}"

    @classmethod
    def of(cls, file: str | os.PathLike, error: BaseException) -> Self:
        """Returns an error that reading a file raised as a problem.

        Args:
            file: The file, or the folder of files; an error that names a file inside it keeps that file.
            error: An error of ours with its parts, or any other.
        """
        expected = getattr(error, "expected", None)
        if expected is None:
            return cls(Path(file), "a file that can be read", _reason(error).removeprefix(f"{file}: "))
        part = getattr(error, "part", None)
        where = "" if part is None else f" for {part}"
        ours: Any = error
        return cls(Path(ours.file or file), f"{expected}{where}", ours.received, ours.remedy)


class DatasetError(VolumeError):
    """A folder of scans, or one scan of it, that cannot be used.

    It prints as one line for each problem: the first ten, and how many more there are. A problem that many files
    share is one line.

    Args:
        problems: Every problem that was found, at least one.

    Attributes:
        problems: All of them, a tuple.
    """

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        parts = vars(self.problems[0]) if len(self.problems) == 1 else {}
        super().__init__("; ".join(self.lines), **parts)

    @property
    def lines(self) -> list[str]:
        """The lines that the error prints as."""
        alike: dict[tuple, list[Problem]] = {}
        for problem in self.problems:
            alike.setdefault((problem.expected, problem.received, problem.remedy), []).append(problem)
        lines = [
            line
            for problems in alike.values()
            for line in (_in_one(problems) if len(problems) >= FEW else map(one_line, problems))
        ]
        rest, lines = len(lines) - MOST_PRINTED, lines[:MOST_PRINTED]
        return [*lines, f"and {counted(rest, 'more problem')}"] if rest > 0 else lines

    def at(self, file: str | os.PathLike, part: str | None = None) -> Self:
        """Returns this error: each of its problems names its own file."""
        return self

    def __str__(self):
        return "\n".join(self.lines)

    def __reduce__(self):  # a data pipeline's worker processes send errors back by pickle
        return type(self), (self.problems,)


@contextlib.contextmanager
def noted(problems: list[Problem], file: str | os.PathLike) -> Iterator[None]:
    """Adds an error that reading a file raises to a list of problems; the code after the block runs then too.

    Args:
        problems: The list; it grows.
        file: The file that the block reads.
    """
    try:
        yield
    except WriteError:  # a full disk is not a problem of this file
        raise
    except DatasetError as error:
        problems += error.problems
    except READING_ERRORS as error:
        problems.append(Problem.of(file, error))


def _in_one(problems):
    """Returns a problem of many files as a list of one line."""
    first, others = problems[0], counted(len(problems) - 1, "other file")
    return [one_line(replace(first, received=f"{first.received}, as in {others}"))]


def _reason(error):
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error) or type(error).__name__

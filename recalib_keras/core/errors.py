"""The errors of this package, all of one base.

A message is a single line of one grammar: `FILE: expected WHAT, got WHAT; HOW TO FIX IT`. An error that is raised with
these parts keeps them as attributes, so that no code needs to read the message.
"""

import os

from recalib_keras.core.messages import one_line


class RecalibError(Exception):
    """Base of all errors of this package that a user can fix.

    Args:
        message: The whole message; or None, to build it from the parts.
        file: The file or folder that is wrong, if it is one.
        expected: What was expected, in words.
        received: What was found instead.
        remedy: How to fix it.

    Attributes:
        file, expected, received, remedy: As given; None where the error was raised with a message alone.

    Example:
        >>> str(RecalibError(file="a.nii", expected="3 axes", received="2", remedy="give a volume"))
        'a.nii: expected 3 axes, got 2; give a volume'
    """

    def __init__(
        self,
        message: object = None,
        *,
        file: str | os.PathLike | None = None,
        expected: str | None = None,
        received: str | None = None,
        remedy: str | None = None,
    ):
        self.file, self.expected, self.received, self.remedy = file, expected, received, remedy
        super().__init__(one_line(self._in_words() if message is None else message))

    def _in_words(self) -> str:
        place = "" if self.file is None else f"{os.fspath(self.file)}: "
        remedy = "" if self.remedy is None else f"; {self.remedy}"
        return f"{place}expected {self.expected}, got {self.received}{remedy}"


class WriteError(RecalibError, OSError):
    """A file cannot be written: a folder without permission, a full disk."""


class RecordError(RecalibError, ValueError):
    """The content of a recipe, a preset or a study does not fit what it must describe."""


class VolumeError(RecalibError, ValueError):
    """A scan cannot be read, placed in space or written."""


class WeightsError(RecalibError, ValueError):
    """A weight file is not the one its preset describes, or does not fit the network."""


class EngineError(RecalibError, ValueError):
    """An inference engine cannot be used here."""


class TrainingError(RecalibError, RuntimeError):
    """A training cannot continue."""


class DivergedError(TrainingError):
    """The loss or a weight of a training is no longer finite."""


class StudyError(RecalibError, RuntimeError):
    """A hyperparameter search cannot continue."""

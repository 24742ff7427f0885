"""The errors of this package, all of one base, and the warning about scans.

A message is a single line of one grammar: `FILE: expected WHAT, got WHAT; HOW TO FIX IT`. An error that is raised with
these parts keeps them as attributes, so that no code needs to parse the message.
"""

import os
import sys
import warnings
from typing import Self

from recalib_keras.core.messages import one_line

MOST_OF_NAME = 300  # letters of a path or a key that a message shows
PACKAGE = __name__.split(".", maxsplit=1)[0]


class RecalibError(Exception):
    """Base of all errors of this package that a user can fix.

    Args:
        message: The whole message; or None, to build it from the parts.
        file: The file or folder that is wrong, if it is one.
        part: The part of the file that is wrong, such as a key of a recipe.
        expected: What was expected, in words.
        received: What was found instead.
        remedy: How to fix it.

    Attributes:
        file, part, expected, received, remedy: As given; None for parts that were not given. Without a remedy, that of
            the class, if it has one.

    Example:
        >>> str(RecalibError(file="a.nii", expected="3 axes", received="2", remedy="give a volume"))
        'a.nii: expected 3 axes, got 2; give a volume'
    """

    usual_remedy: str | None = None

    def __init__(
        self,
        message: object = None,
        *,
        file: str | os.PathLike | None = None,
        part: str | None = None,
        expected: str | None = None,
        received: str | None = None,
        remedy: str | None = None,
    ):
        self.file, self.part = file, part
        self.expected, self.received, self.remedy = expected, received, remedy or self.usual_remedy
        super().__init__(one_line(self._in_words() if message is None else self._with_remedy(str(message))))

    def at(self, file: str | os.PathLike, part: str | None = None) -> Self:
        """Returns this error with the file that it is about, for code that knows the file only further out.

        Args:
            file: The file or folder that is wrong.
            part: The part of it that is wrong; a part that this error names lies within.

        Returns:
            A new error of the same class; this one, if it has a file already.

        Example:
            >>> str(RecalibError(expected="3 axes", received="2").at("a.nii"))
            'a.nii: expected 3 axes, got 2'
        """
        if self.file is not None:
            return self
        message = None if self.expected is not None else f"{_prefix(file, part)}{self}"
        part = ": ".join(place for place in (part, self.part) if place is not None) or None
        return type(self)(
            message, file=file, part=part, expected=self.expected, received=self.received, remedy=self.remedy
        )

    def _with_remedy(self, message: str) -> str:
        """Returns a whole message, with the usual remedy if it is a complaint without one."""
        lacks_one = "expected " in message and ", got " in message and "; " not in message
        return f"{message}; {self.usual_remedy}" if self.usual_remedy and lacks_one else message

    def _in_words(self) -> str:
        remedy = "" if self.remedy is None else f"; {self.remedy}"
        return f"{_prefix(self.file, self.part)}expected {self.expected}, got {self.received}{remedy}"


def _prefix(file, part):
    return "".join(f"{_shortened(os.fspath(place))}: " for place in (file, part) if place is not None)


def _shortened(name):
    return name if len(name) <= MOST_OF_NAME else f"{name[:MOST_OF_NAME]}…"


class WriteError(RecalibError, OSError):
    """A file cannot be written: a folder without permission, a full disk."""


class RecordError(RecalibError, ValueError):
    """The content of a recipe, a preset or a study does not fit what it must describe."""

    usual_remedy = "correct this value"


class VolumeError(RecalibError, ValueError):
    """A scan cannot be read, placed in space or written."""


class WeightsError(RecalibError, ValueError):
    """A weight file is not the one its preset describes, or does not fit the network."""


class EngineError(RecalibError, ValueError):
    """An inference engine cannot be used here."""


class ExportError(RecalibError, RuntimeError):
    """A network cannot be exported, or the exported file does not compute what the network computes."""


class TrainingError(RecalibError, RuntimeError):
    """A training cannot continue."""


class DivergedError(TrainingError):
    """The loss or a weight of a training is no longer finite."""


class StudyError(RecalibError, RuntimeError):
    """A hyperparameter search cannot continue."""


class ClusterError(RecalibError, RuntimeError):
    """The workers of this machine, or those of a cluster, cannot be reached or used."""


class ScanWarning(UserWarning):
    """A scan is used, but something about it is doubtful: its place in space, or its intensities."""


def missing_package(what: str, package: str, command: str) -> ImportError:
    """Returns the error that a package is not installed.

    Args:
        what: What needs the package.
        package: Its name.
        command: The command that installs it, and what else helps.

    Example:
        >>> print(missing_package("reading DICOM", "pydicom", 'pip install "recalib-keras[dicom]"'))
        reading DICOM needs pydicom, which is not installed; run: pip install "recalib-keras[dicom]"
    """
    return ImportError(f"{what} needs {package}, which is not installed; run: {command}")


def warn_of_scan(message: object, file: str | os.PathLike | None = None) -> None:
    """Issues a `ScanWarning` for the line of the user's code that called this package.

    Args:
        message: What is doubtful, and what is assumed.
        file: The scan's file, which goes in front.
    """
    depth, frame = 2, sys._getframe(1)
    # By the module, not the file: in a checkout, some parts of the package lie in other folders.
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == PACKAGE:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(one_line(f"{_prefix(file, None)}{message}"), ScanWarning, stacklevel=depth)

"""How far a segmentation is: bars on a terminal, and lines from time to time anywhere else."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from recalib_keras.cli.messages import format_line
from recalib_keras.core.messages import duration

# Without bars, a line is printed at most once in this many seconds.
LINE_SECONDS = 30.0


class Bars:
    """A bar of the scans, if there are several, and below it one of the windows of the scan at work.

    Args:
        scans: The scans, in order.
        with_windows: Whether they are segmented here, one after the other.
    """

    level = logging.DEBUG  # of the steps that are shown: all, since a person looks on

    def __init__(self, scans: Sequence[Path], with_windows: bool):
        self._is_single = len(scans) == 1
        self._scans = _bar(total=len(scans), unit=" scans", disable=self._is_single and with_windows)

    def windows(self, windows: Sequence) -> Iterable:
        """Returns the windows of a scan behind a bar."""
        return _bar(windows, unit=" windows", position=0 if self._is_single else 1)

    def finished(self) -> None:
        """Counts a scan."""
        self._scans.update()

    def write(self, line: str) -> None:
        """Prints a line on stderr, above the bars."""
        self._scans.write(line, file=sys.stderr)

    def close(self) -> None:
        """Removes the bars."""
        self._scans.close()


class Lines:
    """A line on stderr from time to time, for a log file or a terminal without a size. Short work stays quiet.

    Args:
        command: Name of the command, such as `"segment"`.
        scans: The scans, in order.
        clock: Returns seconds.
    """

    level = logging.INFO  # of the steps that are shown: those that come once for a machine

    def __init__(self, command: str, scans: Sequence[Path], clock: Callable[[], float] = time.monotonic):
        self._command, self._scans, self._done, self._clock = command, scans, 0, clock
        self._start = self._written = self._scan_written = clock()

    def windows(self, windows: Sequence) -> Iterable:
        """Yields the windows of a scan."""
        start = self._scan_written = self._clock()
        for index, window in enumerate(windows):
            if index and self._is_time(self._scan_written):
                self._line(f"{self._scans[self._done]}: {index} of {len(windows)} windows", start, index, len(windows))
            yield window

    def finished(self) -> None:
        """Counts a scan."""
        self._done += 1
        if self._done < len(self._scans) and self._is_time(self._written):
            self._line(f"{self._done} of {len(self._scans)} scans", self._start, self._done, len(self._scans))

    def write(self, line: str) -> None:
        """Prints a line on stderr."""
        print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Does nothing: no line is open."""

    def _is_time(self, written):
        return self._clock() - written >= LINE_SECONDS

    def _line(self, text, start, done, of):
        self._written = self._scan_written = now = self._clock()
        left = duration((now - start) / done * (of - done))
        self.write(format_line(self._command, f"{text}, about {left} left"))


def open_progress(command: str, scans: Sequence[Path], with_windows: bool) -> Bars | Lines:
    """Returns what shows the progress: bars if stderr is a terminal, else lines.

    Args:
        command: Name of the command, such as `"segment"`.
        scans: The scans, in order.
        with_windows: Whether they are segmented here, one after the other.
    """
    return Bars(scans, with_windows) if _has_columns() else Lines(command, scans)


def _has_columns():
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # a stream without a file
        return False


def _bar(items=None, **settings: Any):
    from tqdm import tqdm

    return tqdm(items, leave=False, dynamic_ncols=True, **settings)

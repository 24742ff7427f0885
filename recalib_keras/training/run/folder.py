"""The folder of a run: everything that a training leaves on disk and resumes from."""

import contextlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError

from recalib_keras.core.errors import TrainingError, WriteError
from recalib_keras.core.files import write_bytes
from recalib_keras.training.data.class_balance import ClassShare
from recalib_keras.training.run.checkpoint import read_fingerprint, restore_checkpoint, save_checkpoint
from recalib_keras.training.run.fingerprint import difference, lengthened
from recalib_keras.training.run.log import TrainingLog
from recalib_keras.volumes import Volume
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.labels import Label

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"

# The names that `atomic_write` gives to files it has not finished.
UNFINISHED = re.compile(r"\.[0-9a-f]{16}(\.\w+)*")


class RunFolder:
    """The checkpoint, the best weights and the log of a training.

    Args:
        path: The folder.
        structures: The labels without the background.
        is_writer: Whether this process writes the files. Of several hosts one does, and the others only read.

    Attributes:
        history: The lines of the log so far, one dict for each epoch.
    """

    def __init__(self, path: str | os.PathLike, structures: Sequence[Label], is_writer: bool = True):
        self.path, self.structures, self.is_writer = Path(path), structures, is_writer
        self.checkpoint, self.best = self.path / CHECKPOINT, self.path / BEST
        self.history: list[dict[str, Any]] = []
        self._fingerprint: Any = None
        self._log: TrainingLog | None = None

    @contextlib.contextmanager
    def claimed(self, resume: bool) -> Iterator[None]:
        """Claims the folder for a block; if the block raises before the run begins, removes what was created.

        Args:
            resume: See `claim`.

        Raises:
            TrainingError: See `claim`.
            WriteError: See `claim`.
        """
        created = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.claim(resume)
            yield
        except BaseException:
            if self.is_writer:
                _remove_empty(created)
            raise

    def claim(self, resume: bool) -> None:
        """Creates the folder, and removes files that a killed run did not finish.

        Args:
            resume: Whether the folder may hold a run.

        Raises:
            TrainingError: The folder holds a run and `resume` is False.
            WriteError: The folder cannot be written.
        """
        if self._holds_a_run() and not resume:
            raise TrainingError(
                file=self.path,
                expected="a folder without a run",
                received="one that already holds a run",
                remedy="continue it with --resume, or choose another folder",
            )
        if not self.is_writer:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.touch()
            probe.unlink()
            for file in self.path.iterdir():
                if UNFINISHED.fullmatch(file.name):
                    file.unlink()
        except OSError as error:
            raise WriteError(
                file=self.path,
                expected="a folder that can be written",
                received=repr(error.strerror),
                remedy="choose another folder for the run, or change its permissions",
            ) from None

    def identify(self, fingerprint: Mapping[str, Any] | None) -> None:
        """Takes the fingerprint of the run, and compares it with that of the run in the folder, if there is one.

        Args:
            fingerprint: See `recalib_keras.training.run.fingerprint`.

        Raises:
            TrainingError: The folder holds a run of another recipe or other scans, or a file that is not a checkpoint.

        Warns:
            UserWarning: The run continues with more epochs, or does not say what it began with.
        """
        self._fingerprint = fingerprint
        if not self._holds_a_run():
            return
        begun = self._read(lambda: read_fingerprint(self.checkpoint))
        if begun is None:
            warnings.warn(
                f"{self.checkpoint} does not say which recipe and which scans its run began with; make sure that they "
                "are the same",
                stacklevel=3,
            )
            return
        longer = lengthened(begun, fingerprint)
        if longer:
            warnings.warn(f"{self.checkpoint}: {longer}", stacklevel=3)
        found = None if longer else difference(begun, fingerprint)
        if found:
            raise TrainingError(
                file=self.checkpoint,
                expected="a checkpoint of this run",
                received=f"one of another run: {found}",
                remedy="resume with the recipe and the scans that the run began with, or choose another folder",
            )

    def restore(self, model: keras.Model) -> None:
        """Sets the state of a model from the checkpoint, if there is one, and takes over the lines of its log.

        Args:
            model: Compiled and built model.

        Raises:
            TrainingError: The checkpoint belongs to another network, or is not a checkpoint.
        """
        if self._holds_a_run():
            self.history = self._read(lambda: restore_checkpoint(self.checkpoint, model))

    def begin(self) -> None:
        """Opens the log where the checkpoint ends.

        Raises:
            WriteError: The log cannot be written.
        """
        if self.is_writer:
            self._log = self._written(lambda: TrainingLog(self.path, self.structures, self.history))

    def write_classes(self, shares: Sequence[ClassShare]) -> None:
        """Writes the share of each class in the training scans, as `classes.csv`, if there are any.

        Args:
            shares: One for each class.

        Raises:
            WriteError: The table cannot be written.
        """
        if self.is_writer and shares:
            self._log.write_classes(shares)

    def draw(self, scan: Volume, labels: np.ndarray) -> None:
        """Draws a validation scan with its predicted labels; see `TrainingLog.draw`.

        Args:
            scan: The scan.
            labels: Label numbers `(X, Y, Z)`.
        """
        if self.is_writer:
            self._log.draw(scan, labels)

    def keep_if_best(self, line: Mapping[str, Any], model: keras.Model) -> None:
        """Keeps the model's weights if no earlier epoch has the same or a higher Dice.

        Args:
            line: The line of the epoch, with its `"dice"`.
            model: The model.

        Raises:
            WriteError: The weights cannot be written.
        """
        best = max((earlier.get("dice", -1) for earlier in self.history), default=-1)
        if line["dice"] > best:
            self.keep(model)

    def keep(self, model: keras.Model) -> None:
        """Keeps the model's weights as the best ones.

        Args:
            model: The model.

        Raises:
            WriteError: The weights cannot be written.
        """
        if self.is_writer:
            write_bytes(self.best, zoo_weights.serialize(model))

    def store_best(self, dtype: str) -> None:
        """Rounds the best weights to the dtype that they are stored in.

        Args:
            dtype: `"float32"` or `"float16"`.

        Raises:
            WeightsError: A weight is too large for the dtype.
            WriteError: The weights cannot be written.
        """
        if self.is_writer:
            content = zoo_weights.rounded(zoo_weights.read(self.best), dtype)
            if content != self.best.read_bytes():
                write_bytes(self.best, content)

    def end_epoch(self, line: dict[str, Any], model: keras.Model) -> None:
        """Adds the line of an epoch to the log, then writes the checkpoint that makes it part of the run.

        Args:
            line: The line of the epoch.
            model: The model after the epoch.

        Raises:
            WriteError: The log or the checkpoint cannot be written; the last checkpoint stays.
        """
        self.history.append(line)
        if self.is_writer:
            self._written(lambda: self._log.add(line))
            save_checkpoint(self.checkpoint, model, self.history, self._fingerprint)

    def last_checkpoint(self) -> str:
        """Returns in words where a stopped training continues from."""
        if not self._holds_a_run():
            return "there is no checkpoint yet, so the run starts anew"
        return f"the last good checkpoint, {self.checkpoint}, is of epoch {len(self.history)}"

    def _holds_a_run(self):
        try:
            return self.checkpoint.exists()
        except OSError as error:
            raise WriteError(
                file=self.checkpoint,
                expected="a folder that can be read",
                received=repr(error.strerror),
                remedy="check its permissions",
            ) from None

    def _read(self, read):
        """Returns the result of `read`, which reads the checkpoint."""
        try:
            return read()
        except (SafetensorError, ValueError) as error:
            raise TrainingError(
                file=self.checkpoint,
                expected="a checkpoint of this recipe's network",
                received=f"another file ({error})",
                remedy="resume with the recipe that the run began with, or choose another folder",
            ) from None

    def _written(self, write):
        """Returns the result of `write`; the errors of TensorBoard's writer do not name the file."""
        try:
            return write()
        except WriteError:
            raise
        except OSError as error:
            reason = repr(error.strerror or str(error))
            remedy = "check that the folder can be written and its disk has room"
            raise WriteError(
                f"expected to write the log into {self.path}, got {reason}; {remedy}",
                file=self.path,
                expected="a folder that the log can be written to",
                received=reason,
                remedy=remedy,
            ) from error


def _remove_empty(folders):
    """Removes folders from the innermost on, up to the first that holds anything."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return

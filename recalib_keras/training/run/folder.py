"""The folder of a run: all that a training leaves on disk, and goes on from."""

import re
import warnings
from pathlib import Path

from safetensors import SafetensorError

from recalib_keras.core.errors import TrainingError, WriteError
from recalib_keras.core.files import write_bytes
from recalib_keras.training.run.checkpoint import read_identity, restore_checkpoint, save_checkpoint
from recalib_keras.training.run.fingerprint import difference
from recalib_keras.training.run.log import Journal
from recalib_keras.zoo import weights as zoo_weights

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"

# The names that `atomic_write` gives to files it has not finished.
UNFINISHED = re.compile(r"\.[0-9a-f]{16}(\.\w+)*")


class RunFolder:
    """The checkpoint, the best weights and the journal of a training.

    Args:
        path: of the folder.
        structures: sequence of `recalib_keras.zoo.Label`, without the background.
        is_writer: whether this process writes them; of several hosts, one does, and the others only read.
    """

    def __init__(self, path, structures, is_writer=True):
        self.path, self.structures, self.is_writer = Path(path), structures, is_writer
        self.checkpoint, self.best = self.path / CHECKPOINT, self.path / BEST
        self.history, self._identity, self._journal = [], None, None

    def claim(self, resume) -> None:
        """Makes the folder, and takes away what a killed run did not finish writing.

        Raises:
            TrainingError: if it holds a run and `resume` is False.
            WriteError: if it cannot be written.
        """
        if self._holds_a_run() and not resume:
            raise TrainingError(f"{self.path} already holds a run; go on with --resume, or choose another folder")
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
                f"expected a folder to write the run to, got {self.path}, which cannot be written "
                f"({error.strerror}); choose another, or change who may write it"
            ) from None

    def identify(self, identity) -> None:
        """Takes the identity of the run, which the one that the folder holds must have too, if there is one.

        Args:
            identity: see `recalib_keras.training.run.fingerprint`.

        Raises:
            TrainingError: if the folder holds a run of another recipe or other scans, or no checkpoint.
        """
        self._identity = identity
        if not self._holds_a_run():
            return
        begun = self._read(lambda: read_identity(self.checkpoint))
        if begun is None:
            warnings.warn(
                f"{self.checkpoint} does not say by which recipe and on which scans its run was begun; make sure that "
                "they are the same",
                stacklevel=3,
            )
            return
        found = difference(begun, identity)
        if found:
            raise TrainingError(
                f"{self.checkpoint} is of another run: {found}; resume with the recipe and the scans the run was begun "
                "with, or choose another folder"
            )

    def restore(self, model) -> None:
        """Sets the state of a compiled model from the checkpoint, if there is one; keeps the lines of its log.

        Raises:
            TrainingError: if the checkpoint is of another network, or none at all.
        """
        if self._holds_a_run():
            self.history = self._read(lambda: restore_checkpoint(self.checkpoint, model))

    def begin(self) -> None:
        """Opens the journal where the checkpoint ends."""
        if self.is_writer:
            self._journal = self._written(lambda: Journal(self.path, self.structures, self.history))

    def draw(self, scan, labels) -> None:
        """Draws a validation scan with the labels found in it; see `Journal.draw`."""
        if self.is_writer:
            self._journal.draw(scan, labels)

    def keep_if_best(self, line, model) -> None:
        """Keeps the model's weights if no epoch before had a higher Dice than the line of this one."""
        best = max((earlier.get("dice", -1) for earlier in self.history), default=-1)
        if self.is_writer and line["dice"] > best:
            content = zoo_weights.serialize(model)
            write_bytes(self.best, content)

    def store_best(self, dtype) -> None:
        """Rounds the best weights to the dtype that they are stored in from now on."""
        if self.is_writer:
            content = zoo_weights.rounded(zoo_weights.read(self.best), dtype)
            if content != self.best.read_bytes():
                write_bytes(self.best, content)

    def end_epoch(self, line, model) -> None:
        """Adds the line of an epoch to the journal, then writes the checkpoint that makes it part of the run."""
        self.history.append(line)
        if self.is_writer:
            self._written(lambda: self._journal.add(line))
            save_checkpoint(self.checkpoint, model, self.history, self._identity)

    def last_good(self) -> str:
        """Returns where a stopped training goes on from, in words."""
        if not self._holds_a_run():
            return "there is no checkpoint yet, so that the run starts anew"
        return f"the last good checkpoint, {self.checkpoint}, is of epoch {len(self.history)}"

    def _holds_a_run(self):
        try:
            return self.checkpoint.exists()
        except OSError as error:
            raise WriteError(f"expected to read {self.checkpoint}, got {error.strerror!r}; check its folder") from None

    def _read(self, read):
        """Returns the result of `read`, which reads the checkpoint."""
        try:
            return read()
        except (SafetensorError, ValueError) as error:
            raise TrainingError(
                f"{self.checkpoint} is no checkpoint of this recipe's network ({error}); resume with the recipe the "
                "run was begun with, or choose another folder"
            ) from None

    def _written(self, write):
        """Returns the result of `write`; TensorBoard's writer does not say which file could not be written."""
        try:
            return write()
        except OSError as error:
            raise WriteError(
                f"expected to write the log into {self.path}, got {error.strerror or str(error)!r}; check that the "
                "folder can be written and its disk has room"
            ) from error

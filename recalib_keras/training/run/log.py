"""The log of a training in three forms, and a picture of how the network segments a validation scan."""

import json
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras import evaluation
from recalib_keras.core.files import write_text
from recalib_keras.core.tables import write_csv
from recalib_keras.training.data.class_balance import COLUMNS, ClassShare
from recalib_keras.volumes import Volume
from recalib_keras.zoo.labels import Label

LOG, TABLE, PICTURE, EVENTS = "log.jsonl", "log.csv", "validation.png", "tensorboard"
CLASSES = "classes.csv"
# The numbers in a line of the log, beside the Dice of each structure. Those after the seconds are in the lines of
# validated epochs alone.
NUMBERS = (
    "epoch",
    "loss",
    "seconds",
    "validation_loss",
    "validation_dice_loss",
    "validation_cross_entropy",
    "dice",
    "dice_sd",
)


class TrainingLog:
    """The log of a training, in the folder of its run.

    `log.jsonl` holds every line, `log.csv` the same as a table, and `tensorboard/` the same for TensorBoard, with the
    picture `validation.png` of each validation if matplotlib is installed. The first two are written anew with each
    line. After a resume, TensorBoard drops the epochs that are trained again.

    Args:
        folder: Folder of the run.
        structures: The labels without the background.
        history: The lines of earlier epochs.
    """

    def __init__(self, folder: str | os.PathLike, structures: Sequence[Label], history: Iterable[dict[str, Any]]):
        self.folder, self.structures, self.history = Path(folder), structures, list(history)
        self._events = _Events(self.folder / EVENTS, first_step=len(self.history) + 1)
        self._write()

    def write_classes(self, shares: Sequence[ClassShare]) -> None:
        """Writes the share of each class in the training scans, as `classes.csv`.

        Args:
            shares: One for each class.
        """
        write_csv(self.folder / CLASSES, COLUMNS, ([getattr(one, key) for key in COLUMNS] for one in shares), 6)

    def draw(self, scan: Volume, labels: np.ndarray) -> None:
        """Draws a validation scan with its predicted labels. Warns if matplotlib is not installed.

        Args:
            scan: The scan.
            labels: Label numbers `(X, Y, Z)`.
        """
        try:
            evaluation.overlay(scan, labels, self.structures, self.folder / PICTURE)
        except ImportError as error:
            warnings.warn(f"no picture of the validation: {error}", stacklevel=2)

    def add(self, line: dict[str, Any]) -> None:
        """Adds the line of an epoch. The line belongs to the run once its checkpoint is written.

        Args:
            line: The results of the epoch; see `NUMBERS`.
        """
        self.history.append(line)
        picture = self.folder / PICTURE
        self._events.add(line, picture if "dice" in line and picture.exists() else None)
        self._write()

    def _write(self):
        write_text(self.folder / LOG, "".join(json.dumps(line) + "\n" for line in self.history))
        names = [structure.name for structure in self.structures]
        write_csv(self.folder / TABLE, (*NUMBERS, *names), (_row(line, names) for line in self.history))


def _row(line, names):
    by_structure = line.get("dice_by_structure", {})
    return [*map(line.get, NUMBERS), *map(by_structure.get, names)]


class _Events:
    """Scalars and pictures for TensorBoard, written without TensorFlow, which other backends do not need."""

    def __init__(self, folder: Path, first_step: int):
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))
        self._add(first_step, session_log=SessionLog(status=SessionLog.START))
        self._writer.flush()

    def add(self, line: Mapping[str, Any], picture: Path | None) -> None:
        """Adds an epoch's numbers, and the picture if there is one."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = {key: line[key] for key in NUMBERS[1:] if key in line}
        scalars |= {f"dice/{name}": value for name, value in line.get("dice_by_structure", {}).items()}
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        if picture is not None:
            encoded = Summary.Image(encoded_image_string=picture.read_bytes())
            values.append(Summary.Value(tag="validation", image=encoded))
        self._add(line["epoch"], summary=Summary(value=values))
        self._writer.flush()

    def _add(self, step, **content):
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time.time(), step=step, **content))

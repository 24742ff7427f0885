"""What a training writes down: its log in three forms, and a picture of how it segments a validation scan."""

import csv
import io
import json
import time
import warnings
from pathlib import Path

from recalib_keras import evaluation
from recalib_keras.core.files import atomic_write

LOG, TABLE, PICTURE, EVENTS = "log.jsonl", "log.csv", "validation.png", "tensorboard"
# What a line of the log has beside the Dice of each structure; all behind the seconds only where it was validated.
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


class Journal:
    """The log of a training in its folder.

    `log.jsonl` has all of it, `log.csv` a table of it, and `tensorboard/` the same for TensorBoard, with the picture
    `validation.png` of each validation where matplotlib is installed. The first two are written anew with each line;
    TensorBoard is told to forget what a resumed run does again.

    Args:
        folder: path of the run.
        structures: sequence of `recalib_keras.zoo.Label`, without the background.
        history: the lines of the epochs before, dicts.
    """

    def __init__(self, folder, structures, history):
        self.folder, self.structures, self.history = Path(folder), structures, list(history)
        self._events = _Events(self.folder / EVENTS, first_step=len(history) + 1)
        self._write()

    def draw(self, scan, labels) -> None:
        """Draws a validation scan with the labels found in it.

        Args:
            scan: `recalib_keras.volumes.Volume`.
            labels: integer array of label numbers.
        """
        try:
            evaluation.overlay(scan, labels, self.structures, self.folder / PICTURE)
        except ImportError as error:
            warnings.warn(f"no picture of the validation: {error}", stacklevel=2)

    def add(self, line) -> None:
        """Adds the line of an epoch; it belongs to the run once its checkpoint is written."""
        self.history.append(line)
        picture = self.folder / PICTURE
        self._events.add(line, picture if "dice" in line and picture.exists() else None)
        self._write()

    def _write(self):
        text = "".join(json.dumps(line) + "\n" for line in self.history)
        for name, content in ((LOG, text), (TABLE, self._table())):
            atomic_write(
                self.folder / name, lambda path, content=content: path.write_text(content, "utf-8", newline="")
            )

    def _table(self):
        names = [structure.name for structure in self.structures]
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow([*NUMBERS, *names])
        for line in self.history:
            by_structure = line.get("dice_by_structure", {})
            writer.writerow([line.get(key, "") for key in NUMBERS] + [by_structure.get(name, "") for name in names])
        return table.getvalue()


class _Events:
    """Scalars and pictures for TensorBoard, written without TensorFlow, which not every backend has beside it."""

    def __init__(self, folder, first_step):
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))
        self._add(first_step, session_log=SessionLog(status=SessionLog.START))
        self._writer.flush()

    def add(self, line, picture):
        """Adds an epoch's numbers, and the picture at a path if there is one."""
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

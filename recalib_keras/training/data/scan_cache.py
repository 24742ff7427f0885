"""Prepared scans on disk: each is oriented, resampled and normalised once, and windows of it are read from there.

A scan's folder is named after a SHA-256 of its files, of what the network expects, and of the code that prepares it.
It holds plain NumPy arrays (`image.npy`, `classes.npy`, `counts.npy`), which are mapped into memory only while a window
is copied from them, so memory does not grow with the number of scans. A folder appears complete or not at all, so any
number of processes may share the cache.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras import __version__
from recalib_keras.core import cache
from recalib_keras.core.errors import TrainingError, WriteError
from recalib_keras.core.files import atomic_write, write_json
from recalib_keras.core.memory import in_bytes
from recalib_keras.datasets import Contents, LabelledScan
from recalib_keras.training.data.examples import Scan, read_scan
from recalib_keras.zoo.labels import Label
from recalib_keras.zoo.preset import Input

LAYOUT = 1  # of a scan's folder; with another number, all existing ones count as missing
FACTS = "scan.json"
# What prepares a scan: with other code, all existing folders count as missing.
SOURCE = ("volumes", "datasets", "zoo/preprocessing.py", "training/losses/label_sets.py", "training/data/examples.py")
HOW_TO_MAKE_ROOM = (
    "free some space, empty the cache by `recalib cache --clear`, let RECALIB_CACHE name a folder on another disk, or "
    "train with --no-cache, which keeps all scans in memory"
)


class StoredArray:
    """An array in a file, of which parts are read when they are needed.

    Args:
        path: A `.npy` file.

    Attributes:
        shape: Of the array.
        dtype: Of the array.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        array = self._read(lambda: np.load(self.path, mmap_mode="r", allow_pickle=False))
        self.shape, self.dtype, self._offset = array.shape, array.dtype, array.offset

    def __getitem__(self, part: Any) -> np.ndarray:
        # The header was read once; of the file no more than the part is copied, and it is unmapped at once.
        return np.array(self._read(lambda: np.memmap(self.path, self.dtype, "r", self._offset, self.shape)[part]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    def _read(self, read):
        try:
            return read()
        except (OSError, ValueError) as error:
            raise TrainingError(
                file=self.path,
                expected="a prepared scan in the cache",
                received=getattr(error, "strerror", None) or str(error),
                remedy="if the cache was cleared meanwhile, continue with --resume",
            ) from None


class ScanCache:
    """The prepared scans of one training.

    Args:
        expects: The input of the network.
        labels: The labels of the network, in the order of its classes.
    """

    def __init__(self, expects: Input, labels: Sequence[Label]):
        self.expects, self.labels, self.contents = expects, labels, Contents()

    def scan(self, labelled: LabelledScan, remaining: int = 1) -> Scan:
        """Returns a scan whose arrays lie in the cache; prepares it if they do not.

        Args:
            labelled: The scan.
            remaining: How many scans, this one included, are still to come, to see in time that the disk is too small.

        Raises:
            DatasetError: The scan cannot be read, or its label map has another grid or an unknown number.
            WriteError: The cache cannot be written, or its disk has too little room.
        """
        folder = self.folder(labelled)
        if not (folder / FACTS).is_file():
            scan = read_scan(labelled, self.expects, self.labels)
            _check_room(folder, scan, remaining)
            _write(scan, folder)
        return _open(folder, labelled)

    def folder(self, labelled: LabelledScan) -> Path:
        """Returns the folder of a prepared scan, which may be missing.

        Args:
            labelled: The scan.
        """
        expects = {k: v for k, v in dataclasses.asdict(self.expects).items() if k not in ("window", "context")}
        facts = {
            "layout": LAYOUT,
            "source": [__version__, cache.source_digest(*SOURCE)],
            "scan": self.contents.of(labelled),
            "input": expects,
            "labels": [label.id for label in self.labels],
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cache.root() / "scans" / key[:32]

    def save(self) -> None:
        """Remembers which files were read, so that the next training need not read them again."""
        self.contents.save()


def _open(folder, labelled):
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in facts["values"].items()}
    arrays = {name: StoredArray(folder / f"{name}.npy") for name in facts["arrays"]}
    return Scan(name=labelled.name, file=labelled.image, **values, **arrays)


def _write(scan, folder):
    """Writes a scan into a folder beside its own, which is then moved there unless another process was faster."""
    temporary = folder.with_name(f".{secrets.token_hex(8)}")
    values = {field.name: getattr(scan, field.name) for field in dataclasses.fields(scan)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in values.items() if name not in (*arrays, "name", "file")}
    try:
        for name, array in arrays.items():
            atomic_write(temporary / f"{name}.npy", lambda path, array=array: np.save(path, array))
        write_json(temporary / FACTS, {"arrays": list(arrays), "values": others})
        temporary.rename(folder)
    except OSError as error:
        if (folder / FACTS).is_file():
            return
        reason = getattr(error, "received", None) or error.strerror or str(error)
        raise _refused(folder, repr(reason)) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_room(folder, scan, remaining):
    size = sum(array.nbytes for array in vars(scan).values() if isinstance(array, np.ndarray))
    place = next(path for path in folder.parents if path.exists())
    free = shutil.disk_usage(place).free
    if size * remaining > free:
        raise _refused(folder, f"{in_bytes(free)} free for about {in_bytes(size * remaining)} of prepared scans")


def _refused(folder, received):
    return WriteError(
        file=folder.parent, expected="a cache that can be written", received=received, remedy=HOW_TO_MAKE_ROOM
    )

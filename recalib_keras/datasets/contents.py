"""The contents of a scan's files, identified by SHA-256, so that what was made from them is not made again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from recalib_keras.core import cache
from recalib_keras.core.errors import RecalibError, WriteError
from recalib_keras.core.files import read_file, write_json
from recalib_keras.datasets.label_mapping import distinct
from recalib_keras.datasets.problems import DatasetError
from recalib_keras.datasets.scan import LabelledScan

LABELS = "/labels"  # key of the label numbers in a file of digests; no file has this name


class Contents:
    """The SHA-256 of files, remembered until a file changes: as long as size, times and inode are the same.

    Digests are kept in the cache, in one file for each folder of scans. A cache that cannot be written is not an error:
    the files are read again the next time.
    """

    def __init__(self):
        self._known: dict[Path, dict[str, Any]] = {}
        self._changed: set[Path] = set()

    def of(self, scan: LabelledScan) -> str:
        """Returns a SHA-256 of all that decides what a scan is read as: its files, its volume, its merged labels.

        Args:
            scan: The scan.

        Raises:
            OSError: A file cannot be read.
        """
        facts = {
            key: value for key, value in dataclasses.asdict(scan).items() if key not in ("name", "patient", "part")
        }
        facts = {key: value for key, value in facts.items() if not _has_paths(value)}
        facts["channels"] = [(channel.name, channel.volume) for channel in scan.channels]
        digests = [self._digest(path) for path in scan.files]
        return hashlib.sha256(json.dumps([type(scan).__name__, facts, digests], default=str).encode()).hexdigest()

    def labels_in(self, scan: LabelledScan) -> frozenset[int]:
        """Returns the structures of a scan, by label number, merged; reads its label map the first time only.

        Args:
            scan: The scan.

        Raises:
            DatasetError: The scan cannot be read.
        """
        known = self._folder(Path(scan.labels).parent).setdefault(LABELS, {})
        key = self.of(scan)
        if key not in known:
            _, labels, problems = scan.inspect()
            if problems:
                raise DatasetError(problems)
            known[key] = np.unique(scan.merged(np.array(distinct(labels.array)))).tolist()
            self._changed.add(Path(scan.labels).parent)
        return frozenset(known[key]) - {0, scan.ignore}

    def save(self) -> None:
        """Writes what was learned to the cache."""
        for folder in self._changed:
            try:
                write_json(_index(folder), self._known[folder], indent=None)
            except WriteError:
                pass
        self._changed.clear()

    def _digest(self, path):
        known, status = self._folder(path.parent), os.stat(path)
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        entry = known.get(path.name)
        if not isinstance(entry, list) or len(entry) != 5 or entry[:4] != stamp:
            with open(path, "rb") as file:
                entry = known[path.name] = [*stamp, hashlib.file_digest(file, "sha256").hexdigest()]
            self._changed.add(path.parent)
        return entry[4]

    def _folder(self, folder):
        """Returns what is known of a folder's files."""
        if folder not in self._known:
            try:
                known = json.loads(read_file(_index(folder), "digests", RecalibError))
            except (RecalibError, ValueError):
                known = {}
            is_index = isinstance(known, dict) and isinstance(known.get(LABELS, {}), dict)
            self._known[folder] = known if is_index else {}
        return self._known[folder]


def _index(folder):
    return cache.root() / "files" / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}.json"


def _has_paths(value):
    return isinstance(value, Path) or (isinstance(value, (tuple, list)) and any(map(_has_paths, value)))

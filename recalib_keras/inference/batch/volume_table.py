"""The table of volumes that a batch leaves beside the labels, by which it also knows what is finished already."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import filelock

from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import check_lock_file
from recalib_keras.core.tables import read_csv, write_csv
from recalib_keras.evaluation import StructureVolume
from recalib_keras.evaluation.volumetry import total_volume

COLUMNS = (
    *("scan", "structure", "label", "voxels", "mm3", "percent_of_total", "total_mm3", "asymmetry_percent"),
    *("own_asymmetry_percent", "own_asymmetry_sd_percent", "mean_entropy", "warning", "labels", "made_by"),
)
WIDE_COLUMNS = ("scan", "labels", "total_mm3", "warning", "made_by")  # beside the structures
NEEDED = COLUMNS[:5]  # the least that a table of this kind has
LOCK_SECONDS = 60


class Labelled(NamedTuple):
    """A scan with its label map.

    Args:
        scan: Path of the scan, relative to the table's folder, so that a project can be moved.
        labels: Path of its label map, relative to the table's folder.
        made_by: What made the labels, in words: preset, weights, and all else that changes them.
    """

    scan: str
    labels: str
    made_by: str


class VolumeTable:
    """`volumes.csv`: a row for each structure of each label map. Rows and columns of others are kept.

    Several processes may write to one table. The total is the volume of all structures together: for a whole brain with
    its fluid, that inside the skull. The asymmetry of a pair is a percentage of the mean of its two sides; beside it is
    what the network finds in versions of a symmetric template, mean and standard deviation. Mean entropy and warning
    are known when labels are made; for labels that exist already, the table keeps what it says as long as the number of
    voxels is the same.

    Args:
        path: The table, which may be missing.

    Raises:
        RecordError: If the file is another kind of table.
    """

    def __init__(self, path: Path):
        self.path = path
        lock = path.with_name(f".{path.name}.lock")
        check_lock_file(lock, RecordError)
        self._lock = filelock.FileLock(lock, timeout=LOCK_SECONDS)
        self._read()

    def rows_by_label_map(self) -> dict[str, list[dict[str, str]]]:
        """Returns the rows of each label map that the table knows, by its path as the table names it."""
        found: dict[str, list[dict[str, str]]] = {}
        for row in self._read()[1]:
            found.setdefault(row["labels"], []).append(row)
        return found

    def replace(
        self, labelled: Labelled, volumes: Sequence[StructureVolume], entropies: Mapping[int, float], warning: str
    ) -> None:
        """Replaces the rows of one label map and writes the table.

        Args:
            labelled: The scan and its label map.
            volumes: The volume of each structure.
            entropies: Mean entropies by label number, as far as they are known.
            warning: What is unusual about the labels, or an empty text.
        """
        self.replace_all([(labelled, volumes, entropies, warning)])

    def replace_all(
        self, found: Iterable[tuple[Labelled, Sequence[StructureVolume], Mapping[int, float], str]]
    ) -> None:
        """Replaces the rows of several label maps and writes the table once.

        Args:
            found: For each label map the arguments of `replace`.
        """
        with self._lock:
            columns, rows = self._read()
            groups: dict[str, list[dict[str, str]]] = {}
            for row in rows:
                groups.setdefault(row["labels"] or self._absolute(row["scan"]), []).append(row)
            for labelled, volumes, entropies, warning in found:
                old = groups.pop(labelled.labels, []) + groups.pop(self._absolute(labelled.scan), [])
                groups[labelled.labels] = _new_rows(old, labelled, volumes, entropies, warning)
            write_csv(self.path, columns, [[row.get(name, "") for name in columns] for row in chain(*groups.values())])

    def write_wide(self, path: Path) -> Path:
        """Writes a row for each label map, with the mm³ of each structure in a column of its own.

        Args:
            path: The file to write.

        Returns:
            `path`.
        """
        rows = [row for row in self._read()[1] if row["labels"]]
        names = list(dict.fromkeys(row["structure"] for row in rows))
        scans: dict[str, dict[str, str]] = {}
        for row in rows:
            wide = scans.setdefault(row["labels"], {name: row[name] for name in WIDE_COLUMNS})
            wide[row["structure"]] = row["mm3"]
        columns = [*WIDE_COLUMNS, *names]
        write_csv(path, columns, [[wide.get(name, "") for name in columns] for wide in scans.values()])
        return path

    def _absolute(self, scan):
        """Returns the absolute path of a scan, which tables of earlier versions hold; others are relative to them."""
        return os.path.abspath(self.path.parent / scan)

    def _read(self):
        """Returns the names of the columns, and the rows as dicts."""
        if not self.path.exists():
            return COLUMNS, []
        table = read_csv(
            self.path, NEEDED, f"a table of volumes with the columns {', '.join(NEEDED)}", allow_short_rows=True
        )
        missing = [name for name in COLUMNS if name not in table.columns]
        return (*table.columns, *missing), [row | dict.fromkeys(missing, "") for row in table.rows]


def warning_of(rows: Sequence[Mapping[str, str]], volumes: Sequence[StructureVolume]) -> str | None:
    """Returns the warning that rows hold; None if they hold none, or the labels have changed since.

    Args:
        rows: From `VolumeTable.rows_by_label_map`.
        volumes: Volumes of the labels as they are now.
    """
    known = {(row["label"], row["voxels"]) for row in rows}
    is_same = rows and all((str(found.label), str(found.voxels)) in known for found in volumes)
    return rows[0]["warning"] if is_same else None


def relative(path: Path, folder: Path) -> str:
    """Returns a path as the table names it: relative to the table's folder, with slashes.

    Args:
        path: The path.
        folder: The folder.
    """
    try:
        return os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:  # on another drive of Windows
        return os.path.abspath(path)


def _new_rows(old, labelled, volumes, entropies, warning):
    """Returns the rows of a label map; what other columns say of the same number of voxels stays."""
    known = {tuple(row[name] for name in COLUMNS[1:4]): row for row in old}
    total, rows = total_volume(volumes), []
    for found in volumes:
        key = (found.name, str(found.label), str(found.voxels))
        measured: tuple[str, ...] = (
            f"{found.cubic_millimetres:.1f}",
            _number(found.percent_of_total, 3),
            f"{total:.1f}",
            _number(found.asymmetry_percent, 2),
            *(_number(value, 2) for value in found.own_asymmetry or (None, None)),
            _number(entropies.get(found.label), 4) or known.get(key, {}).get("mean_entropy", ""),
        )
        new = dict(zip(COLUMNS, (labelled.scan, *key, *measured, warning, labelled.labels, labelled.made_by)))
        rows.append(known.get(key, {}) | new)
    return rows


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"

"""The table of volumes that a batch leaves beside the labels, by which it also knows what is finished already."""

import os
from collections.abc import Mapping, Sequence
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
    *("mean_entropy", "warning", "labels", "made_by"),
)
NEEDED = COLUMNS[:5]  # the least that a table of this kind has
LOCK_SECONDS = 60


class Labelled(NamedTuple):
    """A scan with its label map.

    Args:
        scan: Absolute path of the scan.
        labels: Path of its label map, relative to the table's folder.
        made_by: What made the labels, in words: preset, weights, and all else that changes them.
    """

    scan: str
    labels: str
    made_by: str


class VolumeTable:
    """`volumes.csv`: a row for each structure of each label map. Rows and columns of others are kept.

    Several processes may write to one table. The total is the volume of all structures together: for a whole brain with
    its fluid, that inside the skull. The asymmetry of a pair is a percentage of the mean of its two sides. Mean entropy
    and warning are known when labels are made; for labels that exist already, the table keeps what it says as long as
    the number of voxels is the same.

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

    def rows_of(self, labelled: Labelled) -> list[dict[str, str]]:
        """Returns the rows of a label map that exists already; none if the table does not know it.

        Raises:
            RecordError: If the rows belong to another scan, or the labels were made in another way.
        """
        rows = [row for row in self._read()[1] if row["labels"] == labelled.labels]
        for row in rows:
            if (row["scan"], row["made_by"]) != (labelled.scan, labelled.made_by):
                raise RecordError(
                    f"expected {labelled.labels} to be the labels of {labelled.scan} by {labelled.made_by}, got those "
                    f"of {row['scan']} by {row['made_by']} according to {self.path}; choose another output folder "
                    "(-o), or overwrite them (--overwrite)"
                )
        return rows

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
        with self._lock:
            columns, rows = self._read()
            replaced = [row for row in rows if _belongs_to(row, labelled)]
            known = {tuple(row[name] for name in COLUMNS[:4]): row for row in replaced}
            rows = [row for row in rows if not _belongs_to(row, labelled)]
            total = total_volume(volumes)
            for found in volumes:
                key = (labelled.scan, found.name, str(found.label), str(found.voxels))
                measured = (
                    f"{found.cubic_millimetres:.1f}",
                    _number(found.percent_of_total, 3),
                    f"{total:.1f}",
                    _number(found.asymmetry_percent, 2),
                    _number(entropies.get(found.label), 4) or known.get(key, {}).get("mean_entropy", ""),
                )
                new = dict(zip(COLUMNS, (*key, *measured, warning, labelled.labels, labelled.made_by)))
                rows.append(known.get(key, {}) | new)
            write_csv(self.path, columns, [[row.get(name, "") for name in columns] for row in rows])

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
        rows: From `VolumeTable.rows_of`.
        volumes: Volumes of the labels as they are now.
    """
    known = {(row["label"], row["voxels"]) for row in rows}
    is_same = rows and all((str(found.label), str(found.voxels)) in known for found in volumes)
    return rows[0]["warning"] if is_same else None


def relative(path: Path, folder: Path) -> str:
    """Returns a path as the table names it: relative to the table's folder, with slashes."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _belongs_to(row, labelled):
    """Returns whether a row belongs to a label map; a row that names no label map belongs to all of its scan."""
    return row["labels"] == labelled.labels if row["labels"] else row["scan"] == labelled.scan


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"

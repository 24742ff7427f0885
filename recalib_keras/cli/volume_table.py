"""The table of volumes that `recalib segment` leaves beside the labels, and how it knows what is there already."""

import os
from typing import NamedTuple

import filelock

from recalib_keras.core.tables import read_csv, write_csv

COLUMNS = (
    *("scan", "structure", "label", "voxels", "mm3", "percent_of_total", "total_mm3", "asymmetry_percent"),
    *("mean_entropy", "warning", "labels", "made_by"),
)
NEEDED = COLUMNS[:5]  # what a table of this kind has at the least
LOCK_SECONDS = 60


class Labelled(NamedTuple):
    """A scan with its labels.

    Args:
        scan: absolute path of the scan.
        labels: path of its label map, relative to the table's folder.
        made_by: what made the labels: preset, weights, and whatever else changes them.
    """

    scan: str
    labels: str
    made_by: str


class VolumeTable:
    """`volumes.csv`: a row for each structure of each label map, written after each; other rows and columns are kept.

    Several processes may write to one table. The total is the volume of all structures together: that within the skull,
    for a whole brain with its fluid. The asymmetry of a pair is a percentage of the mean of its two sides. A mean
    entropy and a warning are known of labels just made; of labels that were there they stay what the table says, as
    long as their voxels are as many.

    Args:
        path: of the table, which need not be there yet.

    Raises:
        ValueError: if the file there is another kind of table.
    """

    def __init__(self, path):
        self.path = path
        self._lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS)
        self._read()

    def rows_of(self, labelled):
        """Returns the rows of labels that are there already, dicts; none where the table does not know them.

        Raises:
            ValueError: if they are those of another scan, or were made otherwise.
        """
        rows = [row for row in self._read()[1] if row["labels"] == labelled.labels]
        for row in rows:
            if (row["scan"], row["made_by"]) != (labelled.scan, labelled.made_by):
                raise ValueError(
                    f"expected {labelled.labels} to be the labels of {labelled.scan} by {labelled.made_by}, but it is "
                    f"those of {row['scan']} by {row['made_by']}, as {self.path} says; give another folder with -o, or "
                    "replace them with --overwrite"
                )
        return rows

    def replace(self, labelled, volumes, entropies, warning) -> None:
        """Sets the rows of one label map and writes the table.

        Args:
            labelled: `Labelled`.
            volumes: list of `recalib_keras.evaluation.StructureVolume`.
            entropies: dict from labels to mean entropies, as far as they are known.
            warning: what is unusual about the labels, or an empty text.
        """
        with self._lock:
            columns, rows = self._read()
            replaced = [row for row in rows if _is_of(row, labelled)]
            known = {tuple(row[name] for name in COLUMNS[:4]): row for row in replaced}
            rows = [row for row in rows if not _is_of(row, labelled)]
            total = sum(found.cubic_millimetres for found in volumes)
            for found in volumes:
                identity = (labelled.scan, found.name, str(found.label), str(found.voxels))
                measured = (
                    f"{found.cubic_millimetres:.1f}",
                    _number(found.percent_of_total, 3),
                    f"{total:.1f}",
                    _number(found.asymmetry_percent, 2),
                    _number(entropies.get(found.label), 4) or known.get(identity, {}).get("mean_entropy", ""),
                )
                new = dict(zip(COLUMNS, (*identity, *measured, warning, labelled.labels, labelled.made_by)))
                rows.append(known.get(identity, {}) | new)
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


def _is_of(row, labelled):
    """Returns whether a row is of a label map; one that names none is of all that its scan has."""
    return row["labels"] == labelled.labels if row["labels"] else row["scan"] == labelled.scan


def warning_of(rows, volumes):
    """Returns what rows say is unusual about labels; None if they do not say it, or the labels were changed since.

    Args:
        rows: as from `VolumeTable.rows_of`.
        volumes: list of `recalib_keras.evaluation.StructureVolume`, of the labels as they are now.
    """
    known = {(row["label"], row["voxels"]) for row in rows}
    is_same = rows and all((str(found.label), str(found.voxels)) in known for found in volumes)
    return rows[0]["warning"] if is_same else None


def made_by(preset, weights, volume, flip):
    """Returns in words what makes labels: all that changes them but rounding.

    Args:
        preset: `recalib_keras.zoo.Preset`.
        weights: as for its `shares`.
        volume, flip: the options of these names.
    """
    shares = preset.shares(weights)
    parts = [
        f"{name} {preset.weight_sets[name].sha256[:8]}" + (f" × {share:g}" if len(shares) > 1 else "")
        for name, share in shares.items()
    ]
    words = [f"{preset.name} {' + '.join(parts)}"]
    words += [] if volume is None else [f"volume {volume}"]
    return ", ".join([*words, *["averaged with the mirror image"] * flip])


def relative(path, folder):
    """Returns a path as the table names it: from the table's folder on, with slashes."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"

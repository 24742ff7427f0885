"""Names of scans and tables on disk, the same for every command."""

import csv

SCAN_SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh", ".img", ".hdr")
LABEL_SUFFIXES = (".nii.gz", ".nii", ".mgz")


def stem(path):
    """Returns the name of a scan's file without its suffix; that of a folder as it is."""
    suffix = next((suffix for suffix in SCAN_SUFFIXES if path.name.endswith(suffix)), "")
    return path.name.removesuffix(suffix)


def write_table(path, rows):
    """Writes rows as CSV; an existing file is replaced once the new one is complete."""
    from recalib_keras.volumes import atomic_write

    def write(temporary):
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    atomic_write(path, write)

"""Where the label map of each scan of a batch goes, checked before the first one is made."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from recalib_keras.core.errors import WriteError
from recalib_keras.inference.maps import ENTROPY, MUTUAL_INFORMATION, PROBABILITIES
from recalib_keras.volumes.channels import case_name, one_per_case
from recalib_keras.volumes.names import LABEL_SUFFIXES, LABELS_ENDING, one_per_scan, stem

LABELS = f"{LABELS_ENDING}.nii.gz"  # the end of a label map's name
# The ends of the names of all images that a batch makes of a scan.
MADE = (LABELS, *(f"_{name}.nii.gz" for name in (PROBABILITIES, ENTROPY, MUTUAL_INFORMATION)))


def find_scans(paths: Iterable[str | os.PathLike], channels: int = 1) -> list[Path]:
    """Returns scans; of a folder of NIfTI or MGZ files, these files, without label maps and maps that a batch made.

    Any other folder is left as it is: it may hold a DICOM series.

    Args:
        paths: Files and folders.
        channels: Number of channels of a scan; of several, nnU-Net's files of one scan count once.
    """
    found = []
    for path in map(Path, paths):
        inside = [file for file in sorted(path.iterdir()) if _is_scan(file)] if path.is_dir() else []
        found += inside or [path]
    return one_per_scan(found) if channels == 1 else one_per_case(found)


def _is_scan(file):
    if not file.name.lower().endswith(LABEL_SUFFIXES) or file.name.startswith(".") or not file.is_file():
        return False
    scans = [file.name.removesuffix(end) for end in MADE if file.name.endswith(end)]
    return not any(file.with_name(scan + suffix).exists() for scan in scans for suffix in LABEL_SUFFIXES)


def label_files(
    scans: Sequence[Path], output: Path, names: Sequence[Path] | None = None, channels: int = 1
) -> tuple[list[tuple[Path, Path]], Path]:
    """Returns each scan with the path of its label map, and the folder of all, which is created.

    Args:
        scans: The scans.
        output: Path of a folder; for a single scan, also that of its label map.
        names: The path of each label map in the folder; None to name it after the scan.
        channels: Number of channels of a scan.

    Raises:
        ValueError: Two scans have one label map, several scans a single file, or labels would replace a scan.
        WriteError: The folder cannot be written.
    """
    if output.name.endswith(LABEL_SUFFIXES) and not output.is_dir():
        if len(scans) > 1:
            raise ValueError(f"expected a folder for {len(scans)} scans, got the file {output}; give -o a folder")
        targets, folder = [(scan, output) for scan in scans], output.parent
    else:
        names = names or _names(scans, stem if channels == 1 else case_name)
        targets, folder = [(scan, output / name) for scan, name in zip(scans, names)], output
    _check_different(targets)
    _check_no_scan(targets)
    _check_writable(folder)
    return targets, folder


def part_of(targets: Sequence[tuple[Path, Path]], part: tuple[int, int] | None) -> list[tuple[Path, Path]]:
    """Returns every N-th target, from the I-th on.

    Args:
        targets: All targets.
        part: `(I, N)`, I from 1; None for all.

    Raises:
        ValueError: I is not from 1 to N.
    """
    number, of = part or (1, 1)
    if not 1 <= number <= of:
        raise ValueError(f"expected a part I/N with I from 1 to N, got {number}/{of}; give each job its own I")
    return list(targets[number - 1 :: of])


def _names(scans, name_of):
    """Returns the path of each scan's label map, relative to the folder of all."""
    scans = [Path(os.path.abspath(scan)) for scan in scans]
    names = [Path(name_of(scan) + LABELS) for scan in scans]
    if len(set(names)) == len(names):
        return names
    common = os.path.commonpath([scan.parent for scan in scans])
    return [scan.parent.relative_to(common) / name for scan, name in zip(scans, names)]


def _check_different(targets):
    by_label_map = {}
    for scan, labels in targets:
        if labels in by_label_map:
            raise ValueError(
                f"expected a label map of its own for each scan, got {labels} for both {by_label_map[labels]} and "
                f"{scan}; segment them into two folders"
            )
        by_label_map[labels] = scan


def _check_no_scan(targets):
    scans = {scan.resolve() for scan, _ in targets}
    for scan, labels in targets:
        if labels.resolve() in scans:
            raise ValueError(
                f"expected label maps that replace no scan, got {labels} for {scan}, which is given as a scan; "
                f"choose another output folder (-o), or leave {labels.name} out"
            )


def _check_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise WriteError(
            file=folder,
            expected="a folder to write to",
            received=f"{error.strerror!r}",
            remedy="choose another output folder (-o), or change its permissions",
        ) from None

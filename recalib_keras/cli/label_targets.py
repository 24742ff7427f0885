"""Where the labels of scans go."""

import os
import tempfile
from pathlib import Path


def label_targets(scans, output):
    """Returns each scan with the path of its label map, and makes the folder that they go to.

    Scans of one name, such as `*/mri/orig.mgz`, keep the folders that they lie in below the one common to all.

    Args:
        scans: paths.
        output: path of a folder; for a single scan, that of its label map too.

    Returns:
        List of pairs of paths, and the folder.

    Raises:
        ValueError: if two scans would be written to one file, several scans to a single file, or labels over a scan.
        OSError: if the folder cannot be written.
    """
    from recalib_keras.volumes.names import LABEL_SUFFIXES, one_per_scan

    scans = one_per_scan(scans)
    if output.name.endswith(LABEL_SUFFIXES) and not output.is_dir():
        if len(scans) > 1:
            raise ValueError(f"expected a folder for {len(scans)} scans, got the file {output}; give -o a folder")
        targets, folder = [(scans[0], output)], output.parent
    else:
        targets, folder = [(scan, output / name) for scan, name in zip(scans, _names(scans))], output
    _check_different(targets)
    _check_no_scan(targets)
    _check_writable(folder)
    return targets, folder


def _names(scans):
    """Returns the path of each scan's label map below the folder of all."""
    from recalib_keras.volumes.names import stem

    scans = [Path(os.path.abspath(scan)) for scan in scans]
    names = [Path(f"{stem(scan)}_labels.nii.gz") for scan in scans]
    if len(set(names)) == len(names):
        return names
    common = os.path.commonpath([scan.parent for scan in scans])
    return [scan.parent.relative_to(common) / name for scan, name in zip(scans, names)]


def _check_different(targets):
    by_target = {}
    for scan, target in targets:
        if target in by_target:
            raise ValueError(
                f"{by_target[target]} and {scan} would both be written to {target}; segment them into two folders"
            )
        by_target[target] = scan


def _check_no_scan(targets):
    scans = {scan.resolve() for scan, _ in targets}
    for scan, target in targets:
        if target.resolve() in scans:
            raise ValueError(
                f"expected label maps to be written elsewhere than where scans lie, but those of {scan} would go to "
                f"{target}, which is given as a scan; give another -o, or leave {target.name} out"
            )


def _check_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"expected a folder to write to, but {folder} cannot be written ({error.strerror})") from None

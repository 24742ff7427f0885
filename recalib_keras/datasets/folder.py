"""Labelled scans in a folder of the Medical Segmentation Decathlon's layout."""

from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".nii.gz", ".nii", ".mgz")


@dataclass(frozen=True)
class LabelledScan:
    """A scan and its label map, by path. `name` is the file's name without its suffix."""

    name: str
    image: Path
    labels: Path


def find_scans(folder):
    """Returns the labelled scans of a folder, sorted by name.

    Args:
        folder: path that holds `imagesTr/` with the scans and `labelsTr/` with label maps of the same names.

    Raises:
        FileNotFoundError: if a folder is missing, holds no scan, or a scan has no label map (all are named).
        FileExistsError: if a scan is there in two formats.
    """
    folder = Path(folder)
    images, labels = _by_name(folder / "imagesTr"), _by_name(folder / "labelsTr")
    missing = sorted(images.keys() - labels.keys())
    if missing:
        raise FileNotFoundError(f"expected a label map in {folder / 'labelsTr'} for each scan; missing: {missing}")
    return [LabelledScan(name, images[name], labels[name]) for name in sorted(images)]


def split(scans, every):
    """Returns training and validation scans: of the scans as sorted, every `every`-th one validates, from the first.

    >>> split(list("abcdefg"), every=5)
    (['b', 'c', 'd', 'e', 'g'], ['a', 'f'])
    """
    training = [scan for index, scan in enumerate(scans) if index % every]
    return training, list(scans[::every])


def _by_name(folder):
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of scans at {folder}; point --data or RECALIB_DATA at its parent")
    found = {}
    for path in folder.iterdir():
        suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
        if suffix and not path.name.startswith("."):
            name = path.name.removesuffix(suffix)
            if name in found:
                raise FileExistsError(f"expected one file a scan, found {found[name]} and {path}; move one away")
            found[name] = path
    if not found:
        raise FileNotFoundError(f"expected scans ({', '.join(SUFFIXES)}) in {folder}; there are none")
    return found

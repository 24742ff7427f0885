"""The names of scans on disk: their endings, and the name without one."""

from pathlib import Path

# One file holds one scan or label map: what datasets are made of, and what can be written.
NIFTI_SUFFIXES, MGH_SUFFIXES = (".nii.gz", ".nii"), (".mgz", ".mgh")
LABEL_SUFFIXES = NIFTI_SUFFIXES + MGH_SUFFIXES
# `.img` and `.hdr` lie side by side and are one scan.
SCAN_SUFFIXES = (*LABEL_SUFFIXES, ".img", ".hdr")


def stem(path: Path) -> str:
    """Returns the name of a scan's file without its suffix; any other name, such as a folder's, unchanged.

    Args:
        path: The file or folder.

    Example:
        >>> stem(Path("scans/head.T1.nii.gz")), stem(Path("scans/series.7"))
        ('head.T1', 'series.7')
    """
    name = path.name
    suffix = next((suffix for suffix in SCAN_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]

"""Scans and label maps of the same names in two folders."""

from recalib_keras.datasets.problems import Problem
from recalib_keras.volumes.names import LABEL_SUFFIXES, stem


def paired(images_folder, labels_folder, label_name=str):
    """Returns scans with their label maps, by name.

    Hidden files and files that are no scans are passed over.

    Args:
        images_folder, labels_folder: `pathlib.Path`.
        label_name: function that turns a scan's name into that of its label map; the same name by default.

    Returns:
        Dict of name to `(image, label map)` in the order of names, a list of `Problem` (no label map, several files of
        one name), and a list of those that keep no scan from being read (label maps without a scan).

    Raises:
        FileNotFoundError: a folder is missing, or holds no scan.
    """
    images, problems = _by_name(images_folder)
    labels, doubled_labels = _by_name(labels_folder)
    wanted = {label_name(name): name for name in images}
    problems += [problem for problem in doubled_labels if stem(problem.file) in wanted]
    problems += [
        Problem(labels_folder / name, f"a label map for the scan {images[scan]}", "none")
        for name, scan in wanted.items()
        if name not in labels
    ]
    remarks = [
        Problem(path, f"a scan for this label map in {images_folder}", "none")
        for name, path in labels.items()
        if name not in wanted
    ]
    pairs = {scan: (images[scan], labels[name]) for name, scan in wanted.items() if name in labels}
    return pairs, problems, remarks


def visible_files(folder):
    """Returns the files of a folder that are not hidden, sorted by name.

    macOS puts a hidden `._name` beside each file that it packs, and the Decathlon's archives are full of them.
    """
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def first_folder(*candidates):
    """Returns the first of these paths that is a folder, or None."""
    return next((path for path in candidates if path.is_dir()), None)


def _by_name(folder):
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of scans at {folder}, got none; give the folder that holds it")
    found, problems = {}, []
    for path in visible_files(folder):
        if not path.name.lower().endswith(LABEL_SUFFIXES):
            continue
        name = stem(path)
        if name in found:
            problems.append(Problem(path, "one file of a name", f"{found[name]} too; move one away"))
        found.setdefault(name, path)
    if not found:
        raise FileNotFoundError(f"expected scans ({', '.join(LABEL_SUFFIXES)}) in {folder}, got none")
    return found, problems

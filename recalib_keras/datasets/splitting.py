"""Hold some patients out."""

from fnmatch import fnmatchcase


def split(scans, every, held_out=()):
    """Returns training and validation scans: of the patients in order, every `every`-th validates, from the first.

    All scans of a patient stay together. Where a set is officially split, its test scans are in neither list: they
    are for the end, and `[scan for scan in scans if scan.part == "test"]` has them.

    Args:
        scans: list of `LabelledScan`, as sorted by `find_scans`.
        every: positive integer; 1 holds all patients out.
        held_out: names of the patients that validate instead, or of scans, which stand for all of their patient's; or
            patterns of names such as `"site_2_*"`.

    Returns:
        Two lists in the order of `scans`.

    Raises:
        ValueError: if `every` is not positive, or no patient and no scan has one of the names in `held_out`.

    >>> from recalib_keras.datasets import LabelledScan
    >>> scans = [LabelledScan(name, "image", "labels", patient=name[0]) for name in ("a", "b1", "b2", "c")]
    >>> [[scan.name for scan in part] for part in split(scans, every=2)]
    [['b1', 'b2'], ['a', 'c']]
    """
    if every < 1:
        raise ValueError(f"expected to hold out every 1st, 2nd, … patient, got every={every}")
    scans = [scan for scan in scans if scan.part != "test"]
    patients = list(dict.fromkeys(scan.patient for scan in scans))
    chosen = _named(scans, held_out) if held_out else set(patients[::every])
    return (
        [scan for scan in scans if scan.patient not in chosen],
        [scan for scan in scans if scan.patient in chosen],
    )


def _named(scans, patterns):
    """Returns the patients that patterns name, by their own name or that of one of their scans."""
    chosen = set()
    for pattern in patterns:
        found = {scan.patient for scan in scans for name in (scan.patient, scan.name) if fnmatchcase(name, pattern)}
        if not found:
            known = ", ".join(dict.fromkeys(name for scan in scans for name in (scan.patient, scan.name)))
            raise ValueError(f"expected patients or scans to hold out by the name {pattern!r}, got {known}")
        chosen |= found
    return chosen

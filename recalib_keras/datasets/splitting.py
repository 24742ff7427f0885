"""Hold some patients out."""


def split(scans, every):
    """Returns training and validation scans: of the patients in order, every `every`-th validates, from the first.

    All scans of a patient stay together. Where a set is officially split, its test scans are in neither list: they
    are for the end, and `[scan for scan in scans if scan.part == "test"]` has them.

    Args:
        scans: list of `LabelledScan`, as sorted by `find_scans`.
        every: positive integer; 1 holds all patients out.

    Returns:
        Two lists in the order of `scans`.

    >>> from recalib_keras.datasets import LabelledScan
    >>> scans = [LabelledScan(name, "image", "labels", patient=name[0]) for name in ("a", "b1", "b2", "c")]
    >>> [[scan.name for scan in part] for part in split(scans, every=2)]
    [['b1', 'b2'], ['a', 'c']]
    """
    if every < 1:
        raise ValueError(f"expected to hold out every 1st, 2nd, … patient, got every={every}")
    scans = [scan for scan in scans if scan.part != "test"]
    patients = list(dict.fromkeys(scan.patient for scan in scans))
    held_out = set(patients[::every])
    return (
        [scan for scan in scans if scan.patient not in held_out],
        [scan for scan in scans if scan.patient in held_out],
    )

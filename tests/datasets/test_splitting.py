import pytest

from recalib_keras.datasets import LabelledScan, split


def scans(names, patients=None, parts=None):
    return [
        LabelledScan(name, "image", "labels", patient, part)
        for name, patient, part in zip(names, patients or names, parts or [None] * len(names))
    ]


@pytest.mark.parametrize(
    ("every", "training", "validation"),
    [(5, "bcdeghij", "afk"), (1, "", "abcdefghijk"), (2, "bdfhj", "acegik"), (100, "bcdefghijk", "a")],
)
def test_every_so_many_th_scan_validates_from_the_first(every, training, validation):
    found = split(scans("abcdefghijk"), every)
    assert ["".join(scan.name for scan in part) for part in found] == [training, validation]


def test_all_scans_of_a_patient_stay_together():
    training, validation = split(scans("abcdefg", "PPQRQPS"), every=2)
    assert [scan.name for scan in validation] == ["a", "b", "d", "f"]  # patients P and R
    assert {scan.patient for scan in training} == {"Q", "S"}


def test_official_test_scans_are_in_neither():
    training, validation = split(scans("abcd", parts=["train", "test", "train", "test"]), every=2)
    assert [scan.name for scan in training + validation] == ["c", "a"]


@pytest.mark.parametrize("every", [0, -1])
def test_every_must_be_positive(every):
    with pytest.raises(ValueError, match=f"expected to hold out every 1st.*got every={every}"):
        split(scans("ab"), every)


def test_named_patients_are_held_out_instead():
    found = scans(["a_1", "b_1", "a_2", "c_1"])
    training, validation = split(found, every=2, held_out=("a_*", "c_1"))
    assert [scan.name for scan in training] == ["b_1"]
    assert [scan.name for scan in validation] == ["a_1", "a_2", "c_1"]


@pytest.mark.parametrize("name", ["MR_02", "MR_02_t2", "*_02_t2"])
def test_a_named_scan_holds_out_its_patient(name):
    found = scans(["MR_01_t2", "MR_02_t1", "MR_02_t2"], ["MR_01", "MR_02", "MR_02"])
    assert [scan.name for scan in split(found, every=1, held_out=(name,))[1]] == ["MR_02_t1", "MR_02_t2"]


def test_a_name_that_nobody_has():
    with pytest.raises(ValueError, match="expected patients or scans to hold out by the name 'x_\\*', got P, a, b"):
        split(scans("ab", ["P", "b"]), every=2, held_out=("a", "x_*"))

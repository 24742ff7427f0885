import pytest

from recalib_keras.datasets import DatasetError, LabelledScan, find_scans, split, survey


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
    with pytest.raises(ValueError, match=f"expected every 1st.*for validation, got every={every}; give at least 1"):
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


@pytest.fixture
def with_table(msd_folder):
    """Returns a function that makes a folder of the scans a to d with a scans.csv."""

    def make(*lines):
        folder = msd_folder("a", "b", "c", "d")
        (folder / "scans.csv").write_text("\n".join(lines), encoding="utf-8")
        return folder

    return make


def test_the_table_tells_patients_and_parts(with_table):
    scans = find_scans(with_table("name,patient,part", "a,P1,train", "b,P1,train", "d, P2 ,test"))
    assert [scan.patient for scan in scans] == ["P1", "P1", "c", "P2"]
    assert [scan.part for scan in scans] == ["train", "train", None, "test"]


def test_patients_alone_keep_parts_as_they_are(with_table):
    scans = find_scans(with_table("name,patient", "a,P1", "c,P1"))
    assert [scan.patient for scan in scans] == ["P1", "b", "P1", "d"] and {scan.part for scan in scans} == {None}
    assert [[scan.name for scan in part] for part in split(scans, every=2)] == [["b"], ["a", "c", "d"]]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["name,patient", "e,P1"], "expected names of scans in .*, got 'e'"),
        (["name,patient", "a,"], "in line 2"),
        (["name,patient", "a,P1", "a,P2"], "in line 3"),
        (["name,patient,part", "a,P1,validation"], "expected .* train, test or no part"),
        (["scan,patient", "a,P1"], "expected the columns name, patient .*, got no column name among scan, patient"),
        (["name,patient", "a,P1,train"], "expected the columns"),
    ],
)
def test_a_wrong_table_is_refused(lines, expected, with_table):
    folder = with_table(*lines)
    assert survey(folder).problems[0].file == folder / "scans.csv"
    with pytest.raises(DatasetError, match=expected):
        find_scans(folder)


def test_a_table_that_is_no_text(msd_folder):
    folder = msd_folder("a")
    (folder / "scans.csv").write_bytes(b"name,patient\n\xff\xfe,\x00")
    expected = "expected the columns name, patient and, optionally, part and annotated, got a file with NUL bytes"
    assert expected in str(survey(folder).problems[0])


def test_a_patient_in_both_parts_is_refused(with_table):
    with pytest.raises(DatasetError, match="expected all scans of a patient in one part, got patient P1 in test here"):
        find_scans(with_table("name,patient,part", "a,P1,train", "b,P1,test"))

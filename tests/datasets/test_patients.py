import pytest

from recalib_keras.datasets import DatasetError, find_scans, split, survey


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
    ("lines", "told"),
    [
        (["name,patient", "e,P1"], "expected names of scans in .*, got 'e'"),
        (["name,patient", "a,"], "in line 2"),
        (["name,patient", "a,P1", "a,P2"], "in line 3"),
        (["name,patient,part", "a,P1,validation"], "expected .* train, test or no part"),
        (["scan,patient", "a,P1"], "expected the columns name, patient .*, got scan, patient"),
        (["name,patient", "a,P1,train"], "expected the columns"),
    ],
)
def test_a_wrong_table_is_refused(lines, told, with_table):
    folder = with_table(*lines)
    assert survey(folder).problems[0].file == folder / "scans.csv"
    with pytest.raises(DatasetError, match=told):
        find_scans(folder)


def test_a_table_that_is_no_text(msd_folder):
    folder = msd_folder("a")
    (folder / "scans.csv").write_bytes(b"name,patient\n\xff\xfe,\x00")
    assert "expected a table of comma-separated values" in str(survey(folder).problems[0])


def test_a_patient_in_both_parts_is_refused(with_table):
    with pytest.raises(DatasetError, match="expected all scans of a patient in one part, got patient P1 in test here"):
        find_scans(with_table("name,patient,part", "a,P1,train", "b,P1,test"))

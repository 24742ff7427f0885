import csv

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference.batch.volume_table import Labelled, VolumeTable, warning_of

FOUND = [StructureVolume("bright", 7, 24, 48.0, 100.0)]


@pytest.fixture
def table(tmp_path):
    return VolumeTable(tmp_path / "volumes.csv")


def rows(table):
    return list(csv.DictReader(table.path.read_text().splitlines()))


def labelled(name, made_by="bright"):
    return Labelled(name, f"{name}_labels.nii.gz", made_by)


def test_processes_that_share_a_table_keep_each_others_rows(table):
    for each, name in ((table, "a"), (VolumeTable(table.path), "b"), (table, "c")):
        each.replace(labelled(name), FOUND, {}, "")
    assert [row["scan"] for row in rows(table)] == ["a", "b", "c"]


def test_numbers_are_rounded(table):
    table.replace(labelled("a"), FOUND, {7: 0.123456}, "odd")
    assert list(rows(table)[0].values()) == [
        *("a", "bright", "7", "24", "48.0", "100.000", "48.0", "", "", "", "0.1235", "odd", "a_labels.nii.gz", "bright")
    ]


def test_rows_by_label_map(table):
    table.replace_all([(labelled("a"), FOUND, {}, ""), (labelled("b"), FOUND, {}, "")])
    known = table.rows_by_label_map()
    assert [*known] == ["a_labels.nii.gz", "b_labels.nii.gz"] and known["a_labels.nii.gz"][0]["voxels"] == "24"


def test_rows_that_name_only_their_scan_are_replaced(table, tmp_path):
    for scan in ("a", tmp_path / "a"):  # earlier versions wrote absolute paths
        table.path.write_text(f"scan,structure,label,voxels,mm3,labels\n{scan},bright,7,1,2.0,\n")
        table.replace(labelled("a"), FOUND, {}, "")
        assert [(row["scan"], row["voxels"]) for row in rows(table)] == [("a", "24")]


def test_wide_table_has_a_row_for_each_scan(table, tmp_path):
    both = [*FOUND, StructureVolume("dark", 8, 3, 6.0)]
    table.replace_all([(labelled("a"), both, {}, "odd"), (labelled("b"), FOUND, {}, "")])
    with table.write_wide(tmp_path / "wide.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["scan"], first["bright"], first["dark"], first["warning"]) == ("a", "48.0", "6.0", "odd")
    assert (second["labels"], second["bright"], second["dark"]) == ("b_labels.nii.gz", "48.0", "")


def test_a_warning_holds_as_long_as_the_labels_do(table):
    table.replace(labelled("a"), FOUND, {}, "odd")
    known = table.rows_by_label_map()["a_labels.nii.gz"]
    assert warning_of(known, FOUND) == "odd"
    assert warning_of(known, [StructureVolume("bright", 7, 25, 50.0)]) is None and warning_of([], FOUND) is None


def test_a_lock_that_is_a_link_leaves_the_file_behind_it(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".volumes.csv.lock").symlink_to("notes.txt")
    with pytest.raises(RecordError, match=r"volumes.csv.lock: expected a lock file, got a link; move it away"):
        VolumeTable(tmp_path / "volumes.csv")
    assert (tmp_path / "notes.txt").read_text() == "mine"

import csv

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.evaluation import StructureVolume
from recalib_keras.inference.volume_table import Labelled, VolumeTable, warning_of

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
        *("a", "bright", "7", "24", "48.0", "100.000", "48.0", "", "0.1235", "odd", "a_labels.nii.gz", "bright")
    ]


def test_rows_of_labels_that_were_made_otherwise(table):
    table.replace(labelled("a"), FOUND, {}, "")
    assert [row["voxels"] for row in table.rows_of(labelled("a"))] == ["24"] and table.rows_of(labelled("b")) == []
    with pytest.raises(RecordError, match=r"labels of a by dark, got those of a by bright according to .*volumes\.csv"):
        table.rows_of(labelled("a", "dark"))


def test_a_warning_holds_as_long_as_the_labels_do(table):
    table.replace(labelled("a"), FOUND, {}, "odd")
    known = table.rows_of(labelled("a"))
    assert warning_of(known, FOUND) == "odd"
    assert warning_of(known, [StructureVolume("bright", 7, 25, 50.0)]) is None and warning_of([], FOUND) is None


def test_a_lock_that_is_a_link_leaves_the_file_behind_it(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".volumes.csv.lock").symlink_to("notes.txt")
    with pytest.raises(RecordError, match=r"volumes.csv.lock: expected a lock file, got a link; move it away"):
        VolumeTable(tmp_path / "volumes.csv")
    assert (tmp_path / "notes.txt").read_text() == "mine"

"""What was looked for in each scan of a set."""

import json

import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, LabelledScan, check, find_scans, survey
from recalib_keras.datasets.label_mapping import UNKNOWN, renumber
from recalib_keras.zoo import Label


@pytest.fixture
def folder(tmp_path, write_pair):
    for name in ("a", "b"):
        write_pair(tmp_path / "images" / f"{name}.nii.gz", tmp_path / "labels" / f"{name}.nii.gz", label=2)
    return tmp_path


def write(folder, content, name="annotated.json"):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_a_table_beside_the_set(folder):
    write(folder, {"a": [2, 1], "b": [2], "scan of another part": [1]})
    first, second = find_scans(folder, "nifti_folder")
    assert (first.annotated, second.annotated) == ((1, 2), (2,))
    assert [second.knows(number) for number in (0, 1, 2)] == [True, False, True]
    assert check([first, second]) == []


def test_a_column_of_the_table_of_scans(folder):
    write(folder, "name,patient,part,annotated\na,ann,,2 1\nb,bob,,\n", "scans.csv")
    first, second = find_scans(folder, "nifti_folder")
    assert (first.annotated, first.patient, second.annotated) == ((1, 2), "ann", None)
    assert second.knows(7)
    write(folder, "name,patient,part,annotated\na,ann,,kidney\n", "scans.csv")
    with pytest.raises(DatasetError, match="label numbers in the column annotated, got"):
        find_scans(folder, "nifti_folder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": [1]}, "annotated.json: expected a list of label numbers for b, got none"),
        ({"a": [1], "b": ["liver"]}, r"expected a list of label numbers for b, got \['liver'\]"),
        ({"a": [1], "b": 2}, "expected a list of label numbers for b, got 2"),
        ([1], "annotated.json: expected a JSON file with a mapping, got a list"),
        ("{", "annotated.json: expected a JSON file that can be read"),
    ],
)
def test_tables_that_are_none(folder, content, message):
    write(folder, content)
    with pytest.raises(DatasetError, match=message):
        find_scans(folder, "nifti_folder")


def test_numbers_that_the_set_does_not_have_and_tables_that_differ(folder):
    write(folder, {"kidney": 1, "liver": 2}, "labels.json")
    write(folder, {"a": [1, 22], "b": [2]})
    with pytest.raises(DatasetError, match=r"labels of the set that were looked for, 0, 1, 2, for a, got \[22\] too"):
        find_scans(folder, "nifti_folder")
    write(folder, {"a": [1, 2], "b": [2]})
    write(folder, "name,patient,part,annotated\na,ann,,2\nb,bob,,\n", "scans.csv")
    with pytest.raises(DatasetError, match=r"annotated.json: expected \[2\] for a, as in scans.csv, got \[1, 2\]"):
        find_scans(folder, "nifti_folder")


def test_a_label_that_was_not_looked_for_is_a_problem(folder):
    write(folder, {"a": [2], "b": [1]})
    (problem,) = check(find_scans(folder, "nifti_folder"))
    assert problem.file.name == "b.nii.gz"
    assert "expected the labels that were looked for in b, [1], got [2] too; correct the list" in str(problem)


def test_the_label_ignore_of_nnunet(folder):
    write(folder, {"liver": 1, "ignore": 2}, "labels.json")
    found = survey(folder, "nifti_folder")
    assert [scan.ignore for scan in found.scans] == [2, 2] and check(found.scans, found.labels) == []


def test_merged_labels_are_known_if_all_of_them_are():
    scan = LabelledScan("a", "image", "labels", merge=((2, 1), (3, 1)), annotated=(1, 2))
    assert not scan.knows(1) and LabelledScan("a", "i", "l", merge=((2, 1),), annotated=(1, 2)).knows(1)


def test_renumbered_scans_know_what_was_looked_for(folder):
    write(folder, {"a": [1], "b": [2]})
    write(folder, {"kidney": 1, "liver": 2, "ignore": 3}, "labels.json")
    found = survey(folder, "nifti_folder")
    scans, _ = renumber(found.scans, found.labels, [Label(7, "Liver"), Label(9, "kidney")])
    assert [scans[1].knows(number) for number in (7, 9)] == [True, False] and scans[1].ignore == UNKNOWN
    _, labels = scans[1].read()
    assert set(np.unique(labels.array)) == {0, 7}

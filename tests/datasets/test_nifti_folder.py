import json

import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, check, find_scans, survey


@pytest.fixture
def folder(tmp_path, write_pair):
    for name in ("b", "a"):
        write_pair(tmp_path / "images" / f"{name}.nii.gz", tmp_path / "labels" / f"{name}.nii", label=2)
    return tmp_path


def test_finds_and_reads_scans(folder):
    scans = find_scans(folder, "nifti_folder")
    assert [scan.name for scan in scans] == ["a", "b"] and check(scans) == []
    assert survey(folder, "nifti_folder").labels is None
    assert set(np.unique(scans[0].read()[1].array)) == {0, 2}


def test_labels_json_names_the_labels(folder):
    (folder / "labels.json").write_text(json.dumps({"2": "spleen"}), encoding="utf-8")
    found = survey(folder, "nifti_folder")
    assert found.labels == {0: "background", 2: "spleen"} and check(found.scans, found.labels) == []


def test_broken_label_names_are_reported(folder):
    (folder / "labels.json").write_text("{", encoding="utf-8")
    assert "labels.json: expected a JSON file that can be read" in str(survey(folder, "nifti_folder").remarks[0])


def test_names_that_do_not_match_are_reported_on_both_sides(folder):
    (folder / "labels" / "a.nii").rename(folder / "labels" / "A.nii")
    found = survey(folder, "nifti_folder")
    assert [problem.file.name for problem in found.problems] == ["a"]
    assert [problem.file.name for problem in found.remarks] == ["A.nii"]
    with pytest.raises(DatasetError, match="labels/a: expected a label map"):
        find_scans(folder, "nifti_folder")


def test_the_volume_of_4d_images(folder, write_nifti, rng):
    for name in "ab":
        write_nifti(folder / "images" / f"{name}.nii.gz", rng.uniform(size=(5, 4, 3, 2)).astype(np.float32))
    assert len(check(find_scans(folder, "nifti_folder"))) == 2
    assert check(find_scans(folder, "nifti_folder", volume=1)) == []
    assert "expected a volume from 0 to 1" in str(check(find_scans(folder, "nifti_folder", volume=2))[0])

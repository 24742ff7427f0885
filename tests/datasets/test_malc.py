import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, check, describe, find_scans, split, survey

# Neuromorphometrics: left and right white matter, two left and one right parcel of cortex, left hippocampus, right
# amygdala, 4th ventricle; then what the papers leave out: CSF, left accumbens, right inferior lateral ventricle and
# left vessel.
STORED = [45, 44, 101, 207, 100, 48, 31, 11, 46, 30, 49, 64]
READ = [2, 41, 3, 3, 42, 17, 54, 15, 0, 0, 0, 0]


@pytest.fixture
def labels():
    return np.array([*STORED, 0, 0, 0, 0], np.int16).reshape(4, 2, 2)


@pytest.fixture
def write_part(tmp_path, write_nifti, rng, labels):
    """Returns a function that writes the scans of a part, as they are distributed."""

    def write(part, *names, root=tmp_path):
        for name in names:
            image = rng.integers(0, 4000, labels.shape).astype(np.int16)
            write_nifti(root / f"{part}-images" / f"{name}.nii.gz", image, np.eye(4))
            write_nifti(root / f"{part}-labels" / f"{name}_glm.nii.gz", labels, np.eye(4))
        return root

    return write


def test_parts_and_patients(write_part):
    write_part("training", "1000_3", "1001_3")
    folder = write_part("testing", "1003_3")
    scans = find_scans(folder, "malc")
    assert [(scan.name, scan.patient, scan.part) for scan in scans] == [
        ("1000_3", "1000", "train"),
        ("1001_3", "1001", "train"),
        ("1003_3", "1003", "test"),
    ]
    assert [[scan.name for scan in part] for part in split(scans, every=2)] == [["1001_3"], ["1000_3"]]


def test_labels_are_the_27_structures_in_freesurfer_numbers(write_part, labels):
    found = survey(write_part("training", "1000_3"), "malc")
    _, truth = found.scans[0].read()
    assert truth.array.ravel().tolist() == [*READ, 0, 0, 0, 0]
    assert check(found.scans, found.labels) == []
    names = describe("malc").labels
    assert len(names) == 28 and names[17] == "left hippocampus" and names[42] == "right cerebral cortex"


def test_left_and_right_structures_are_those_of_freesurfer():
    names = describe("malc").labels
    left = {number: name.removeprefix("left ") for number, name in names.items() if name.startswith("left")}
    right = {number: name.removeprefix("right ") for number, name in names.items() if name.startswith("right")}
    assert len(left) == len(right) == 12 and set(left.values()) == set(right.values())
    assert left[10] == right[49] == "thalamus" and left[28] == right[60] == "ventral DC"


def test_the_archive_may_be_unpacked_a_folder_below(tmp_path, write_part):
    write_part("training", "1000_3", root=tmp_path / "MICCAI-2012-Multi-Atlas-Challenge-Data")
    assert len(find_scans(tmp_path, "malc")) == 1


def test_without_test_labels_only_the_training_part_is_used(write_part):
    write_part("training", "1000_3")
    folder = write_part("testing", "1003_3")
    (folder / "testing-labels" / "1003_3_glm.nii.gz").rename(folder / "elsewhere.nii.gz")
    (folder / "testing-labels").rmdir()
    assert [scan.part for scan in find_scans(folder, "malc")] == ["train"]


def test_a_missing_label_map(write_part):
    folder = write_part("training", "1000_3", "1001_3")
    (folder / "training-labels" / "1001_3_glm.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"1001_3_glm: expected a label map for the scan .*1001_3.nii.gz, got none"):
        find_scans(folder, "malc")


def test_numbers_of_another_kind(write_part, write_nifti, labels):
    folder = write_part("training", "1000_3")
    labels[0, 0] = 1001, 2035
    path = write_nifti(folder / "training-labels" / "1000_3_glm.nii.gz", labels, np.eye(4))
    problems = check(find_scans(folder, "malc"))
    assert [problem.file for problem in problems] == [path]
    assert "expected Neuromorphometrics numbers, got [1001, 2035]" in str(problems[0])


def test_another_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="training-images, got none"):
        find_scans(tmp_path, "malc")

from dataclasses import replace

import numpy as np

from recalib_keras.datasets import check, find_scans, review


def test_a_set_without_problems(msd_folder):
    assert check(find_scans(msd_folder("a", "b", label=2)), labels={0: "background", 2: "liver"}) == []


def test_every_problem_of_every_scan_is_reported(msd_folder, write_nifti):
    folder = msd_folder("a", "b", "c", "d", "e")
    write_nifti(folder / "labelsTr" / "b.nii.gz", np.zeros((5, 4, 2), np.uint8))
    write_nifti(folder / "labelsTr" / "c.nii.gz", np.ones((5, 4, 3), np.uint8), np.eye(4))
    (folder / "imagesTr" / "d.nii.gz").write_bytes(b"\x1f\x8bbroken")
    write_nifti(folder / "labelsTr" / "d.nii.gz", np.full((5, 4, 3), 7, np.uint8))
    problems = check(find_scans(folder), labels=[0, 2])
    reported = [
        (problem.file.parent.name, problem.file.name[0], problem.expected.split(",")[0]) for problem in problems
    ]
    assert reported == [
        ("labelsTr", "a", "the label numbers 0"),
        ("labelsTr", "b", "the grid of its scan"),
        ("labelsTr", "c", "the grid of its scan"),
        ("labelsTr", "c", "the label numbers 0"),
        ("imagesTr", "d", "a NIfTI"),
        ("labelsTr", "d", "the label numbers 0"),
        ("labelsTr", "e", "the label numbers 0"),
    ]
    assert problems[0].received == "1 too" and problems[5].received == "7 too"


def test_merged_numbers_count_as_their_targets(msd_folder):
    scans = [replace(scan, merge=((7, 2), (0, 5))) for scan in find_scans(msd_folder("a", label=7))]
    assert check(scans, labels=[2, 5]) == [] and review(scans).labels == {2: 1, 5: 1}
    assert check(scans, labels=[0, 7])[0].received == "2, 5 too"


def test_without_known_labels_any_number_is_allowed(msd_folder):
    assert check(find_scans(msd_folder("a", label=200))) == []


def test_two_scans_of_one_name(msd_folder):
    scans = find_scans(msd_folder("a", "b"))
    problems = check([*scans, replace(scans[1], name="a")])
    assert [str(problem) for problem in problems] == [
        f"{scans[1].image}: expected a scan with a unique name, got the name of {scans[0].image}; rename one"
    ]


def test_a_patient_in_both_parts(msd_folder):
    scans = find_scans(msd_folder("a", "b"))
    scans = [replace(scan, patient="P", part=part) for scan, part in zip(scans, ("train", "test"))]
    assert "got patient P in test here, in train as" in str(check(scans)[0])


def test_the_review_counts(msd_folder):
    folder = msd_folder("a", "b", label=3)
    msd_folder("c", folder=folder, shape=(6, 4, 3), affine=np.eye(4), label_affine=np.eye(4))
    found = review(find_scans(folder))
    assert found.shapes == {(5, 4, 3): 2, (6, 4, 3): 1}
    assert found.spacings == {(1, 1.5, 2): 2, (1, 1, 1): 1} and found.orientations == {"LAS": 2, "RAS": 1}
    assert found.labels == {0: 3, 3: 2, 1: 1}
    assert found.names() == {0: "background", 1: "label 1", 3: "label 3"}
    assert found.names({0: "nothing", 1: "liver"}) == {0: "nothing", 1: "liver", 3: "label 3"}


def test_the_hippocampus_set_has_no_problems(data_root):
    scans = find_scans(data_root / "hippocampus")
    found = review(scans, labels=[0, 1, 2])
    assert found.problems == [] and found.labels == {0: 210, 1: 210, 2: 210}


def test_a_real_ct_with_its_42_labels(data_root, tmp_path):
    for part, name in (("images", "example_ct_sm"), ("labels", "example_seg")):
        (tmp_path / part).mkdir()
        (tmp_path / part / "ct.nii.gz").symlink_to((data_root / "ct_example" / f"{name}.nii.gz").resolve())
    scans = find_scans(tmp_path, "nifti_folder")
    found = review(scans)
    assert found.problems == [] and len(found.labels) == 42 and max(found.labels) == 117
    assert found.spacings == {(3, 3, 3): 1}
    image, labels = scans[0].read()
    assert image.array.shape == labels.array.shape and image.array.min() < -900

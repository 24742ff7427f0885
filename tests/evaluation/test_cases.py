import nibabel as nib
import numpy as np
import pytest

from recalib_keras.evaluation import Case, Structure, evaluate, find_cases
from recalib_keras.volumes import VolumeError

LIVER, SPLEEN = Structure(1, "liver", (255, 0, 0)), Structure(3, "spleen", (0, 255, 0))


def write(path, array, spacing=(1, 1, 1)):
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(array, "uint8").reshape(1, 1, -1), np.diag([*spacing, 1.0])), path)
    return path


def test_files_in_folders_are_matched_by_name(tmp_path):
    for name in (
        "p/a_labels.nii.gz",
        "p/b.nii",
        "t/a.nii.gz",
        "t/b.mgz",
        "t/more.nii.gz",
        "i/a_0000.nii.gz",
        "i/b.nii",
    ):
        write(tmp_path / name, [0, 1])
    (tmp_path / "p" / "volumes.csv").touch()
    (tmp_path / "p" / ".hidden.nii.gz").touch()
    cases = find_cases(tmp_path / "p", tmp_path / "t", tmp_path / "i")
    assert [case.name for case in cases] == ["a", "b"]
    for case, files in zip(cases, [("a_labels.nii.gz", "a.nii.gz", "a_0000.nii.gz"), ("b.nii", "b.mgz", "b.nii")]):
        found = [*case.read_maps(), case.read_image()]
        assert tuple(volume.source.name for volume in found) == files


def test_ground_truth_without_a_prediction_is_reported(tmp_path):
    for name in ("p/b.nii", "t/a.nii", "t/b.nii", "t/d_labels.nii", "t/c.nii"):
        write(tmp_path / name, [0, 1])
    unmatched = []
    (case,) = find_cases(tmp_path / "p", tmp_path / "t", on_unmatched=unmatched.append)
    assert case.name == "b" and unmatched == [["a", "c", "d"]]
    find_cases(tmp_path / "p", tmp_path / "p", on_unmatched=unmatched.append)
    assert len(unmatched) == 1


def test_two_files_need_no_common_name(tmp_path):
    (case,) = find_cases(write(tmp_path / "x.nii", [1]), write(tmp_path / "y.nii", [1]))
    assert case.name == "x" and case.read_image is None
    (case,) = find_cases(tmp_path / "x.nii", tmp_path / "y.nii", write(tmp_path / "z.nii", [1, 2]))
    assert case.read_image().source.name == "z.nii"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("p", "t/a.nii"), "two files or two folders"),
        (("p/a.nii", "t/a.nii", "t"), "two files or two folders"),
        (("empty", "t"), "got none; check the folder"),
        (("p", "t"), "expected a label map in .*t for each prediction, got none for b, c"),
        (("t", "p", "empty"), "expected a scan in .*empty for each prediction, got none for a"),
        (("double", "t"), r"expected one file for each scan, got .*a\.nii and .*a_labels\.nii; move one away"),
    ],
)
def test_folders_that_do_not_match(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("p/a.nii", "p/b.nii", "p/c.nii", "t/a.nii", "double/a.nii", "double/a_labels.nii"):
        write(tmp_path / name, [1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        find_cases(*arguments)


@pytest.fixture
def cases(tmp_path):
    """Scans a and b: a liver in both, a spleen that b's truth alone has."""
    for name, prediction, truth in (("a", [1, 1, 0, 0], [1, 0, 0, 0]), ("b", [1, 0, 0, 0], [1, 0, 3, 3])):
        write(tmp_path / "p" / f"{name}.nii", prediction, (1, 1, 2))
        write(tmp_path / "t" / f"{name}.nii", truth, (1, 1, 2))
    return find_cases(tmp_path / "p", tmp_path / "t")


def test_each_scan_has_a_row_for_each_structure(cases):
    report = evaluate(cases)
    assert [(row.scan, row.structure, row.label, row.measures.found_in) for row in report.rows] == [
        ("a", "label 1", 1, "both"),
        ("a", "label 3", 3, "neither"),
        ("b", "label 1", 1, "both"),
        ("b", "label 3", 3, "truth only"),
    ]
    assert [row.measures.dice for row in report.rows][::2] == [pytest.approx(2 / 3), 1]
    assert report.rows[3].measures.truth_mm3 == 4


def test_chosen_structures(cases):
    report = evaluate(cases, [SPLEEN, LIVER, Structure(9, "kidney", (0, 0, 255))])
    assert report.labels == {"liver": 1, "spleen": 3, "kidney": 9}
    assert report.counts("neither") == {"liver": 0, "spleen": 1, "kidney": 2}
    assert evaluate(cases, [LIVER]).structures == ["liver"]


@pytest.mark.parametrize("error", [VolumeError, OSError, MemoryError])
def test_the_other_scans_are_evaluated_after_a_failure(cases, error):
    def fail():
        raise error("broken")

    failures = []
    report = evaluate(
        [Case("bad", fail), *cases], on_failure=lambda case, error: failures.append((case.name, str(error)))
    )
    assert failures == [("bad", "broken")]
    assert report.scans == ["a", "b"]
    with pytest.raises(error, match="broken"):
        evaluate([Case("bad", fail), *cases])


def test_different_grids_are_refused(tmp_path):
    (case,) = find_cases(write(tmp_path / "x.nii", [1, 2]), write(tmp_path / "y.nii", [1, 2], (1, 1, 3)))
    with pytest.raises(VolumeError, match=r"x\.nii: expected the grid of .*y\.nii, .* got .*resample"):
        evaluate([case])


@pytest.mark.parametrize(("shift", "is_same"), [(0.11, True), (0.24, True), (0.26, False), (0.5, False)])
def test_grids_may_differ_by_a_quarter_of_a_voxel(tmp_path, shift, is_same):
    image = nib.Nifti1Image(np.ones((2, 2, 2), "uint8"), np.eye(4))
    nib.save(image, tmp_path / "truth.nii")
    image.affine[2, 3] = shift
    nib.save(nib.Nifti1Image(image.dataobj, image.affine), tmp_path / "prediction.nii")
    case = find_cases(tmp_path / "prediction.nii", tmp_path / "truth.nii")
    if is_same:
        assert evaluate(case).rows[0].measures.dice == 1
    else:
        message = r"expected the grid of .*truth\.nii, .* got voxels up to 0\.\d+ mm elsewhere; resample"
        with pytest.raises(VolumeError, match=message):
            evaluate(case)


def test_an_empty_report(tmp_path):
    assert evaluate([]).rows == ()
    write(tmp_path / "x.nii", [0, 0])
    assert evaluate(find_cases(tmp_path / "x.nii", tmp_path / "x.nii")).rows == ()

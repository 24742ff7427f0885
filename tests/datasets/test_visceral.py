import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, check, describe, find_scans, survey
from recalib_keras.datasets.sets.visceral import ORGANS

SHAPE = (12, 11, 5)
AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -70], [0, 0, 3, 5], [0, 0, 0, 1]])
SCAN = "10000100_1_CTce_ThAb"


@pytest.fixture
def write_scan(tmp_path, write_nifti, rng):
    """Returns a function that writes a scan, and a mask for each organ: its own 4 × 1 × 1 voxels."""

    def write(name=SCAN, folder="", annotator="4", organs=tuple(ORGANS)):
        root = tmp_path / "visceral" / folder
        write_nifti(root / "volumes" / f"{name}.nii.gz", rng.normal(0, 300, SHAPE).astype(np.int16), AFFINE)
        for index, organ in enumerate(organs):
            mask = np.zeros(SHAPE, np.uint8)
            mask[:4, index] = 1
            write_nifti(root / "segmentations" / f"{name}_{organ}_{annotator}.nii.gz", mask, AFFINE)
        return tmp_path / "visceral"

    return write


def test_masks_become_one_label_map_at_2_mm(write_scan):
    found = survey(write_scan(), "visceral")
    image, labels = found.scans[0].read()
    assert image.grid.spacing == labels.grid.spacing == pytest.approx((2, 2, 2))
    # 12 x 11 x 15 mm in voxels of 2 mm; 5.5 and 7.5 of them are rounded up.
    assert image.array.shape == labels.array.shape == (6, 6, 8)
    assert image.grid.orientation == "LAS" and labels.grid is image.grid
    assert check(found.scans, found.labels) == []


def test_each_organ_has_its_number(write_scan, write_nifti):
    folder = write_scan()
    for organ in ORGANS:  # blocks of 4 x 4 x 5 voxels survive resampling by nearest neighbour, wherever they lie
        for path in folder.rglob(f"{SCAN}_{organ}_*"):
            mask = np.zeros(SHAPE, np.uint8)
            mask[{29662: slice(0, 4), 58: slice(4, 8)}.get(organ, slice(0, 0)), 2:6] = 255
            write_nifti(path, mask, AFFINE)
    _image, labels = find_scans(folder, "visceral")[0].read()
    names = describe("visceral").labels
    present = {names[number] for number in np.unique(labels.array)}
    assert present == {"background", "liver", "right kidney"}
    # The kidney lies 0 to 4 mm from the first voxel's edge along x, the liver 4 to 8.
    at = labels.array[:, 2, 4]
    assert [names[number] for number in at] == ["right kidney"] * 2 + ["liver"] * 2 + ["background"] * 2


def test_where_masks_overlap_the_later_organ_wins(write_scan, write_nifti):
    folder = write_scan()
    for path in folder.rglob(f"{SCAN}_*_4.nii.gz"):
        write_nifti(path, np.ones(SHAPE, np.uint8), AFFINE)
    assert set(np.unique(find_scans(folder, "visceral")[0].read()[1].array)) == {10}


def test_parts_by_the_folders_names(write_scan):
    write_scan("10000101_1_CTce_ThAb", "SilverCorpus", "silver")
    write_scan("10000102_2_CTce_ThAb", "gold-corpus")
    folder = write_scan("10000103_1_CTce_Th", "other", "")
    scans = find_scans(folder, "visceral")
    assert [(scan.patient, scan.part) for scan in scans] == [
        ("10000101", "train"),
        ("10000102", "test"),
        ("10000103", None),
    ]


def test_other_modalities_organs_and_files_are_passed_over(write_scan, empty_files):
    folder = write_scan()
    for name in ("10000100_1_MRT1_ab.nii.gz", f"{SCAN}_170_4.nii.gz", f"._{SCAN}.nii.gz", f"{SCAN}_lmk.fcsv"):
        empty_files(f"visceral/volumes/{name}")
    found = survey(folder, "visceral")
    assert len(found.scans) == 1 and found.problems == found.remarks == []


def test_every_missing_mask_is_reported(write_scan):
    folder = write_scan(organs=list(ORGANS)[2:])
    with pytest.raises(
        DatasetError, match=f"expected a mask of the liver, {SCAN}_58_.*got none; .*add an empty mask"
    ) as caught:
        find_scans(folder, "visceral")
    assert ["liver" in str(caught.value.problems[0]), "spleen" in str(caught.value.problems[1])] == [True, True]
    assert len(caught.value.problems) == 2


def test_two_masks_of_one_organ(write_scan, empty_files):
    folder = write_scan()
    empty_files(f"visceral/segmentations/{SCAN}_58_9.nii.gz")
    with pytest.raises(
        DatasetError, match=r"58_9.nii.gz: expected one file of a scan and organ, got .*58_4.* move one"
    ):
        find_scans(folder, "visceral")


def test_a_mask_without_a_scan(write_scan, empty_files):
    folder = write_scan()
    empty_files("visceral/segmentations/10000199_1_CTce_ThAb_58_9.nii.gz")
    found = survey(folder, "visceral")
    assert "expected a scan 10000199_1_CTce_ThAb.nii.gz for this mask" in str(found.remarks[0])
    assert found.problems == []


def test_every_bad_mask_is_reported(write_scan, write_nifti):
    folder = write_scan()
    masks = folder / "segmentations"
    write_nifti(masks / f"{SCAN}_58_4.nii.gz", np.ones((12, 11, 4), np.uint8), AFFINE)
    write_nifti(masks / f"{SCAN}_480_4.nii.gz", np.ones(SHAPE, np.uint8), np.eye(4))
    (masks / f"{SCAN}_1302_4.nii.gz").write_bytes(b"")
    problems = check(find_scans(folder, "visceral"))
    assert [problem.file.name.split("_")[4] for problem in problems] == ["58", "480", "1302"]
    assert [
        word in str(problem)
        for word, problem in zip(("got one of 12 x 11 x 4", "mm elsewhere", "empty file"), problems)
    ] == [True] * 3


def test_an_unreadable_scan_hides_no_bad_mask(write_scan):
    folder = write_scan()
    (folder / "volumes" / f"{SCAN}.nii.gz").write_bytes(b"")
    (folder / "segmentations" / f"{SCAN}_86_4.nii.gz").write_bytes(b"")
    assert len(check(find_scans(folder, "visceral"))) == 2


def test_another_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected scans named like 10000100_1_CTce_ThAb.nii.gz below"):
        find_scans(tmp_path, "visceral")

import pickle
from dataclasses import replace

import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, LabelledScan

SHIFTED = np.array([[-1.0, 0, 0, 41], [0, 1.5, 0, -30], [0, 0, 2, 12], [0, 0, 0, 1]])


@pytest.fixture
def scan(tmp_path, write_pair):
    write_pair(tmp_path / "image.nii", tmp_path / "labels.nii", label=53)
    return LabelledScan("head", tmp_path / "image.nii", tmp_path / "labels.nii")


def test_reads_image_and_labels_on_one_grid(tmp_path, write_pair):
    arrays = write_pair(tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz", label=53)
    image, labels = LabelledScan("head", tmp_path / "image.nii.gz", tmp_path / "labels.nii.gz").read()
    assert np.array_equal(image.array, arrays[0]) and image.array.dtype == np.float32
    assert np.array_equal(labels.array, arrays[1]) and labels.array.dtype.kind in "iu"
    assert labels.grid is image.grid and image.grid.orientation == "LAS"


def test_the_patient_is_the_scan_itself_by_default(scan):
    assert (scan.patient, scan.part, scan.volume) == ("head", None, None)
    assert replace(scan, patient="P7").patient == "P7"


def test_a_scan_is_light_and_survives_a_pickle(scan):
    content = pickle.dumps(scan)
    assert len(content) < 1000 and pickle.loads(content) == scan


def test_a_volume_of_a_4d_image(scan, write_nifti, rng):
    modalities = rng.uniform(size=(5, 4, 3, 2)).astype(np.float32)
    write_nifti(scan.image, modalities)
    assert np.array_equal(replace(scan, volume=1).read()[0].array, modalities[..., 1])
    message = (
        r"image.nii: expected one 3-D volume, got a 4-D image .* --volume I, .* in a recipe volume = I under \[data\]"
    )
    with pytest.raises(DatasetError, match=message):
        scan.read()


def test_another_affine(scan, write_nifti):
    write_nifti(scan.labels, np.zeros((5, 4, 3), np.uint8), SHIFTED)
    message = r"expected the grid of its scan, 5 x 4 x 3 voxels of 1 x 1.5 x 2 mm, LAS, got voxels up to 1 mm elsewhere"
    with pytest.raises(DatasetError, match=f"labels.nii: {message}"):
        scan.read()
    assert "resample it there" in str(scan.inspect().problems[0])
    assert len(scan.inspect().problems) == 1


def test_another_shape(scan, write_nifti):
    write_nifti(scan.labels, np.zeros((5, 4, 4), np.uint8))
    with pytest.raises(
        DatasetError, match=r"labels.nii: expected the grid of its scan, 5 x 4 x 3 .*, got one of 5 x 4 x 4"
    ):
        scan.read()


@pytest.mark.parametrize(("shift", "is_same"), [(0.11, True), (0.24, True), (0.26, False), (0.5, False)])
def test_a_place_is_the_same_within_a_quarter_of_a_voxel(scan, write_nifti, shift, is_same):
    affine = SHIFTED.copy()
    affine[0, 3] = 40 + shift
    write_nifti(scan.labels, np.zeros((5, 4, 3), np.uint8), affine)
    assert (scan.inspect().problems == []) == is_same


def test_labels_stored_with_other_axes_are_turned_exactly(scan, write_nifti, rng):
    labels = rng.integers(0, 9, (5, 4, 3)).astype(np.uint8)
    write_nifti(scan.labels, labels, np.diag([-1.0, 1, 1, 1]))
    write_nifti(
        scan.image,
        rng.normal(size=(3, 5, 4)).astype(np.float32),
        [[0, 1, 0, -4], [0, 0, 1, 0], [-1, 0, 0, 2], [0, 0, 0, 1]],
    )
    image, found = scan.read()
    assert np.array_equal(found.array, labels[::-1, :, ::-1].transpose(2, 0, 1)) and found.grid is image.grid


def test_the_first_problem_hides_no_other(scan, write_nifti):
    scan.image.write_bytes(b"")
    write_nifti(scan.labels, np.full((5, 4, 3), 0.5, np.float32))
    inspection = scan.inspect()
    assert [problem.file for problem in inspection.problems] == [scan.image, scan.labels]
    assert "an empty file" in inspection.problems[0].received
    assert "whole numbers" in inspection.problems[1].expected
    assert inspection.image is None and inspection.labels is None


def test_a_vanished_file_is_a_problem(scan):
    scan.labels.unlink()
    assert "no such file" in scan.inspect().problems[0].received

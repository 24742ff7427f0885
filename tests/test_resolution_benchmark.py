"""What remains of a label map after resampling to larger voxels and back."""

import nibabel as nib
import numpy as np
import pytest
from synthesis.heads import LEFT, TABLE, head

from benchmarks import resolution
from recalib_keras.volumes import Grid, Volume

HEAD = np.pad(head(48), 10)


@pytest.fixture
def ground_truth(tmp_path):
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(TABLE.numbers[HEAD].astype("int16"), np.diag([-1.0, 1, 1, 1])), path)
    return resolution.structures_of(path, TABLE)


def test_a_map_is_cropped_to_its_structures(ground_truth):
    numbers = TABLE.numbers[HEAD]
    expected = np.where(numbers < 500, numbers, 0)  # skin and bone are not structures
    assert set(np.unique(ground_truth.array)) == {0, 2, 16, 41}
    assert np.count_nonzero(ground_truth.array) == np.count_nonzero(expected)
    assert ground_truth.array.shape == (48, 52, 48)


def test_voxels_of_the_same_size_lose_nothing(ground_truth):
    for order in (0, 1):
        found = resolution.through(ground_truth, TABLE.structures[1:], 1.0, order)
        np.testing.assert_array_equal(found, ground_truth.array)


def test_larger_voxels_lose_more_and_labels_more_than_shares(ground_truth):
    fine, coarse = (resolution.row([ground_truth], TABLE.structures[1:], spacing) for spacing in (1.5, 3.0))
    assert 1 > fine["shares"] > fine["labels"] > coarse["labels"]
    assert fine["shares"] > coarse["shares"] > coarse["its Dice"]
    assert coarse["hardest"] == "brain-stem"  # the smallest


def test_a_structure_smaller_than_a_voxel_is_lost():
    array = np.zeros((9, 9, 9), "int32")
    array[4, 4, 4] = TABLE.numbers[LEFT]
    assert not resolution.through(Volume(array, Grid(array.shape, np.eye(4))), TABLE.structures[1:], 3.0, 1).any()

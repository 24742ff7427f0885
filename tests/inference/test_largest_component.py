import nibabel as nib
import numpy as np
import pytest

from recalib_keras.core import scratch
from recalib_keras.core.errors import RecordError
from recalib_keras.inference.largest_component import keep_largest_components, numbers_to_clean
from recalib_keras.zoo import Label

LABELS = (Label(0, "background"), Label(2, "left cortex"), Label(41, "right cortex"), Label(300, "3rd ventricle"))


def cleaned(array, labels=LABELS, wanted=True):
    array = np.array(array)
    keep_largest_components(array, labels, numbers_to_clean(labels, wanted))
    return array.tolist()


def test_of_two_blobs_the_larger_one_stays_and_the_other_becomes_background():
    assert cleaned([[2, 0, 2], [0, 0, 2], [300, 0, 2]]) == [[0, 0, 2], [0, 0, 2], [300, 0, 2]]


def test_a_blob_of_another_structure_does_not_connect():
    assert cleaned([2, 2, 41, 2, 0, 41, 41]) == [2, 2, 0, 0, 0, 41, 41]


def test_of_blobs_of_one_size_the_first_stays():
    assert cleaned([0, 2, 0, 2, 0, 2]) == [0, 2, 0, 0, 0, 0]


def test_voxels_that_touch_at_an_edge_or_a_corner_are_connected():
    edge, corner, apart = np.zeros((3, 3, 3), "uint16"), np.zeros((3, 3, 3), "uint16"), np.zeros((3, 3, 3), "uint16")
    edge[0, 0, 0] = edge[0, 1, 1] = corner[0, 0, 0] = corner[1, 1, 1] = apart[0, 0, 0] = apart[2, 1, 1] = 2
    assert [np.count_nonzero(cleaned(array)) for array in (edge, corner, apart)] == [2, 2, 1]


def test_labels_that_are_absent_change_nothing():
    assert cleaned([0, 0]) == [0, 0] and cleaned([0, 300, 0]) == [0, 300, 0]
    assert cleaned([1, 0, 1, 5], wanted=True) == [1, 0, 1, 5]  # numbers of no structure


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (False, [2, 0, 2, 41, 0, 41]),
        (["left cortex"], [2, 0, 0, 41, 0, 41]),
        ([41], [2, 0, 2, 41, 0, 0]),
        (["cortex"], [2, 0, 0, 41, 0, 0]),
        (True, [2, 0, 0, 41, 0, 0]),
    ],
)
def test_named_structures_alone_are_cleaned(wanted, expected):
    assert cleaned([2, 0, 2, 41, 0, 41], wanted=wanted) == expected


@pytest.mark.parametrize(("wanted", "message"), [(["cortx"], "did you mean 'cortex'"), ([], "got none")])
def test_what_fits_no_structure(wanted, message):
    with pytest.raises(RecordError, match=message):
        numbers_to_clean(LABELS, wanted)


def test_a_structure_that_includes_others_consists_of_their_voxels_too():
    labels = (Label(0, "background"), Label(1, "whole", includes=(2,)), Label(2, "core"))
    array = [1, 2, 2, 1, 2, 1, 0, 2, 2, 2]
    assert cleaned(array, labels) == [1, 2, 2, 1, 1, 1, 0, 0, 0, 0]
    assert cleaned(array, labels, ["whole"]) == [1, 2, 2, 1, 2, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_in_a_file_gives_the_same(monkeypatch, order):
    """It is walked through in pieces, so boxes and sizes come from several."""
    random = np.random.default_rng(0)
    array = random.choice(np.array([0, 0, 2, 41, 300], "uint16"), (13, 11, 9))
    expected = cleaned(array)
    monkeypatch.setattr(scratch, "LARGE", 1)
    monkeypatch.setattr(scratch, "AT_ONCE", 200)
    large = scratch.scratch_array(array.shape, array.dtype, order=order)
    large[:] = array
    keep_largest_components(large, LABELS, numbers_to_clean(LABELS, True))
    assert scratch.lies_in_file(large) and large.tolist() == expected != array.tolist()


def test_a_segmenter_cleans_labels_and_volumes_and_leaves_maps(threshold_segmenter):
    array = np.zeros((16, 16, 16), "float32")
    array[2:6, 2:6, 2:6] = array[10:12, 10:12, 10:12] = 1
    array[8:10, 2:4, 2:4] = array[13, 13, 13] = 2
    scan, segmenter = nib.Nifti1Image(array, np.eye(4)), threshold_segmenter()
    plain = segmenter(scan, probabilities="uint8")
    clean = segmenter(scan, probabilities="uint8", largest_component=["structure 17"])
    assert [volume.voxels for volume in plain.volumes] == [64 + 8, 8 + 1]
    assert [volume.voxels for volume in clean.volumes] == [64, 8 + 1]
    expected = plain.labels.copy()
    expected[10:12, 10:12, 10:12] = 0
    assert np.array_equal(clean.labels, expected)
    assert [volume.voxels for volume in segmenter(scan, largest_component=True).volumes] == [64, 8]
    assert np.array_equal(clean.probabilities().get_fdata(), plain.probabilities().get_fdata())
    assert clean.uncertainty.by_structure == plain.uncertainty.by_structure
    with pytest.raises(RecordError, match="got 'structur 17'"):
        segmenter("not read.nii.gz", largest_component=["structur 17"])

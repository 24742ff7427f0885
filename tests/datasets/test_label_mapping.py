from types import SimpleNamespace

import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, LabelMapping, find_scans
from recalib_keras.datasets.label_mapping import renumber
from recalib_keras.zoo import Label

DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "int64", "uint64")
ORGANS = (Label(6, "liver"), Label(300, "left kidney"), Label(9, "spleen"))


def one_by_one(label_map, numbers, dtype):
    return np.array([numbers.get(number, number) for number in label_map.ravel().tolist()], dtype).reshape(
        label_map.shape
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_merged_numbers_keep_the_dtype(rng, dtype):
    merge = {"3": 100, "100": 7, "5": 0}
    label_map = rng.choice([0, 3, 5, 100, 9], (4, 5, 6)).astype(dtype)
    merged = LabelMapping.merging(merge)(label_map)
    assert merged.dtype == dtype
    assert np.array_equal(merged, one_by_one(label_map, {3: 100, 100: 7, 5: 0}, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_classes_are_places_in_the_sequence(rng, dtype):
    ids = [0, 53, 17, 2]
    label_map = rng.choice(ids, (4, 5, 6)).astype(dtype)
    classes = LabelMapping.to_classes(ids)(label_map)
    assert classes.dtype == np.uint8
    assert np.array_equal(classes, one_by_one(label_map, {0: 0, 53: 1, 17: 2, 2: 3}, "uint8"))


def test_classes_of_more_than_256_labels_take_two_bytes():
    ids = np.arange(300)[::-1]
    assert LabelMapping.to_classes(ids)(np.array([299, 0])).dtype == np.uint16


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(-1, "int8"), (-128, "int8"), (-(2**62), "int64"), (2**40, "int64"), (2**31 - 1, "int32"), (2**64 - 1, "uint64")],
)
def test_negative_and_huge_numbers(number, dtype):
    label_map = np.array([[number, 3], [0, number]], dtype)
    mapping = LabelMapping({number: 2, 0: 0, 3: 1})
    assert mapping(label_map).tolist() == [[2, 1], [0, 2]] and mapping(label_map).dtype == np.uint8
    assert LabelMapping.merging({3: 0})(label_map).tolist() == [[number, 0], [0, number]]
    assert LabelMapping({0: 0}).unknown(label_map) == sorted([number, 3])


def test_a_merged_number_too_large_for_the_dtype_widens_it():
    assert LabelMapping.merging({1: 300})(np.array([0, 1], "uint8")).tolist() == [0, 300]
    assert LabelMapping.merging({1: -1})(np.array([0, 1], "uint8")).tolist() == [0, -1]


def test_the_first_ten_unknown_numbers_are_listed():
    label_map = np.arange(30)[::-1]
    mapping = LabelMapping({0: 0, 4: 1})
    assert mapping.unknown(label_map) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    with pytest.raises(ValueError, match=r"expected the label numbers 0, 4, got \[1, 2, 3, .* 11\] too"):
        mapping(label_map)


@pytest.mark.parametrize(
    "mapping", [LabelMapping({0: 0, 7: 1}), LabelMapping.merging({7: 1}), LabelMapping.merging({})]
)
def test_an_empty_array_stays_empty(mapping):
    empty = np.zeros((0, 3), "uint8")
    assert mapping(empty).shape == (0, 3) and mapping(empty).dtype == np.uint8 and mapping.unknown(empty) == []


def test_labels_of_the_same_names_get_the_same_numbers(msd_folder, write_nifti):
    scans = find_scans(msd_folder("a"), "msd")
    truth = np.resize([0, 1, 2, 3], (5, 4, 3)).astype("uint8")
    write_nifti(scans[0].labels, truth)
    (scan,), found = renumber(scans, {0: "background", 1: "Left_Kidney", 2: "LIVER", 3: "pancreas"}, ORGANS)
    image, labels = scan.read()
    assert scan.name == "a" and labels.grid is image.grid and found == [ORGANS[0], ORGANS[1]]
    assert np.array_equal(labels.array, np.array([0, 300, 6, 0])[truth]) and labels.array.dtype == np.uint16


def test_a_number_without_a_name_is_reported(msd_folder):
    (scan,), _ = renumber(find_scans(msd_folder("a", label=9)), {1: "spleen"}, ORGANS)
    with pytest.raises(
        DatasetError, match=r"a\.nii\.gz: expected the label numbers \[0, 1\], got \[9\] too; name them"
    ):
        scan.read()


def test_a_set_of_other_structures_is_refused(msd_folder):
    message = "expected a set with labels of liver, left kidney, spleen, got lung, Herz; use the same names"
    with pytest.raises(ValueError, match=message):
        renumber(find_scans(msd_folder("a")), {0: "background", 1: "lung", 2: "Herz"}, ORGANS)


HIPPOCAMPUS = (SimpleNamespace(id=1, name="anterior hippocampus"), SimpleNamespace(id=2, name="posterior hippocampus"))


def test_shorter_names_of_the_same_numbers_are_matched_by_number(msd_folder):
    names = {0: "background", 1: "Anterior", 2: "Posterior"}
    with pytest.warns(UserWarning, match="matched by number: 1 Anterior = anterior hippocampus, 2 Posterior = post"):
        (scan,), found = renumber(find_scans(msd_folder("a")), names, HIPPOCAMPUS)
    assert scan.numbers == {0: 0, 1: 1, 2: 2} and found == [*HIPPOCAMPUS]


@pytest.mark.parametrize("names", [{1: "Posterior", 2: "Anterior"}, {1: "Anterior"}, {1: "Anterior", 2: "liver"}])
def test_other_numbers_or_names_are_not_matched(names, msd_folder):
    with pytest.raises(ValueError, match="expected a set with labels of anterior hippocampus"):
        renumber(find_scans(msd_folder("a")), names, HIPPOCAMPUS)

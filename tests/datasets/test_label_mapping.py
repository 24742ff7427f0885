import numpy as np
import pytest

from recalib_keras.datasets import DatasetError, find_scans
from recalib_keras.datasets.label_mapping import renumber
from recalib_keras.zoo import Label

ORGANS = (Label(6, "liver"), Label(300, "left kidney"), Label(9, "spleen"))


def test_labels_of_the_same_names_get_the_same_numbers(msd_folder, write_nifti):
    scans = find_scans(msd_folder("a"), "msd")
    truth = np.resize([0, 1, 2, 3], (5, 4, 3)).astype("uint8")
    write_nifti(scans[0].labels, truth)
    (scan,), found = renumber(scans, {0: "background", 1: "Left_Kidney", 2: "LIVER", 3: "pancreas"}, ORGANS)
    image, labels = scan.read()
    assert scan.name == "a" and labels.grid is image.grid and found == [ORGANS[0], ORGANS[1]]
    assert np.array_equal(labels.array, np.array([0, 300, 6, 0])[truth]) and labels.array.dtype == np.uint16


def test_a_number_without_a_name_is_told(msd_folder):
    (scan,), _ = renumber(find_scans(msd_folder("a", label=9)), {1: "spleen"}, ORGANS)
    with pytest.raises(
        DatasetError, match=r"a\.nii\.gz: expected the label numbers \[0, 1\], got \[9\] too; name them"
    ):
        scan.read()


def test_a_set_of_other_structures_is_refused(msd_folder):
    message = "expected a set with labels of liver, left kidney, spleen, got lung, Herz; name its numbers as the former"
    with pytest.raises(ValueError, match=message):
        renumber(find_scans(msd_folder("a")), {0: "background", 1: "lung", 2: "Herz"}, ORGANS)

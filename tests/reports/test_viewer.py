import base64
import gzip
import hashlib
from importlib.resources import files

import nibabel as nib
import numpy as np
import pytest

from recalib_keras import reports
from recalib_keras.reports import viewer
from recalib_keras.reports.viewer import NIIVUE, NIIVUE_SHA256, NIIVUE_VERSION, viewer_scan
from recalib_keras.volumes import Grid, Volume, VolumeError
from recalib_keras.zoo import Label


def unpacked(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def test_what_a_page_holds_lies_where_the_scan_does(scan, segmentation):
    viewed = viewer_scan(scan, segmentation.labels, segmentation.structures)
    held = viewed.to_json()
    image, labels = unpacked(held["scan"]), unpacked(held["labels"])
    assert image.get_data_dtype() == labels.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, labels.affine)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    for place, label in enumerate(segmentation.structures, 1):
        here = nib.affines.apply_affine(labels.affine, np.argwhere(np.asarray(labels.dataobj) == place))
        there = nib.affines.apply_affine(scan.grid.affine, np.argwhere(segmentation.labels == label.id))
        np.testing.assert_allclose(sorted(here.tolist()), sorted(there.tolist()), atol=1e-4)


def test_centres_are_in_the_structures(scan, segmentation):
    viewed = viewer_scan(scan, segmentation.labels, segmentation.structures)
    for place, centre in enumerate(viewed.centres(), 1):
        assert viewed.classes[tuple(centre)] == place
    assert viewer_scan(scan, np.zeros_like(segmentation.labels), segmentation.structures).centres() == [None] * 3


def test_the_first_slices_show_most(scan, segmentation):
    viewed = viewer_scan(scan, segmentation.labels, segmentation.structures)
    coronal = np.unique(viewed.classes[:, viewed.centre[1]])
    assert set(coronal) == {0, 1, 2, 3}


def test_the_air_around_a_head_is_left_out():
    array = np.random.default_rng(0).uniform(0, 2, (80, 70, 60)).astype(np.float32)
    array[30:50, 30:50, 20:40] += 100
    labels = np.zeros(array.shape, np.uint8)
    labels[35:40, 35:40, 25:30] = 7
    viewed = viewer_scan(Volume(array, Grid(array.shape, np.eye(4))), labels, [Label(7, "lesion", (9, 9, 9))])
    assert all(20 <= size <= 36 for size in viewed.grid.shape)
    assert (viewed.classes == 1).sum() == 125


def test_structures_outside_the_bright_part_are_kept():
    array = np.zeros((60, 60, 60), np.float32)
    array[20:30, 20:30, 20:30] = 100
    labels = np.zeros(array.shape, np.uint8)
    labels[55, 55, 55] = 7
    viewed = viewer_scan(Volume(array, Grid(array.shape, np.eye(4))), labels, [Label(7, "lesion", (9, 9, 9))])
    assert (viewed.classes == 1).sum() == 1


def test_the_contrast_is_that_of_the_structures():
    array = np.zeros((20, 20, 20), np.float32)
    array[5:15, 5:15, 5:15] = np.linspace(50, 60, 10)
    array[0] = 5000  # metal
    labels = (array >= 50).astype(np.uint8) * (array < 100)
    viewed = viewer_scan(
        Volume(array, Grid(array.shape, np.eye(4))), labels.astype(np.uint8), [Label(1, "a", (9, 9, 9))]
    )
    inside = viewed.intensities[viewed.classes == 1]
    assert inside.min() == 0 and 200 < inside.max() < 255  # as in all pictures, nothing of them is quite white


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_scan_of_one_intensity_is_black(value):
    array = np.full((8, 8, 8), value, np.float32)
    viewed = viewer_scan(Volume(array, Grid((8, 8, 8), np.eye(4))), np.ones((8, 8, 8), int), [Label(1, "a", (9, 9, 9))])
    assert not viewed.intensities.any() and viewed.classes.all()


def test_a_fine_scan_is_shown_coarser(monkeypatch, scan, segmentation):
    monkeypatch.setattr(viewer, "MOST_VOXELS", 3000)
    viewed = viewer_scan(scan, segmentation.labels, segmentation.structures)
    assert viewed.classes.size <= 3300 and viewed.classes.shape == viewed.intensities.shape
    assert set(np.unique(viewed.classes)) == {0, 1, 2, 3}


def test_many_structures_need_two_bytes():
    labels = np.arange(1000).reshape(10, 10, 10)
    structures = [Label(number, f"part {number}", (1, 2, 3)) for number in range(1, 1000)]
    scan = Volume(labels.astype(np.float32), Grid((10, 10, 10), np.eye(4)))
    viewed = viewer_scan(scan, labels, structures)
    assert viewed.classes.dtype == np.uint16
    np.testing.assert_array_equal(viewed.classes, labels)


def test_numbers_that_are_no_structure_are_background(scan, segmentation):
    viewed = viewer_scan(scan, segmentation.labels, segmentation.structures[:1])
    assert (viewed.classes > 0).sum() == 216


def test_labels_of_another_shape(scan, segmentation):
    with pytest.raises(VolumeError, match=r"expected labels of the scan's shape \(24, 20, 16\), got \(2, 2, 2\)"):
        viewer_scan(scan, np.zeros((2, 2, 2), int), segmentation.structures)


def test_niivue_is_the_file_that_its_readme_names():
    folder = files(reports) / "niivue"
    assert hashlib.sha256((folder / NIIVUE).read_bytes()).hexdigest() == NIIVUE_SHA256
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert NIIVUE_SHA256 in readme and NIIVUE_VERSION in readme
    assert "Copyright (c) 2021, Niivue" in viewer.niivue_licence()

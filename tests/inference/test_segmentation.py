import nibabel as nib
import numpy as np
import pytest

import recalib_keras
from recalib_keras import volumes
from recalib_keras.evaluation import structure_volumes
from recalib_keras.inference import Segmentation, Segmenter, Uncertainty, quality_warnings
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Label, ReferenceRange

CLASSES = (Label(0, "background"), Label(17, "left"), Label(53, "right"))
EXACT = {"engine": "keras", "precision": "float32"}


@pytest.fixture
def image():
    """A NIfTI image with codes other than the usual ones."""
    affine = np.array([[-1.5, 0.1, 0, 12], [0.1, 1.5, 0, -8], [0, 0, 2, 5], [0, 0, 0, 1]])
    image = nib.Nifti1Image(np.random.default_rng(3).normal(size=(12, 11, 9)).astype("float32"), affine)
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=2)
    return image


def test_a_preset_by_name_segments_a_path(bright_preset, image, tmp_path):
    image.to_filename(tmp_path / "scan.nii.gz")
    found = recalib_keras.Segmenter(bright_preset, **EXACT)(tmp_path / "scan.nii.gz")
    assert isinstance(found, recalib_keras.Segmentation)
    scan = volumes.read(image)
    assert found.grid.matches(scan.grid) and found.labels.shape == image.shape and found.labels.dtype == np.uint8
    # The tiny network calls bright what exceeds the mean by 0.001 standard deviations.
    assert np.array_equal(found.labels == 7, scan.array > scan.array.mean() + 0.001 * scan.array.std())
    assert [structure.name for structure in found.structures] == ["bright"]
    assert found.volumes == tuple(structure_volumes(found.labels, scan.grid, found.structures))
    assert 0 <= found.uncertainty.by_structure[7] == found.uncertainty.foreground < 1
    assert found.warnings == ()


@pytest.mark.parametrize("kind", ["path", "text", "image", "volume"])
def test_any_kind_of_scan(kind, bright_preset, image, tmp_path):
    image.to_filename(tmp_path / "scan.nii")
    scans = {"path": tmp_path / "scan.nii", "text": str(tmp_path / "scan.nii"), "image": image}
    scan = scans.get(kind) or volumes.read(image)
    by_call = recalib_keras.segment(image, bright_preset, **EXACT)
    assert np.array_equal(Segmenter.from_preset(bright_preset)(scan).labels, np.asarray(by_call.dataobj))


def test_one_volume_of_a_4d_image(bright_preset, image):
    array = np.stack([image.get_fdata()[::-1], image.get_fdata()], -1).astype("float32")
    many, segmenter = nib.Nifti1Image(array, image.affine), Segmenter.from_preset(bright_preset)
    assert np.array_equal(segmenter(many, volume=1).labels, segmenter(image).labels)
    assert not np.array_equal(segmenter(many, volume=0).labels, segmenter(image).labels)


def test_image_has_the_place_of_the_scan(image):
    labels = np.zeros(image.shape, "int64")
    labels[3:5] = 53
    scan = volumes.read(image)
    found = Segmentation(Volume(labels, scan.grid, scan.header), CLASSES).image()
    assert np.array_equal(found.affine, image.affine) and np.array_equal(np.asarray(found.dataobj), labels)
    assert (int(found.header["sform_code"]), int(found.header["qform_code"])) == (4, 2)
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_allclose(found.header.get_zooms(), image.header.get_zooms())


def test_warnings_compare_with_the_reference_range():
    labels = np.zeros((5, 5, 5), "uint8")
    labels[1:3, 1:3, 1:3] = 17
    uncertainty = Uncertainty(CLASSES)
    uncertainty.observe(np.array([1]), np.array([[0.5, 0.5, 0.0]]))
    reference = ReferenceRange(0.1, (0.001, 1.0), 0.0, {"left": 1.0, "right": 1.0})
    found = Segmentation(Volume(labels, Grid(labels.shape, np.eye(4))), CLASSES, uncertainty, reference)
    assert found.statistics.entropy == pytest.approx(np.log(2) / np.log(3))
    assert found.warnings == quality_warnings(found.statistics, reference) and len(found.warnings) == 2
    unknown = Segmentation(found.label_map, CLASSES)
    assert unknown.uncertainty is None and unknown.statistics.entropy is None and unknown.warnings == ()


def test_it_keeps_no_intensities(bright_preset, image):
    """A scan of 512 × 512 × 1024 voxels need not stay in memory beside its labels."""
    scan = volumes.read(image)
    found = Segmenter.from_preset(bright_preset)(scan)
    assert not np.shares_memory(found.labels, scan.array) and found.label_map.array is found.labels
    assert found.label_map.header is scan.header


@pytest.mark.parametrize(
    "arguments", [("densenet3d_pe", "hippocampus"), ("densenet3d_pe", lambda windows: windows)], ids=["name", "model"]
)
def test_a_preset_brings_its_own_networks(arguments):
    with pytest.raises(TypeError, match=r"expected the name or folder of a preset, .*; give names of weight sets as"):
        Segmenter(*arguments)

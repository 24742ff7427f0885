"""Probabilities, entropy and mutual information against plain NumPy."""

import dataclasses
import errno
import os
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from recalib_keras import volumes
from recalib_keras.core import scratch
from recalib_keras.core.errors import WriteError
from recalib_keras.inference import Ensemble, Segmenter
from recalib_keras.inference.maps import MapRequest, scan_map
from recalib_keras.inference.sliding_window import predict
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, WeightSet

LABELS = (
    Label(0, "background"),
    Label(3, "left lung", mirror=4),
    Label(4, "right lung", mirror=3),
    Label(9, "heart"),
)
K = len(LABELS)


def softmax_of(seed, scale=1.5):
    """Returns a function from intensities to the probabilities of four classes, different for each seed."""
    slopes = np.random.default_rng(seed).normal(size=(2, K)).astype("float32") * scale

    def probabilities(intensities):
        logits = np.asarray(intensities)[..., None] * slopes[0] + slopes[1]
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        return exponentials / exponentials.sum(-1, keepdims=True)

    return probabilities


def segmenter_of(probabilities, window=(6, 7, 8), flips=False, labels=LABELS, network=None, **expects):
    """Returns a segmenter whose network looks at each voxel alone."""
    expects = Input(window, **{"normalization": "none", **expects})
    weight_set = WeightSet("by hand", network or Network("UNet"), expects, labels, "none.safetensors", "", 0)
    return Segmenter(weight_set, lambda windows: probabilities(windows[..., 0]).astype("float32"), flips)


@pytest.fixture
def scan():
    """A scan with signed intensities, of 1 × 1 × 2 mm, whose axes run to the left, to the front and to the feet."""
    array = np.random.default_rng(1).normal(size=(13, 9, 11)).astype("float32")
    affine = np.diag([-1.0, 1.0, -2.0, 1.0])
    affine[:3, 3] = 4, -7, 12
    return Volume(array, Grid(array.shape, affine))


def entropy_of(probabilities):
    terms = probabilities * np.log(np.maximum(probabilities, 1e-30))
    return -terms.sum(-1) / np.log(probabilities.shape[-1])


@pytest.mark.parametrize(("dtype", "step"), [("uint8", 1 / 255), ("uint16", 1 / 65535), ("float32", 1e-6)])
@pytest.mark.parametrize("orientation", ["LAI", "RAS", "PSR"])
def test_probabilities_are_those_of_the_network_on_the_scans_grid(scan, dtype, step, orientation):
    expected = softmax_of(0)(scan.array)
    segmentation = segmenter_of(softmax_of(0), orientation=orientation)(scan, probabilities=dtype)
    image = segmentation.probabilities()
    found = image.get_fdata()
    assert found.shape == (*scan.grid.shape, K) and np.array_equal(image.affine, scan.grid.affine)
    np.testing.assert_allclose(found, expected, atol=0.51 * step + 1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=K * 0.5 * step + 1e-5)
    clear = np.diff(np.sort(expected, -1)[..., -2:], axis=-1)[..., 0] > 2 * step
    numbers = np.array([label.id for label in LABELS])
    assert np.array_equal(numbers[found.argmax(-1)][clear], segmentation.labels[clear]) and clear.mean() > 0.9
    assert segmentation.maps["probabilities"].structures == tuple((label.name, label.id) for label in LABELS)


def test_the_labels_are_the_same_with_maps_and_without(scan):
    turned = rotated_like(scan)
    for one in (scan, turned):
        segmenter = segmenter_of(softmax_of(2), spacing=(1.5, 1.5, 1.5))
        plain = segmenter(one)
        full = segmenter(one, probabilities="uint8", uncertainty_maps=True)
        assert (plain.labels != full.labels).mean() < 1e-3
        assert full.uncertainty.by_structure == plain.uncertainty.by_structure


def rotated_like(scan):
    """Returns a scan whose axes lie obliquely in space."""
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    affine = scan.grid.affine.copy()
    affine[:3, :3] = turn @ affine[:3, :3]
    return Volume(scan.array, Grid(scan.grid.shape, affine))


def smooth(grid):
    """Returns a scan whose intensity changes slowly in space, so that interpolation is the same by any method."""
    places = np.stack(np.indices(grid.shape), -1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return Volume(np.sin(places @ (0.07, 0.05, 0.03)).astype("float32"), grid)


@pytest.mark.parametrize("spacing", [1.0, 1.3, 0.8])
@pytest.mark.parametrize("is_oblique", [False, True])
def test_on_another_grid_they_are_interpolated(scan, spacing, is_oblique):
    grid = (rotated_like(scan) if is_oblique else scan).grid
    one, function = smooth(grid), softmax_of(3)
    segmenter = segmenter_of(function, window=(10, 10, 10), spacing=(spacing,) * 3)
    segmentation = segmenter(one, probabilities="float32", uncertainty_maps=True)
    found = segmentation.probabilities().get_fdata()
    seen = one.conform("RAS", (spacing,) * 3)
    to_seen = np.linalg.solve(seen.grid.affine, grid.affine)
    places = np.einsum("ij,jxyz->ixyz", to_seen[:3, :3], np.indices(grid.shape)) + to_seen[:3, 3, None, None, None]
    known = function(seen.array)
    expected = np.stack(
        [ndimage.map_coordinates(known[..., k], places, order=1, mode="nearest") for k in range(K)], axis=-1
    )
    # Coarser voxels take the mean of what they cover, which differs a little from the value at their centre.
    np.testing.assert_allclose(found, expected, atol=0.02)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    entropy = segmentation.entropy().get_fdata()
    np.testing.assert_allclose(entropy, entropy_of(found), atol=1e-4)


@pytest.mark.parametrize("window", [(6, 7, 8), (1, 9, 9), (9, 1, 9), (9, 9, 1)])
def test_2d_views_have_maps_too(scan, window):
    def probabilities(slices):
        return softmax_of(4)(slices)

    segmentation = segmenter_of(probabilities, window)(scan, probabilities="float32", uncertainty_maps=True)
    expected = softmax_of(4)(scan.array)
    np.testing.assert_allclose(segmentation.probabilities().get_fdata(), expected, atol=1e-5)
    np.testing.assert_allclose(segmentation.entropy().get_fdata(), entropy_of(expected), atol=1e-4)


def test_the_memory_changes_nothing(scan, monkeypatch):
    segmenter = segmenter_of(softmax_of(5), window=(5, 5, 5), spacing=(1.2, 0.9, 1.7))
    wanted = {"probabilities": "uint16", "uncertainty_maps": True}
    whole = segmenter(scan, **wanted)
    monkeypatch.setattr(predict, "AGGREGATOR_MEMORY", 2000)
    monkeypatch.setattr(predict, "AGGREGATOR_WINDOWS", 0)
    blocks = segmenter(scan, **wanted)
    for name in ("probabilities", "entropy"):
        parts, all_at_once = (np.asarray(one.maps[name].array, int) for one in (blocks, whole))
        assert np.abs(parts - all_at_once).max() <= 2


def mutual_information(predictions, weights):
    """Returns the entropy of the weighted mean less the mean entropy of some predictions."""
    weights = np.array(weights, float) / np.sum(weights)
    mean = sum(weight * one for weight, one in zip(weights, predictions))
    return entropy_of(mean) - sum(weight * entropy_of(one) for weight, one in zip(weights, predictions))


def test_mutual_information_is_what_the_members_of_an_ensemble_differ_by(scan):
    functions, weights = [softmax_of(seed, 4.0) for seed in (6, 7, 8)], (0.4, 0.4, 0.2)
    windows = [(6, 7, 8), (1, 9, 9), (13, 9, 11)]
    members = [segmenter_of(function, window) for function, window in zip(functions, windows)]
    ensemble = Ensemble(zip(members, weights))
    assert ensemble.predictions == 3
    segmentation = ensemble(scan, probabilities="float32", uncertainty_maps=True)
    predictions = [function(scan.array) for function in functions]
    mean = sum(weight * one for weight, one in zip(weights, predictions))
    np.testing.assert_allclose(segmentation.probabilities().get_fdata(), mean, atol=1e-5)
    np.testing.assert_allclose(segmentation.entropy().get_fdata(), entropy_of(mean), atol=1e-4)
    found, expected = segmentation.mutual_information().get_fdata(), mutual_information(predictions, weights)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected.max() > 0.1 and (found <= segmentation.entropy().get_fdata() + 1e-4).all()


def test_members_that_agree_have_no_mutual_information_however_uncertain_they_are(scan):
    fair = segmenter_of(lambda windows: np.full((*windows.shape, K), 1 / K))
    segmentation = Ensemble([(fair, 1.0), (fair, 2.0)])(scan, uncertainty_maps=True)
    assert segmentation.entropy().get_fdata().min() > 0.999 and segmentation.mutual_information().get_fdata().max() == 0


def test_members_that_are_certain_of_two_classes_differ_by_one_bit(scan):
    sure = [segmenter_of(lambda windows, k=k: np.broadcast_to(np.eye(K)[k], (*windows.shape, K))) for k in (1, 2)]
    found = Ensemble(zip(sure, (1, 1)))(scan, uncertainty_maps=True).mutual_information().get_fdata()
    np.testing.assert_allclose(found, np.log(2) / np.log(K), atol=1e-4)


def test_a_border_that_members_agree_on_is_uncertain_but_not_disputed(scan):
    """Probabilities between two voxels are mixed; that is not a disagreement."""
    sure = segmenter_of(lambda windows: np.eye(K)[(windows > 0).astype(int)], spacing=(1.4, 1.4, 1.4))
    segmentation = Ensemble([(sure, 1), (sure, 1)])(scan, uncertainty_maps=True)
    assert segmentation.entropy().get_fdata().max() > 0.3
    assert segmentation.mutual_information().get_fdata().max() < 1e-4


def test_a_member_without_sides_counts_for_both_and_weighs_as_much_in_the_entropy(scan):
    function, blind = softmax_of(9), softmax_of(10)
    merged = (LABELS[0], Label(3, "lung"), LABELS[3])

    def of_merged(windows):
        four = blind(windows)
        return np.stack([four[..., 0], four[..., 1] + four[..., 2], four[..., 3]], -1)

    members = [(segmenter_of(function), 1.0), (segmenter_of(of_merged, labels=merged), 0.5)]
    segmentation = Ensemble(members)(scan, probabilities="float32", uncertainty_maps=True)
    first, second = function(scan.array), of_merged(scan.array)[..., [0, 1, 1, 2]]
    sums = first + 0.5 * second
    mean = sums / sums.sum(-1, keepdims=True)
    np.testing.assert_allclose(segmentation.probabilities().get_fdata(), mean, atol=1e-5)
    share = 0.5 * second.sum(-1) / sums.sum(-1)
    second = second / second.sum(-1, keepdims=True)
    expected = entropy_of(mean) - (1 - share) * entropy_of(first) - share * entropy_of(second)
    np.testing.assert_allclose(segmentation.mutual_information().get_fdata(), expected, atol=1e-4)


def test_flips_are_predictions_too(scan):
    """The network is certain of the left lung, whichever side it sees; the mirror image makes that the right one."""
    certain = segmenter_of(lambda windows: np.broadcast_to(np.eye(K)[1], (*windows.shape, K)), flips=True)
    assert certain.predictions == 2
    segmentation = certain(scan, probabilities="float32", uncertainty_maps=True)
    np.testing.assert_allclose(segmentation.probabilities().get_fdata()[0, 0, 0], [0, 0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(segmentation.mutual_information().get_fdata(), np.log(2) / np.log(K), atol=1e-4)
    sagittal = segmenter_of(softmax_of(0), window=(1, 9, 9), flips=True)
    assert sagittal.predictions == 1 and "mutual_information" not in sagittal(scan, uncertainty_maps=True).maps


SIGMOID = Network("UNet", {"classifier_activation": "sigmoid"})
REGIONS = (Label(0, "background"), Label(1, "whole tumour", includes=(2,)), Label(2, "core"))


def sigmoids_of(seed):
    slopes = np.random.default_rng(seed).normal(size=(2, 2)).astype("float32") * 3
    return lambda intensities: 1 / (1 + np.exp(-(np.asarray(intensities)[..., None] * slopes[0] + slopes[1])))


def binary_entropy(p):
    return entropy_of(np.stack([p, 1 - p], -1))


def test_with_a_sigmoid_each_structure_has_a_probability_of_its_own(scan):
    functions = [sigmoids_of(seed) for seed in (11, 12)]
    members = [segmenter_of(function, labels=REGIONS, network=SIGMOID) for function in functions]
    segmentation = Ensemble(zip(members, (1, 3)))(scan, probabilities="float32", uncertainty_maps=True)
    assert segmentation.maps["probabilities"].structures == (("whole tumour", 1), ("core", 2))
    predictions = [function(scan.array) for function in functions]
    mean = 0.25 * predictions[0] + 0.75 * predictions[1]
    np.testing.assert_allclose(segmentation.probabilities().get_fdata(), mean, atol=1e-5)
    np.testing.assert_allclose(segmentation.entropy().get_fdata(), binary_entropy(mean).max(-1), atol=1e-4)
    expected = binary_entropy(mean) - 0.25 * binary_entropy(predictions[0]) - 0.75 * binary_entropy(predictions[1])
    np.testing.assert_allclose(segmentation.mutual_information().get_fdata(), expected.mean(-1), atol=1e-4)


def test_only_the_structures_that_are_chosen(scan):
    full = segmenter_of(softmax_of(0, 4.0))(scan, probabilities="uint16")
    some = segmenter_of(softmax_of(0, 4.0))(scan, structures=["lung"], probabilities="uint16")
    assert some.maps["probabilities"].structures == (("left lung", 3), ("right lung", 4))
    every, chosen = (np.asarray(one.maps["probabilities"].array) for one in (full, some))
    assert np.array_equal(chosen, every[..., 1:3])
    assert np.array_equal(some.labels, np.where(np.isin(full.labels, (3, 4)), full.labels, 0))
    assert [volume.name for volume in some.volumes] == ["left lung", "right lung"]


def nested(intensities):
    """Returns probabilities above one half of the whole for intensities above 0, and of the core for those above 1."""
    return 1 / (1 + np.exp(-4 * (np.asarray(intensities)[..., None] - [0.0, 1.0])))


def test_of_a_chosen_region_all_voxels_stay(scan):
    segmenter = segmenter_of(nested, labels=REGIONS, network=SIGMOID)
    full, whole = segmenter(scan), segmenter(scan, structures=["whole tumour"])
    assert set(np.unique(full.labels)) == {0, 1, 2}
    assert np.array_equal(whole.labels, (full.labels > 0).astype(int))
    assert [volume.voxels for volume in whole.volumes] == [np.count_nonzero(full.labels)]


def test_the_warnings_are_those_of_all_structures(scan):
    nothing = segmenter_of(lambda windows: np.broadcast_to(np.eye(K)[3], (*windows.shape, K)))(scan)
    assert nothing.only(["lung"]).warnings == nothing.warnings == ()
    assert [volume.voxels for volume in nothing.only(["lung"]).volumes] == [0, 0]


def test_air_around_the_body_is_background_for_sure():
    array = np.zeros((60, 20, 20), "float32")
    array[20:40, 4:16, 4:16] = 1
    scan = Volume(array, Grid(array.shape, np.eye(4)))
    segmenter = segmenter_of(lambda windows: np.full((*windows.shape, K), 1 / K), window=(16, 20, 20))
    segmentation = segmenter(scan, probabilities="uint8", uncertainty_maps=True)
    assert segmentation.probabilities().get_fdata()[0, 0, 0].tolist() == [1, 0, 0, 0]
    assert segmentation.entropy().get_fdata()[0, 0, 0] == 0 and segmentation.entropy().get_fdata()[30, 10, 10] > 0.99


def test_what_was_not_asked_for(scan):
    segmentation = segmenter_of(softmax_of(0))(scan)
    with pytest.raises(ValueError, match="the map 'probabilities', got one with none; call the segmenter with prob"):
        segmentation.probabilities()
    with pytest.raises(ValueError, match=r"'mutual_information', got one with entropy; .* with an ensemble or flips"):
        segmenter_of(softmax_of(0))(scan, uncertainty_maps=True).mutual_information()


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [("float16", "NIfTI has no float16; uint16"), ("unit8", "did you mean 'uint8'"), ("x", "uint8 is")],
)
def test_ways_of_storing_that_are_unknown(dtype, hint):
    with pytest.raises(ValueError, match=f"expected probabilities as uint8, uint16, float32, got '{dtype}'; {hint}"):
        MapRequest(dtype)


def test_files_hold_what_the_image_shows(scan, tmp_path):
    header = nib.Nifti1Header()
    header.set_qform(scan.grid.affine, code=3)
    header.set_sform(scan.grid.affine, code=4)
    segmentation = segmenter_of(softmax_of(0))(dataclasses.replace(scan, header=header), probabilities="uint8")
    for name in ("p.nii.gz", "p.nii"):
        segmentation.maps["probabilities"].save(tmp_path / name)
        image = nib.load(tmp_path / name)
        assert image.get_data_dtype() == np.uint8 and image.shape == (*scan.grid.shape, K)
        assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (3, 4)
        np.testing.assert_allclose(image.get_fdata(), segmentation.probabilities().get_fdata(), atol=1e-6)
        np.testing.assert_array_equal(
            np.asarray(image.dataobj.get_unscaled()), segmentation.maps["probabilities"].array
        )
    again = segmentation.probabilities()
    again.to_filename(tmp_path / "by_nibabel.nii.gz")
    np.testing.assert_allclose(nib.load(tmp_path / "by_nibabel.nii.gz").get_fdata(), again.get_fdata(), atol=0.005)
    assert again.dataobj[1, 2, 3].shape == (K,) and again.slicer[:2].shape == (2, 9, 11, K)
    assert scan_map.stored(np.array([-0.1, 0.5, 1.2]), np.dtype("uint8")).tolist() == [0, 128, 255]


def test_large_maps_lie_in_a_file_without_a_name(scan, tmp_path, monkeypatch):
    segmenter = segmenter_of(softmax_of(0))
    expected = segmenter(scan, probabilities="uint8").probabilities().get_fdata()
    monkeypatch.setattr(scratch, "LARGE", 0)
    segmentation = segmenter(scan, probabilities="uint8", scratch=tmp_path)
    array = segmentation.maps["probabilities"].array
    while array.base is not None and not isinstance(array, np.memmap):
        array = array.base
    assert isinstance(array, np.memmap) and list(tmp_path.iterdir()) == []
    assert np.array_equal(segmentation.probabilities().get_fdata(), expected)


def peak_memory(call):
    """Returns the most memory (bytes) that Python's arrays take during a call; files are not counted."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_maps_need_hardly_more_memory_than_labels(tmp_path, monkeypatch):
    """Twelve probabilities of each voxel take as much room as twelve label maps, but in a file."""
    monkeypatch.setattr(scratch, "LARGE", 2**18)
    classes, size = 12, 72
    labels = tuple(Label(number, f"structure {number}") for number in range(classes))
    array = np.random.default_rng(0).uniform(0.5, 1, (size,) * 3).astype("float32")
    scan = Volume(array, Grid(array.shape, np.diag([-1.0, 1, 1, 1])))

    def probabilities(windows):
        logits = windows[..., None] * np.arange(classes, dtype="float32")
        return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    segmenter = segmenter_of(probabilities, window=(8, 24, 24), labels=labels)
    plain = peak_memory(lambda: segmenter(scan))
    wanted = {"probabilities": "uint8", "uncertainty_maps": True, "scratch": tmp_path}
    assert peak_memory(lambda: segmenter(scan, **wanted)) < plain + 2**21 < plain + classes * size**3 / 2
    one = segmenter(scan, **wanted).maps["probabilities"]
    assert peak_memory(lambda: one.save(tmp_path / "p.nii.gz")) < 3 * size**3 + 2**20


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no room")
def test_a_disk_that_is_full_is_an_error_before_the_work(scan, tmp_path, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "LARGE", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    windows = []
    segmenter = segmenter_of(lambda array: windows.append(array) or softmax_of(0)(array))
    with pytest.raises(WriteError, match=r"room for .* of maps .*, got No space left on device; ask for fewer"):
        segmenter(scan, probabilities="uint8", scratch=tmp_path)
    assert windows == []


def test_volumes_of_a_channel_scan_have_the_place_of_the_first(scan):
    channels = volumes.Channels(("a", "b"), (scan, scan))
    segmentation = segmenter_of(softmax_of(0), channels=("a", "b"), normalization=("none", "none"))(
        channels, probabilities="uint8"
    )
    assert np.array_equal(segmentation.probabilities().affine, scan.grid.affine)

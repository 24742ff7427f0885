"""Segmentation by networks whose structures have probabilities of their own."""

import csv

import keras
import nibabel as nib
import numpy as np
import pytest

from recalib_keras.inference import Ensemble, Segmenter, segment_all
from recalib_keras.inference.engines.base import agreement
from recalib_keras.inference.engines.keras_engine import labels_of
from recalib_keras.inference.uncertainty import largest_binary_entropy
from recalib_keras.models import UNet
from recalib_keras.volumes import Grid, Volume, save
from recalib_keras.zoo import Input, Label, Network, WeightSet

BACKGROUND = Label(0, "background")
WHOLE = Label(1, "whole", includes=(2, 3))
CORE = Label(2, "core", includes=(3,))
ENHANCING = Label(3, "enhancing")


def sigmoid_segmenter(labels, thresholds, spacing=None, window=(8, 8, 8)):
    """Returns a segmenter whose structures are what exceeds their thresholds."""
    expects = Input(window, normalization="none", spacing=spacing)
    network = Network("UNet", {"classifier_activation": "sigmoid"})
    described = WeightSet("by intensity", network, expects, labels, "none.safetensors", "", 0)

    def engine(windows):
        return np.concatenate([1 / (1 + np.exp(-4 * (windows - threshold))) for threshold in thresholds], axis=-1)

    return Segmenter(described, engine)


@pytest.fixture
def scan():
    """A scan whose intensities rise from 0 to 9 along x, in voxels of 2 mm."""
    array = np.broadcast_to(np.arange(10, dtype="float32")[:, None, None], (10, 9, 7)).copy()
    return Volume(array, Grid(array.shape, np.diag([2.0, 2.0, 2.0, 1.0])))


def test_a_binary_network_labels_what_exceeds_one_half(scan):
    found = sigmoid_segmenter((BACKGROUND, Label(7, "bright")), [4.5])(scan)
    np.testing.assert_array_equal(found.labels, np.where(scan.array > 4.5, 7, 0))
    assert found.labels.dtype == np.uint8 and found.volumes[0].voxels == 5 * 9 * 7
    assert 0 < found.uncertainty.foreground < 0.5


def test_structures_beside_each_other_take_the_most_probable(scan):
    found = sigmoid_segmenter((BACKGROUND, Label(1, "wide"), Label(2, "narrow")), [1.5, 6.5])(scan)
    assert np.unique(found.labels).tolist() == [0, 1]


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0, 2.0), (1.0, 1.0, 1.0), (3.0, 3.0, 3.0)])
def test_regions_give_way_to_what_they_include(scan, spacing):
    found = sigmoid_segmenter((BACKGROUND, WHOLE, CORE, ENHANCING), [2.4, 5.4, 7.6], spacing)(scan)
    expected = np.select([scan.array > 7.6, scan.array > 5.4, scan.array > 2.4], [3, 2, 1], 0)
    if spacing in (None, (2.0, 2.0, 2.0)):
        np.testing.assert_array_equal(found.labels, expected)
    else:  # borders move by less than a voxel
        assert (np.diff(found.labels[:, 4, 3].astype(int)) >= 0).all()
        assert (found.labels != expected).mean() <= 0.2
    volumes = {structure.name: structure.voxels for structure in found.volumes}
    counts = {name: np.isin(found.labels, one.numbers).sum() for name, one in
              (("whole", WHOLE), ("core", CORE), ("enhancing", ENHANCING))}  # fmt: skip
    assert volumes == counts and found.statistics.volume_ml == pytest.approx(counts["whole"] * 8 / 1000)
    assert found.volumes[0].percent_of_total == pytest.approx(100)


def test_regions_on_an_oblique_grid(oblique_affine):
    array = np.random.default_rng(0).normal(4, 0.1, (9, 8, 7)).astype("float32")
    array[:5] += 4
    found = sigmoid_segmenter((BACKGROUND, WHOLE, CORE, ENHANCING), [0, 6, 20], (1.0, 1.0, 1.0))(
        Volume(array, Grid(array.shape, oblique_affine))
    )
    assert (found.labels[:4] == 2).all() and (found.labels[6:] == 1).all()


def test_networks_of_one_kind_are_averaged(scan):
    labels = (BACKGROUND, Label(7, "bright"))
    low, high = (sigmoid_segmenter(labels, [threshold]) for threshold in (3.0, 6.0))
    found = Ensemble([(low, 1.0), (high, 1.0)])(scan)
    np.testing.assert_array_equal(found.labels, np.where(scan.array > 4.5, 7, 0))
    softmax = WeightSet("other", Network("UNet"), low.input, labels, "none.safetensors", "", 0)
    with pytest.raises(ValueError, match="expected members whose classifiers all have a sigmoid, or none, got both"):
        Ensemble([(low, 1.0), (Segmenter(softmax, lambda windows: windows), 1.0)])


def test_a_flip_averages_probabilities_and_leaves_the_threshold(scan):
    segmenter = sigmoid_segmenter((BACKGROUND, Label(7, "bright")), [4.5])
    described, engine = segmenter.members[0][0].weight_set, segmenter.engine
    found = Segmenter(described, engine, flips=True)(scan)
    np.testing.assert_array_equal(found.labels, segmenter(scan).labels)


def test_uncertainty_is_that_of_the_least_certain_structure():
    sums = 3 * np.array([[0.5, 0.0, 1.0], [0.5, 0.5, 1.0], [0.5, 0.25, 0.0]])
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    np.testing.assert_allclose(largest_binary_entropy(sums), [0, 1, quarter], atol=1e-6)


def test_engines_are_compared_by_thresholded_structures():
    model = UNet((4, 4, 1), num_classes=2, levels=1, filters=2, classifier_activation="sigmoid")
    windows = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype("float32")
    probabilities = keras.ops.convert_to_numpy(model(windows))
    model.get_layer("classifier").bias.assign(-np.median(np.log(probabilities / (1 - probabilities)), (0, 1, 2)))
    probabilities = keras.ops.convert_to_numpy(model(windows))
    expected = np.select([probabilities[..., 1] > 0.5, probabilities[..., 0] > 0.5], [2, 1], 0)
    labels = labels_of(model)(windows)
    np.testing.assert_array_equal(labels, expected)
    assert len(np.unique(expected)) > 1
    assert agreement(lambda _: probabilities, windows, labels, has_sigmoid=True).agrees


def test_the_table_of_volumes_counts_each_voxel_once(scan, tmp_path):
    path = tmp_path / "scan.nii.gz"
    save(nib.Nifti1Image(scan.array, scan.grid.affine), path)
    report = segment_all(
        [path], tmp_path / "out", sigmoid_segmenter((BACKGROUND, WHOLE, CORE, ENHANCING), [2.4, 5.4, 7.6])
    )
    assert [outcome.error for outcome in report.outcomes] == [None]
    with (tmp_path / "out" / "volumes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mm3"]) for row in rows] == [7 * 63 * 8, 4 * 63 * 8, 2 * 63 * 8]
    assert {row["total_mm3"] for row in rows} == {rows[0]["mm3"]}

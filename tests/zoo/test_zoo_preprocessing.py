"""What a network sees of a scan is what a `Segmenter` shows it, and predictions come back on the scan's own grid."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest
from views import write_views

from recalib_keras import Segmenter, volumes, zoo
from recalib_keras.volumes import Grid, Volume, VolumeError
from recalib_keras.volumes.windows import WindowGrid, cut
from recalib_keras.zoo import Input
from recalib_keras.zoo.preprocessing import SeenScan

LABELS = (zoo.Label(0, "background"), zoo.Label(7, "low"), zoo.Label(3, "high"))
EXPECTED = {
    "3d": Input((12, 16, 12), "RAS", (1.0, 1.0, 1.0), "zscore"),
    "3d as it is": Input((6, 7, 5), "LIA", None, "percentile"),
    "2d": Input((1, 16, 12), "RAS", (1.0, 1.0, 1.0), "percentile"),
    "2d with slices beside": Input((12, 12, 1), "PSR", (1.0, 1.0, 1.5), "zscore", context=2),
}


@pytest.fixture(params=EXPECTED)
def expects(request):
    return EXPECTED[request.param]


@pytest.fixture
def scan():
    """A scan whose axes run to the left, to the front and down, of 1 × 1.5 × 2 mm."""
    array = np.random.default_rng(1).uniform(10, 100, (9, 8, 5)).astype("float32")
    return Volume(array, Grid(array.shape, np.diag([-1.0, 1.5, -2.0, 1.0])))


@pytest.fixture
def described(expects):
    return zoo.WeightSet("", zoo.Network("UNet"), expects, LABELS, "x.safetensors", "", 0)


class Recorder:
    """An engine that keeps what it sees, and calls bright voxels high and dark ones low."""

    voxels_per_batch = 1  # a window at a time

    def __init__(self):
        self.seen = []

    def __call__(self, windows):
        self.seen += list(windows.copy())
        return bright(windows)


def bright(windows):
    middle = windows[..., windows.shape[-1] // 2]
    return np.stack([np.full_like(middle, 0.4), middle < -0.2, middle > 0.5], axis=-1).astype("float32")


def test_windows_are_those_of_a_segmenter(described, expects, scan):
    recorder = Recorder()
    Segmenter(described, recorder)(scan)
    seen = SeenScan(scan, expects, LABELS)
    assert seen.windows.dtype == np.float32 and seen.windows.shape[1:] == expects.shape
    assert len(recorder.seen) == len(seen.windows)
    found = {window.tobytes() for window in recorder.seen}
    assert {window.tobytes() for window in seen.windows} == found


def test_predictions_come_back_as_a_segmenter_has_them(described, expects, scan):
    seen = SeenScan(scan, expects, LABELS)
    image = seen.restore(bright(seen.windows))
    expected = Segmenter(described, Recorder())(scan).image()
    assert image.shape == scan.grid.shape and np.array_equal(image.affine, expected.affine)
    found, wanted = np.asarray(image.dataobj), np.asarray(expected.dataobj)
    assert set(np.unique(found)) <= {0, 3, 7} and len(np.unique(found)) > 1
    # Between voxels of other sizes both interpolate, the segmenter with less smoothing.
    assert (found == wanted).mean() >= (1.0 if seen.image.grid.spacing == scan.grid.oriented("LIA").spacing else 0.9)


def test_whole_images_come_back(expects, scan):
    seen = SeenScan(scan, expects, LABELS)
    one_hot = np.zeros((*seen.image.grid.shape, 3), "float32")
    one_hot[..., 2] = 1
    assert np.unique(np.asarray(seen.restore(one_hot).dataobj)).tolist() == [3]


def test_ground_truth_follows_the_scan(expects, scan):
    """A label map that is the scan's own order: its windows hold it where the scan's windows show the scan."""
    seen = SeenScan(scan, expects, LABELS)
    truth = np.where(scan.array > 55, 3, 0).astype("uint8")
    classes = seen.classes(Volume(truth, scan.grid))
    assert classes.shape == seen.windows.shape[:-1] and set(np.unique(classes)) == {0, 2}
    on_grid = volumes.resample(truth, scan.grid, seen.image.grid, order=0)
    back = seen.restore(np.eye(3, dtype="float32")[classes])
    assert (np.asarray(back.dataobj) == truth).mean() > (0.99 if on_grid.size == truth.size else 0.75)


def test_numbers_of_ones_own(scan, tmp_path):
    seen = SeenScan(scan, EXPECTED["3d"], LABELS)
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image((scan.array > 55).astype("uint8") * 40, scan.grid.affine), path)
    assert set(np.unique(seen.classes(path, labels=[0, 40]))) == {0, 1}
    with pytest.raises(ValueError, match=r"expected the label numbers 0, 3, 7, got \[40\] too"):
        seen.classes(path)
    with pytest.raises(VolumeError, match="expected the grid of its scan"):
        seen.classes(Volume(np.zeros((4, 4, 4), "uint8"), Grid((4, 4, 4), np.eye(4))))


def test_predictions_of_another_shape_are_refused(scan):
    seen = SeenScan(scan, EXPECTED["3d"], LABELS)
    with pytest.raises(
        ValueError, match=r"expected probabilities of the windows, \(1, 12, 16, 12, 3\), or of the voxe"
    ):
        seen.restore(np.zeros((1, 12, 16, 12, 2)))


def test_a_tilted_scan(scan, oblique_affine):
    tilted = dataclasses.replace(scan, grid=Grid(scan.grid.shape, oblique_affine))
    seen = SeenScan(tilted, EXPECTED["3d"], LABELS)
    assert seen.image.grid.tilt == 0
    truth = Volume(np.full(scan.grid.shape, 7, "uint8"), tilted.grid)
    assert set(np.unique(seen.classes(truth))) == {0, 1}  # background around the scan's corners
    found = np.asarray(seen.restore(np.eye(3)[seen.classes(truth)]).dataobj)
    assert set(np.unique(found)) <= {0, 7} and (found[1:-1, 1:-1, 1:-1] == 7).all()  # its rim lies beside background


def test_by_name_by_path_and_from_the_model(preset_folder, tmp_path, scan):
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(scan.array, scan.grid.affine), path)
    by_name = zoo.preprocess(preset_folder, path)
    by_model = zoo.load(preset_folder).preprocess(nib.load(path))
    assert np.array_equal(by_name.windows, by_model.windows) and by_name.windows.shape == (1, 12, 12, 12, 1)
    assert [label.id for label in by_name.labels] == [0, 17, 53]
    smaller = zoo.load(preset_folder, input_shape=(4, 6, 8, 1), num_classes=2).preprocess(path, labels=["none", "ball"])
    assert smaller.windows.shape[1:] == (4, 6, 8, 1) and [label.id for label in smaller.labels] == [0, 1]
    free = zoo.load(preset_folder, input_shape=(None, None, None, 1)).preprocess(path)
    assert np.array_equal(free.windows, by_name.windows)
    assert repr(by_name).startswith("<SeenScan 9 x 8 x 5 voxels of 1 x 1.5 x 2 mm, RAS, zscore; windows of (12, 12, 12")


def test_labels_must_be_as_many_as_the_classes(preset_folder, scan):
    binary = zoo.load(preset_folder, num_classes=1)
    assert len(binary.preprocess(scan, labels=["background", "ball"]).labels) == 2
    with pytest.raises(ValueError, match=r"expected 2 `labels`, .* the background first, got 1; name them all"):
        binary.preprocess(scan, labels=["ball"])
    with pytest.raises(ValueError, match="expected 5 `labels`"):
        zoo.load(preset_folder, num_classes=5).preprocess(scan, labels=["background", "ball"])
    with pytest.raises(zoo.RecordError, match="the background as the first"):
        zoo.preprocess(preset_folder, scan, labels=["ball", "background"])


def test_a_volume_of_a_4d_scan(preset_folder, tmp_path, scan):
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.stack([scan.array, 2 + scan.array[::-1]], -1), scan.grid.affine), path)
    assert zoo.preprocess(preset_folder, path, volume=1).windows.shape == (1, 12, 12, 12, 1)


def test_weight_sets_and_ensembles(tmp_path, scan):
    folder = write_views(tmp_path / "views")
    assert zoo.preprocess(folder, scan, "coronal").windows.shape[1:] == (8, 8, 3)
    assert zoo.preprocess(folder, scan).windows.shape[1:] == (8, 8, 8, 1)
    with pytest.raises(ValueError, match="got 'axia'; did you mean 'axial'"):
        zoo.preprocess(folder, scan, "axia")
    with pytest.raises(ValueError, match=r"expected 2 spatial sizes, as of the window \(8, 8, 1\), got \(4, 4, 4\)"):
        zoo.preprocess(folder, scan, "axial", window=(4, 4, 4))


def test_an_average_of_windows_is_what_they_agree_on():
    values = np.random.default_rng(0).normal(size=(9, 7, 5)).astype("float32")
    grid = WindowGrid(values.shape, (4, 4, 8))
    windows = [cut(values, place, grid.window)[..., None] for place in grid.places()]
    np.testing.assert_allclose(grid.average(windows)[..., 0], values, atol=1e-5)

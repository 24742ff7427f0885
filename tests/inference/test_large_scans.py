"""Scans that lie in files while they are segmented: the same labels, in a memory that does not grow with the scan."""

import itertools
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from recalib_keras import volumes
from recalib_keras.core import scratch
from recalib_keras.core.scratch import lies_in_file
from recalib_keras.inference import Segmenter, SlidingWindow, View
from recalib_keras.inference.foreground import predict_foreground
from recalib_keras.inference.preprocessing import as_seen
from recalib_keras.inference.sliding_window import predict, voxel_maps
from recalib_keras.zoo import Input, Label, Network, WeightSet

WINDOW, NUMBERS = (12, 8, 10), (0, 17, 2035, 4)
LABELS = tuple(Label(number, f"structure {number}", mirror={17: 2035, 2035: 17}.get(number)) for number in NUMBERS)
OBLIQUE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3, 0.1, -0.2))


@pytest.fixture
def files_for_all(monkeypatch):
    """Lets every scan lie in a file, in many pieces that are released after few voxels."""
    monkeypatch.setattr(scratch, "LARGE_SCAN", 1)
    monkeypatch.setattr(scratch, "AT_ONCE", 2000)
    monkeypatch.setattr(voxel_maps, "RELEASED_AFTER", 100)


def probabilities(windows):
    """Of four classes; they depend on the intensity and on the place in the window."""
    place = np.sqrt(1 + np.arange(np.prod(WINDOW))).reshape(*WINDOW, 1)
    scores = 1.1 + np.sin(windows * np.arange(1, 5) + 3.7 * place)
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


def segmenter_of(normalization="percentile", orientation="RAS", spacing=None, flips=False):
    expects = Input(WINDOW, orientation, spacing, normalization)
    weight_set = WeightSet("", Network("UNet"), expects, LABELS, "none.safetensors", "", 0)
    return Segmenter(weight_set, probabilities, flips)


def write(path, affine, dtype="int16", slope=1.0, shape=(21, 26, 23)):
    rng = np.random.default_rng(3)
    array = np.zeros(shape)
    array[2:, 3:-4, 5:] = rng.normal(300, 80, (shape[0] - 2, shape[1] - 7, shape[2] - 5)).clip(1)
    image = nib.Nifti1Image(array.astype(dtype), affine)
    image.header.set_slope_inter(slope, 0)
    nib.save(image, path)
    return path


def as_before(segmenter, path):
    """Returns labels as by arrays in memory: the classes of the whole scan, moved to its grid, then their numbers."""
    scan = volumes.read(path)
    image = as_seen(scan, segmenter.input)
    views = [View(probabilities, WINDOW)]
    found = predict_foreground(SlidingWindow(views, len(NUMBERS), output_grid=image.output_grid), image)
    return np.array(NUMBERS, "uint16")[volumes.resample(found, image.oriented, scan.grid, order=0)]


@pytest.mark.parametrize("method", ["percentile", "zscore", "minmax", "ct", "none"])
@pytest.mark.parametrize(
    ("name", "dtype", "slope"), [("a.nii", "int16", 1), ("a.nii.gz", "uint8", 1), ("a.nii", "int16", 0.37)]
)
def test_labels_do_not_depend_on_where_the_scan_lies(method, name, dtype, slope, tmp_path, files_for_all):
    path = write(tmp_path / name, np.diag([-1.0, 1, 1, 1]), dtype, slope)
    segmenter = segmenter_of(method)
    scan = volumes.read(path, keep_integers=True)
    assert lies_in_file(scan.array) and not lies_in_file(volumes.read(path).array)
    labels = segmenter(path).labels
    assert lies_in_file(labels) and labels.dtype == np.uint16
    assert np.array_equal(labels, as_before(segmenter, path)) and set(np.unique(labels)) == set(NUMBERS)


@pytest.mark.parametrize("axes", ["".join(axes) for axes in itertools.product("RL", "PA", "IS")] + ["SPL", "AIR"])
@pytest.mark.parametrize("expects", ["RAS", "PIL"])
def test_in_any_orientation(axes, expects, tmp_path, files_for_all):
    turn = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(axes), (21, 26, 23))
    path, segmenter = write(tmp_path / "a.nii", np.linalg.inv(turn)), segmenter_of(orientation=expects)
    assert np.array_equal(segmenter(path).labels, as_before(segmenter, path))


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0), (1.3, 0.8, 1.1)])
@pytest.mark.parametrize("affine", [OBLIQUE, np.diag([0.9, -1.2, 1.4, 1])])
@pytest.mark.filterwarnings("ignore:.*the axes of the scan are tilted")
def test_on_any_grid(spacing, affine, tmp_path, files_for_all):
    path, segmenter = write(tmp_path / "a.nii", affine), segmenter_of(spacing=spacing)
    assert np.array_equal(segmenter(path).labels, as_before(segmenter, path))


@pytest.mark.parametrize("flips", [False, True])
def test_maps_and_volumes_are_the_same(flips, tmp_path, monkeypatch):
    path, wanted = write(tmp_path / "a.nii", np.diag([1.0, -1, 1, 1])), {"probabilities": "uint8", "scratch": tmp_path}
    in_memory = segmenter_of(flips=flips)(path, uncertainty_maps=True, **wanted)
    for name, value in (("LARGE_SCAN", 1), ("LARGE", 1), ("AT_ONCE", 2000)):
        monkeypatch.setattr(scratch, name, value)
    in_files = segmenter_of(flips=flips)(path, uncertainty_maps=True, **wanted)
    assert lies_in_file(in_files.labels) and not lies_in_file(in_memory.labels)
    assert np.array_equal(in_files.labels, in_memory.labels)
    assert in_files.volumes == in_memory.volumes and in_files.warnings == in_memory.warnings
    assert in_files.uncertainty.by_structure == in_memory.uncertainty.by_structure
    for name, one in in_memory.maps.items():
        assert lies_in_file(in_files.maps[name].array) and np.array_equal(in_files.maps[name].array, one.array)
    in_files.image().to_filename(tmp_path / "labels.nii.gz")
    assert np.array_equal(np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj), in_memory.labels)
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(("a.", "labels."))] == []


def test_memory_does_not_grow_with_the_length(tmp_path, monkeypatch, files_for_all):
    """A scan of four times as many slices; sums of probabilities wait for two windows at most."""
    monkeypatch.setattr(predict, "AGGREGATOR_MEMORY", 0)
    weight_set = WeightSet("", Network("UNet"), Input((40,) * 3, "RAS", None, "ct"), LABELS, "none.safetensors", "", 0)
    segmenter, peaks = Segmenter(weight_set, lambda windows: np.repeat(windows, 4, axis=-1)), []
    for length in (240, 960):
        path = write(tmp_path / f"{length}.nii", np.diag([1.0, 1, 1, 1]), shape=(40, 40, length))
        tracemalloc.start()
        segmenter(path, measure_uncertainty=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert abs(peaks[1] - peaks[0]) < 40 * 40 * 720 / 10  # bytes: a tenth of what one more label map would take

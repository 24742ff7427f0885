"""Scans whose axes are tilted against those of the scanner: the network sees them straight."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks import whole_brain
from benchmarks.whole_brain import TILTS, tilted
from recalib_keras import volumes
from recalib_keras.evaluation import dice
from recalib_keras.inference import Segmenter
from recalib_keras.volumes import Grid, ScanWarning, Volume
from recalib_keras.zoo import Input, Label, Network, WeightSet

LENGTH = 21


@pytest.fixture(params=[(1.0, 1.0, 1.0), (1.5, 1.0, 1.25)])
def upright_segmenter(request):
    """A segmenter that only finds bars that stand upright: by the mean along z."""

    def predict(windows):
        found = ndimage.uniform_filter1d(windows[..., 0], LENGTH, axis=3, mode="nearest")
        return np.stack([1.3 - found, found], axis=-1)

    expects = Input((36, 36, 36), "RAS", request.param, "percentile")
    labels = (Label(0, "background"), Label(7, "upright"))
    return Segmenter(WeightSet("bars", Network("UNet"), expects, labels, "none.safetensors", "", 0), predict)


@pytest.fixture
def bars():
    """A scan of an upright bar and one that lies, neither in the middle, on 1 mm."""
    affine = np.eye(4)
    affine[:3, 3] = -34, -41, -38
    array = np.zeros((70, 76, 74), np.float32)
    array[18:34, 16:32, 12:62] = 80
    array[44:54, 12:62, 32:42] = 80
    return Volume(ndimage.gaussian_filter(array, 2) + 10, Grid(array.shape, affine))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", TILTS)
def test_an_oblique_scan_has_the_labels_of_the_straight_one(degrees, axis, upright_segmenter, bars):
    straight = Volume(upright_segmenter(bars).labels, bars.grid)
    assert 6000 < (straight.array == 7).sum() < 9000
    stored = bars.on(tilted(bars.grid, degrees, axis))
    assert stored.grid.tilt == pytest.approx(degrees)
    labels = upright_segmenter(stored).labels
    assert labels.shape == stored.grid.shape
    assert dice(labels, straight.on(stored.grid, order=0).array, 7) > 0.96


@pytest.mark.parametrize("code", ["LIA", "PSR"])
def test_an_oblique_scan_may_be_stored_along_any_axes(code, upright_segmenter, bars):
    stored = bars.on(tilted(bars.grid, 30, 0))
    turned = stored.conform(code)
    labels, expected = upright_segmenter(turned).labels, upright_segmenter(stored).labels
    back = Volume(labels, turned.grid).on(stored.grid, order=0).array
    assert (back != expected).mean() < 1e-4  # rounding may decide a tie


def test_the_voxels_of_an_oblique_scan_may_be_thick(upright_segmenter, bars):
    straight = Volume(upright_segmenter(bars).labels, bars.grid)
    stored = bars.on(tilted(bars.grid, 30, 0).resampled((0.8, 0.8, 2.5)))
    found = Volume(upright_segmenter(stored).labels, stored.grid).on(bars.grid, order=0)
    assert dice(found.array, straight.array, 7) > 0.85


def test_uncertainty_is_that_of_what_the_scan_shows(upright_segmenter, bars):
    expected = upright_segmenter(bars).uncertainty
    stored = bars.on(tilted(bars.grid, 45, 1))
    found = upright_segmenter(stored).uncertainty
    assert found.by_structure[7] == pytest.approx(expected.by_structure[7], abs=0.02)


def test_without_a_spacing_the_network_sees_it_tilted_and_a_warning_says_so(threshold_segmenter, bars):
    stored = bars.on(tilted(bars.grid, 30, 0))
    segmenter = threshold_segmenter(thresholds=(40.0, 200.0))
    with pytest.warns(ScanWarning, match="axes of the scan are tilted by 30 degrees; the network sees it tilted"):
        labels = segmenter(stored).labels
    assert np.array_equal(labels == 17, stored.array > 40)


@pytest.mark.slow
def test_the_brain_on_tilted_grids_has_the_labels_of_the_straight_one():
    pytest.importorskip("nilearn.datasets")
    segmenter = Segmenter("densenet3d_pe", weights="whole_brain")
    found = list(whole_brain.oblique(segmenter, volumes.read(whole_brain.template())))
    assert len(found) == 12
    assert {what: agreement for what, agreement, _ in found if agreement < 0.93} == {}

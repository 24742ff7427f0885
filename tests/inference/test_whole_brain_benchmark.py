import numpy as np
import pytest

from benchmarks import whole_brain
from examples.demo import template
from recalib_keras import volumes
from recalib_keras.volumes import Grid, Volume


@pytest.fixture(autouse=True)
def small_padding(monkeypatch):
    monkeypatch.setattr(whole_brain, "PADDED", 64)


def test_what_changes_of_a_scan_do_to_its_labels(threshold_segmenter):
    """A network that looks at each voxel alone does not mind turns, crops and mirrors, but does mind noise."""
    rng = np.random.default_rng(0)
    array = rng.normal(size=(6, 6, 7)).repeat(8, 0).repeat(8, 1).repeat(8, 2).astype("float32")
    scan = Volume(array, Grid(array.shape, np.eye(4)))
    segmenter = threshold_segmenter(window=(16, 16, 16), thresholds=(0.0, 1.0), normalization="none")
    found = dict(whole_brain.changes(segmenter, scan, segmenter(scan).labels, orientations=2))
    assert found["turned to 2 orientations, the least"] == found["without 20 mm above and below"] == 1
    assert found["left and right exchanged"] == found["padded to 64 voxels along each axis"] == 1
    assert 0.6 < found["noise 6%"] < found["noise 3%"] < 1
    assert all(0.4 < found[f"resampled to {size}"] <= 1 for size in ("0.7 × 0.7 × 0.7 mm", "3 × 3 × 3 mm"))


def test_what_is_labelled_as_brain_stem_counts_as_white_matter_or_not_at_all():
    datasets = pytest.importorskip("nilearn.datasets")
    scan = volumes.read(template())
    truth = [
        volumes.read(getattr(datasets, f"load_mni152_{name}_template")(resolution=1)).array for name in ("gm", "wm")
    ]
    labels = np.select([truth[0] > np.maximum(truth[1], 0.5), truth[1] >= 0.5], [3, 2], 0)
    perfect = whole_brain.tissues(scan, labels)
    assert perfect["grey matter"] > 0.97 and perfect["white matter"] > 0.97
    assert perfect["white matter, with the brain-stem"] == perfect["white matter"]
    labels[labels == 3] = 16  # grey matter called brain-stem
    wrong = whole_brain.tissues(scan, labels)
    assert wrong["white matter"] >= perfect["white matter"] and wrong["white matter, with the brain-stem"] < 0.75


def test_nothing_found_is_among_the_warnings(threshold_segmenter, monkeypatch, tmp_path):
    monkeypatch.setenv("RECALIB_DATA", str(tmp_path))
    rng = np.random.default_rng(0)
    scan = Volume(rng.uniform(1, 2, (16, 16, 16)).astype("float32"), Grid((16, 16, 16), np.eye(4)))
    segmenter = threshold_segmenter(window=(16, 16, 16), thresholds=(1.0, 5.0), normalization="none")
    found = dict(whole_brain.warnings_of(segmenter, scan))
    assert list(found)[:2] == ["the template", "the template, padded"]
    assert found["the template"] == "" and found["nothing but noise"] == ""
    segmenter = threshold_segmenter(window=(16, 16, 16), thresholds=(9.0, 10.0), normalization="none")
    assert all("nothing found" in warning for warning in dict(whole_brain.warnings_of(segmenter, scan)).values())

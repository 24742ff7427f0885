import numpy as np

from benchmarks import whole_brain
from recalib_keras.volumes import Grid, Volume


def test_what_changes_of_a_scan_do_to_its_labels(threshold_segmenter):
    """A network that looks at each voxel alone does not mind turns, crops and mirrors, but does mind noise."""
    rng = np.random.default_rng(0)
    array = rng.normal(size=(6, 6, 7)).repeat(8, 0).repeat(8, 1).repeat(8, 2).astype("float32")
    scan = Volume(array, Grid(array.shape, np.eye(4)))
    segmenter = threshold_segmenter(window=(16, 16, 16), thresholds=(0.0, 1.0), normalization="none")
    found = dict(whole_brain.changes(segmenter, scan, segmenter(scan), orientations=2))
    assert found["turned to 2 orientations, the least"] == found["without 20 mm above and below"] == 1
    assert found["left and right exchanged"] == 1
    assert 0.6 < found["noise 6%"] < found["noise 3%"] < 1
    assert all(0.4 < found[f"resampled to {size}"] <= 1 for size in ("0.7 × 0.7 × 0.7 mm", "3 × 3 × 3 mm"))

"""The scans of the memory benchmark match its table, and the replacement for the network finds their labels."""

import nibabel as nib
import numpy as np
import pytest

from benchmarks import memory


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({}, 1),
        ({"name": "scan.nii.gz", "intercept": memory.AIR}, 1),
        ({"normalization": "percentile"}, 1),
        ({"spacing": 2.0, "normalization": "percentile"}, 0.7),
    ],
)
def test_labels_of_a_scan(settings, least, tmp_path):
    settings = {"name": "scan.nii", "intercept": 0} | settings
    path = tmp_path / settings["name"]
    memory._write_scan(path, (70, 66, 40), classes=3, intercept=settings.pop("intercept"))
    peak, seconds, share = memory._scan(str(tmp_path), classes=3, **settings)
    assert peak > 0 and seconds >= 0
    assert least <= share <= 1


def test_the_file_of_a_ct_has_its_intercept(tmp_path):
    memory._write_scan(tmp_path / "scan.nii.gz", (20, 16, 12), classes=5, intercept=memory.AIR)
    image = nib.load(tmp_path / "scan.nii.gz")
    assert image.get_data_dtype() == np.int16 and (image.dataobj.slope, image.dataobj.inter) == (1, -1024)
    assert set(np.unique(image.dataobj.get_unscaled())) == {1024, 1025, 1026, 1027, 1028}
    assert set(np.unique(image.dataobj)) == {0, 1, 2, 3, 4}


def test_the_row_of_a_scan_describes_its_settings(tmp_path):
    settings = {"name": "scan.nii.gz", "intercept": memory.AIR, "spacing": 2.0, "normalization": "percentile"}
    row = memory._scan_row(tmp_path, (40, 32, 24), 3, **settings)
    assert tuple(row) == memory.SCAN_COLUMNS
    assert (row["scan"], row["file"], row["network sees"]) == ("40×32×24", "nii.gz, -1024", "percentile, 2 mm voxels")

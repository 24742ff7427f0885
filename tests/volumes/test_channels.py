"""Scans of several channels, in one file or in a file each."""

import nibabel as nib
import numpy as np
import pytest

from recalib_keras.volumes import Channels, Grid, Volume, VolumeError, read_channels
from recalib_keras.volumes.channels import case_name, number_of_volumes, one_per_case

NAMES = ("FLAIR", "T1w", "T2w")
AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(5, 4, 3, 3)).astype("float32")


@pytest.fixture
def files(array, tmp_path):
    paths = [tmp_path / f"patient_7_{channel:04}.nii.gz" for channel in range(3)]
    for channel, path in enumerate(paths):
        nib.save(nib.Nifti1Image(array[..., channel], AFFINE), path)
    return paths


@pytest.fixture
def stacked(array, tmp_path):
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "stacked.nii.gz")
    return tmp_path / "stacked.nii.gz"


def test_every_way_to_give_channels(array, files, stacked):
    for source in (stacked, str(stacked), files, files[0], files[2], nib.load(stacked), [nib.load(f) for f in files]):
        scan = read_channels(source, NAMES)
        np.testing.assert_array_equal(scan.array, array)
        assert scan.names == NAMES and scan.grid.orientation == "LAS"
    assert read_channels(stacked, NAMES).source == stacked


def test_a_missing_channel_names_the_scan(files):
    files[1].unlink()
    with pytest.raises(VolumeError, match=r"expected the channel T1w of patient_7 in patient_7_0001.nii.gz beside it"):
        read_channels(files[0], NAMES)
    with pytest.raises(VolumeError, match=r"patient_7_0000.nii.gz: expected 3 channels \(FLAIR, T1w, T2w\), got 2"):
        read_channels([files[0], files[2]], NAMES)


def test_other_numbers_of_volumes(stacked, array, tmp_path):
    with pytest.raises(VolumeError, match=r"stacked.nii.gz: expected 2 channels, got a 4-D image of 3 volumes"):
        read_channels(stacked, NAMES[:2])
    nib.save(nib.Nifti1Image(array[..., 0], AFFINE), tmp_path / "single.nii.gz")
    with pytest.raises(
        VolumeError, match=r"single.nii.gz: expected 3 channels .* got a scan of one channel; give a 4-D"
    ):
        read_channels(tmp_path / "single.nii.gz", NAMES)
    assert (number_of_volumes(stacked), number_of_volumes(tmp_path / "single.nii.gz")) == (3, 1)


def test_channels_on_different_grids(array):
    first = Volume(array[..., 0], Grid((5, 4, 3), AFFINE))
    second = Volume(array[..., 1], Grid((5, 4, 3), np.diag([1.0, 1.0, 3.0, 1.0])))
    with pytest.raises(VolumeError, match="expected the channel T1w on the grid of the channel FLAIR"):
        Channels(("FLAIR", "T1w"), (first, second))


def test_one_file_stands_for_each_scan(files, stacked):
    assert one_per_case([files[2], files[0], stacked]) == [files[0], stacked]
    assert [case_name(path) for path in (files[1], stacked)] == ["patient_7", "stacked"]

"""Which channels of a set a network sees, and how they are read."""

import json

import nibabel as nib
import numpy as np
import pytest

from recalib_keras.cli.main import main
from recalib_keras.datasets import DatasetError, check, find_scans
from recalib_keras.datasets.channels import choose_channels
from recalib_keras.volumes import Channels

NAMES = ("FLAIR", "T1w", "T2w")


@pytest.fixture
def folder(tmp_path):
    """A user's folder of two 4-D scans."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for name in ("ann", "bob"):
        nib.save(nib.Nifti1Image(rng.normal(size=(5, 4, 3, 3)).astype("float32"), np.eye(4)), _image(tmp_path, name))
        nib.save(nib.Nifti1Image(np.ones((5, 4, 3), "uint8"), np.eye(4)), tmp_path / "labels" / f"{name}.nii.gz")
    (tmp_path / "channels.json").write_text(json.dumps(dict(enumerate(NAMES))), encoding="utf-8")
    return tmp_path


def _image(folder, name):
    return folder / "images" / f"{name}.nii.gz"


def test_all_channels_are_read_on_one_grid(folder):
    scans = find_scans(folder, "nifti_folder")
    image, labels = scans[0].read()
    assert isinstance(image, Channels) and image.names == NAMES and check(scans) == []
    np.testing.assert_array_equal(image.array, nib.load(_image(folder, "ann")).get_fdata())
    assert labels.grid.shape == image.grid.shape


def test_channels_are_chosen_by_name_in_any_order(folder):
    scans = find_scans(folder, "nifti_folder")
    image, _ = choose_channels(scans, ("T2w", "FLAIR"), folder)[0].read()
    stored = nib.load(_image(folder, "ann")).get_fdata()
    assert image.names == ("T2w", "FLAIR")
    np.testing.assert_array_equal(image.array, stored[..., [2, 0]])
    (alone, _), _ = choose_channels(scans, ("T1w",), folder)[0].read(), None
    np.testing.assert_array_equal(alone.array, stored[..., 1])


def test_channels_without_names_are_taken_in_order(folder):
    (folder / "channels.json").unlink()
    scans = choose_channels(find_scans(folder, "nifti_folder"), NAMES, folder)
    assert scans[1].read()[0].names == NAMES
    for number in range(3):
        nib.save(nib.load(_image(folder, "bob")).slicer[..., number], folder / "images" / f"bob_{number:04}.nii.gz")
        nib.save(nib.load(_image(folder, "ann")).slicer[..., number], folder / "images" / f"ann_{number:04}.nii.gz")
    for name in ("ann", "bob"):
        _image(folder, name).unlink()
    found = find_scans(folder, "nifti_folder")
    assert [channel.name for channel in found[0].channels] == ["0", "1", "2"]
    assert choose_channels(found, NAMES, folder)[0].read()[0].names == NAMES


def test_a_network_of_one_channel_must_choose(folder):
    scans = find_scans(folder, "nifti_folder")
    with pytest.raises(DatasetError) as caught:
        choose_channels(scans, None, folder)
    assert str(caught.value) == (
        f"{folder}: expected images of one channel, got 3 in each (0 = FLAIR, 1 = T1w, 2 = T2w); take them all: "
        'channels = ["FLAIR", "T1w", "T2w"] under [input] of a recipe; or choose one: --volume I, in Python volume=I, '
        "in a recipe volume = I under [data]"
    )


def test_an_unknown_channel_is_reported_with_the_nearest(folder):
    scans = find_scans(folder, "nifti_folder")
    with pytest.raises(DatasetError, match="expected channels out of FLAIR, T1w, T2w, got 'T1W'; did you mean 'T1w'"):
        choose_channels(scans, ("T1W", "FLAIR"), folder)


def test_a_patient_who_lacks_a_modality_is_named(folder):
    nib.save(nib.load(_image(folder, "bob")).slicer[..., :2], _image(folder, "bob"))
    problems = check(find_scans(folder, "nifti_folder"))
    assert [str(problem) for problem in problems] == [
        f"{_image(folder, 'bob')}: expected the channel T2w of bob: a 4-D image of which it is volume 2, got an image "
        "of 2 volumes; give every scan the same channels, or take this one out"
    ]


def test_the_command_lists_channels(folder, capsys):
    assert main(["datasets", "nifti_folder", str(folder)]) == 0
    assert "channels: FLAIR, T1w, T2w\n" in capsys.readouterr().out

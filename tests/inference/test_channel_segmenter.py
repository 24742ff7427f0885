"""Segmentation of scans of several channels."""

import dataclasses

import keras
import nibabel as nib
import numpy as np
import pytest

import recalib_keras
from recalib_keras import zoo
from recalib_keras.cli.main import main
from recalib_keras.inference import Segmenter
from recalib_keras.inference.preprocessing import as_seen
from recalib_keras.volumes import VolumeError, normalize, read_channels
from recalib_keras.zoo import Input, Label, Network, WeightSet, weights
from recalib_keras.zoo.preprocessing import preprocessed
from recalib_keras.zoo.preset import Preset

NAMES = ("T1w", "T2w")
LABELS = (Label(0, "background"), Label(7, "bright in T2w"))


def described(window=(8, 8, 8), **expects):
    """Describes a network that calls bright what exceeds 0 in the second channel."""
    expects = Input(window, **{"normalization": ("none", "zscore"), "channels": NAMES, **expects})
    return WeightSet("second channel", Network("UNet", {"levels": 1, "filters": 2}), expects, LABELS, "any.safetensors",
                     "", 0)  # fmt: skip


def by_second_channel(weight_set):
    """The engine of it: the middle slice of the second channel counts."""
    place = weight_set.input.depth + weight_set.input.context

    def engine(windows):
        assert windows.shape[1:] == weight_set.input.shape
        bright = (windows[..., place : place + 1] > 0).astype("float32")
        return np.concatenate([1 - bright, bright], axis=-1)

    return engine


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"case_{channel:04}.nii.gz" for channel in range(2)]
    for path, scale in zip(paths, (1000, 3)):
        image = rng.normal(50, scale, (11, 9, 10)).astype("float32")
        nib.save(nib.Nifti1Image(image, np.diag([-1.0, 1.0, 2.0, 1.0])), path)
    return paths


@pytest.mark.parametrize(
    "arguments", [{}, {"window": (8, 1, 8)}, {"window": (1, 8, 8), "context": 1, "orientation": "LPS"}], ids=str
)
def test_each_channel_is_seen_with_its_own_normalisation(files, arguments):
    weight_set = described(**arguments)
    segmenter = Segmenter(weight_set, by_second_channel(weight_set))
    second = nib.load(files[1]).get_fdata()
    expected = np.where(normalize(second, "zscore") > 0, 7, 0)
    for source in (files, files[0], read_channels(files, NAMES)):
        found = segmenter(source)
        np.testing.assert_array_equal(found.labels, expected)
    assert found.grid.spacing == (1.0, 1.0, 2.0) and found.image().shape == (11, 9, 10)


def test_windows_are_those_of_the_whole_preprocessed_scan(files):
    scan, expects = read_channels(files, NAMES), described(spacing=(2.0, 2.0, 2.0)).input
    part = (slice(1, 4), slice(0, 3), slice(2, 5))
    np.testing.assert_allclose(as_seen(scan, expects)[part], preprocessed(scan, expects).array[part], atol=1e-5)


def test_a_scan_of_one_channel_is_refused(files):
    segmenter = Segmenter(described(), by_second_channel(described()))
    with pytest.raises(VolumeError, match="expected a scan of the channels T1w, T2w, got one of 1"):
        segmenter(recalib_keras.volumes.read(files[0]))
    with pytest.raises(VolumeError, match=r"expected 2 channels \(T1w, T2w\), got a scan of one channel"):
        segmenter(nib.load(files[0]))


@pytest.fixture
def preset(tmp_path):
    """The folder of a preset of two channels with random weights."""
    weight_set, folder = described(), tmp_path / "presets" / "second"
    keras.utils.set_random_seed(0)
    content = weights.serialize(weight_set.build())
    folder.mkdir(parents=True)
    (folder / "any.safetensors").write_bytes(content)
    weight_set = dataclasses.replace(weight_set, sha256=weights.sha256(content))
    (folder / "preset.json").write_text(Preset("second", {"any": weight_set}).to_json(), encoding="utf-8")
    return folder


def test_the_command_takes_any_of_the_files_of_a_scan(files, preset, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["--preset", str(preset), "--engine", "keras", "--precision", "float32", "-o", str(out), "--overlay"]
    assert main(["segment", *map(str, files), *arguments]) == 0
    expected = recalib_keras.segment(files[0], preset, engine="keras", precision="float32")
    np.testing.assert_array_equal(nib.load(out / "case_labels.nii.gz").get_fdata(), expected.get_fdata())
    assert {path.name for path in out.glob("[!.]*")} == {
        "case_labels.nii.gz",
        "case_labels.json",
        "case_overlay.png",
        "volumes.csv",
    }
    files[1].unlink()
    assert main(["segment", str(files[0]), *arguments, "--overwrite"]) == 2
    assert "expected the channel T2w of case in case_0001.nii.gz beside it, got no such file" in capsys.readouterr().err


def test_a_description_keeps_its_channels(preset):
    assert zoo.weight_set(preset).input == described().input

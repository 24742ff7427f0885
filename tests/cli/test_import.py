"""A checkpoint on the command line: imported, described, used."""

import sys

import nibabel as nib
import numpy as np
import pytest
from safetensors.numpy import save_file

from recalib_keras import models, zoo


def checkpoint(levels=1, filters=2, classes=3):
    """The tensors of an SD-Net, by the authors' names, random."""
    rng = np.random.default_rng(0)

    def stage(channels):
        return {
            "conv.weight": rng.normal(size=(filters, channels, 3, 3)),
            "conv.bias": rng.normal(size=filters),
            "prelu.weight": np.full(1, 0.25),
            "batchnorm.weight": np.ones(filters),
            "batchnorm.bias": np.zeros(filters),
            "batchnorm.running_mean": np.zeros(filters),
            "batchnorm.running_var": np.ones(filters),
        }

    stages = {"bottleneck": filters}
    for level in range(1, levels + 1):
        stages |= {f"encode{level}": 1 if level == 1 else filters, f"decode{level}": 2 * filters}
    found = {f"{name}.{key}": value for name, channels in stages.items() for key, value in stage(channels).items()}
    found["classifier.conv.weight"] = rng.normal(size=(classes, filters, 1, 1))
    found["classifier.conv.bias"] = rng.normal(size=classes)
    return {name: value.astype("float32") for name, value in found.items()}


@pytest.fixture
def file(tmp_path):
    save_file(checkpoint(), tmp_path / "sdnet.safetensors")
    return tmp_path / "sdnet.safetensors"


def test_import_and_segment(recalib, file, scan, tmp_path, capsys):
    (tmp_path / "labels.txt").write_text("0 background\n5 left\n9 right\n")
    folder = tmp_path / "sdnet2d_mine"
    options = ["--labels", tmp_path / "labels.txt", "--window", 8, 8, 1, "--view", "axial", "--spacing", 2, 2, 2]
    assert recalib("import", file, "-o", folder, *options, "--title", "two sides", "--licence", "MIT") == 0
    output = capsys.readouterr().out
    assert output.startswith(f"preset in {folder}: SDNet with no block, 3 labels, ")
    described = zoo.weight_set(folder)
    assert (described.title, described.licence) == ("two sides", "MIT")
    assert (described.input.window, described.input.orientation) == ((8, 8, 1), "ALI")
    assert (described.input.spacing, described.input.normalization) == ((2.0, 2.0, 2.0), "minmax")
    assert described.network.arguments["convention"] == "authors"
    assert isinstance(zoo.load(folder), models.SDNet)
    assert recalib("segment", scan, "-o", tmp_path / "out", "--preset", folder, "--engine", "keras") == 0
    labels = np.asarray(nib.load(tmp_path / "out" / "head_labels.nii.gz").dataobj)
    assert labels.shape == (10, 9, 8)
    assert {0, 5, 9} >= set(np.unique(labels))
    assert recalib("info", folder) == 0


def test_errors_are_single_lines(recalib, file, tmp_path, capsys, monkeypatch):
    tensors = checkpoint()
    tensors["encode2.conv.weight"] = tensors.pop("encode1.conv.bias")
    save_file(tensors, tmp_path / "odd.safetensors")
    for arguments, message in (
        ([tmp_path / "none.safetensors"], "none.safetensors: expected a file of weights that can be read, got no such"),
        ([tmp_path / "odd.safetensors"], "odd.safetensors: expected as many decoders as encoders, numbered from 1"),
        ([file, "--decoders", 2, 1], "expected `decoders` to be an order of 1 to 1, got (2, 1)"),
        ([file, "--window", 8, 8, 8], "expected a 2-D window and 1 channels"),
        ([file, "--normalization", "minmx"], "got 'minmx'; did you mean 'minmax'?"),
        ([file, "--labels", file.with_suffix(".txt")], "sdnet.txt: expected a list of labels that can be read, got no"),
    ):
        assert recalib("import", *arguments, "-o", tmp_path / "preset") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("recalib import: ")
        assert error.count("\n") == 1
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pth.tar").write_bytes(b"")
    assert recalib("import", tmp_path / "a.pth.tar", "-o", tmp_path / "preset") == 2
    assert 'pip install "recalib-keras[torch]"' in capsys.readouterr().err
    assert not (tmp_path / "preset").exists()

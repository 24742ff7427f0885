"""Packages of data: built, installed and found by name; where one is missing, the error says how to get it."""

import os
import shutil
import subprocess
import sys

import pytest

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.zoo import packaging
from recalib_keras.zoo.places import installed

FIND = """
from recalib_keras import zoo
print(zoo.info("bright").folder)
zoo.weight_set("bright").read_weights()
"""


def test_every_weight_set_is_in_a_package_of_data():
    for name in zoo.names():
        for described in zoo.info(name).weight_sets.values():
            assert installed.package_of(described.file) is not None


def test_a_package_of_ones_own_is_built_installed_and_found(bright_preset, tmp_path):
    shutil.copytree(bright_preset, tmp_path / "our hospital" / "bright")
    wheel = packaging.build_own(tmp_path / "our hospital", tmp_path / "dist")
    assert wheel.name == "our_hospital-1-py3-none-any.whl"
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q", "--target", site, wheel]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    done = subprocess.run([sys.executable, "-c", FIND], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(site / "our_hospital" / "presets" / "bright"), done.stderr


def test_a_package_without_presets_is_named(tmp_path, monkeypatch):
    site = tmp_path / "empty-1.dist-info"
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: empty\nVersion: 1\n")
    (site / "entry_points.txt").write_text("[recalib_keras.presets]\nempty = no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecordError, match=r"'no_such_module', which the package 'empty' names, got none; reinstall it"):
        installed.roots()


def test_missing_weights_name_the_command(tmp_path, monkeypatch, bright_preset):
    presets = tmp_path / "presets"
    shutil.copytree(installed.own() / "unet2d", presets / "unet2d", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr(installed, "own", lambda: presets)
    with pytest.raises(zoo.WeightsError, match=r'no such file; run: pip install "recalib-keras\[hippocampus\]"'):
        zoo.weight_set("unet2d").read_weights()
    other = shutil.copytree(bright_preset, tmp_path / "bright", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(zoo.WeightsError, match="no such file; reinstall the package, or restore the file"):
        zoo.weight_set(other).read_weights()


def test_weights_of_a_package_go_with_the_description_here(tmp_path, monkeypatch):
    """As in an installation: the description lies in this package, its weights in a package of data."""
    presets, data = tmp_path / "presets", tmp_path / "data"
    shutil.copytree(installed.own() / "unet2d", presets / "unet2d", ignore=shutil.ignore_patterns("*.safetensors"))
    (data / "unet2d").mkdir(parents=True)
    shutil.copy(installed.own() / "unet2d" / "hippocampus.safetensors", data / "unet2d")
    monkeypatch.setattr(installed, "own", lambda: presets)
    monkeypatch.setattr(installed, "_of_packages", lambda path: [data])
    assert zoo.weight_set("unet2d").path == data / "unet2d" / "hippocampus.safetensors"
    assert zoo.names() == ["unet2d"] and zoo.weight_set("unet2d").read_weights()


def test_what_cannot_be_packaged(tmp_path, bright_preset):
    with pytest.raises(RecordError, match=r"expected a folder for each preset, with its preset.json, got none"):
        packaging.build_own(tmp_path, tmp_path / "dist")
    shutil.copytree(bright_preset, tmp_path / "bright")
    (tmp_path / "bright" / "bright.safetensors").write_bytes(b"damaged")
    with pytest.raises(zoo.WeightsError, match="expected the weights that the preset describes"):
        packaging.build_own(tmp_path, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()

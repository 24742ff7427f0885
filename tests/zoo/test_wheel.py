"""The wheel has what the demo needs, packages of data have the other weights, and pip brings them together."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from recalib_keras.zoo import packaging
from recalib_keras.zoo.places import installed as installed_presets

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]
IN_WHEEL = "recalib_keras/zoo/presets/densenet3d_pe/whole_brain.safetensors"
# Sockets are refused, so whatever is loaded was installed.
OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network")
socket.socket.connect = socket.create_connection = refuse
import recalib_keras
from recalib_keras import zoo
print(recalib_keras.__file__)
"""
READ_ALL = """
for name in zoo.names():
    for weights, described in zoo.info(name).weight_sets.items():
        described.read_weights()
        print(name, weights)
"""
READ_ONE = """
zoo.weight_set("densenet3d_pe", "whole_brain").read_weights()
try:
    zoo.load("unet3d", "whole_brain")
except zoo.WeightsError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that the working tree stays as it is."""
    source = tmp_path_factory.mktemp("source")
    for part in ("recalib_keras", "zoo", "tuning"):
        shutil.copytree(REPOSITORY / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / part, source)
    pip("wheel", "--no-build-isolation", "-w", source / "dist", source)
    return next((source / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def data_wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [packaging.build(name, folder) for name in installed_presets.packages()]


def pip(command, *arguments):
    command = [sys.executable, "-m", "pip", command, "--no-deps", "--no-index", "-q", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def installed(folder, *wheels):
    pip("install", "--target", folder, *wheels)
    return folder


def run(script, site):
    """Returns the lines that a script prints where a folder is installed, after the first, which it checks."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    result = subprocess.run([sys.executable, "-c", OFFLINE + script], env=environment, capture_output=True, text=True,
                            cwd=site)  # fmt: skip
    assert result.returncode == 0, result.stderr
    place, *lines = result.stdout.splitlines()
    assert Path(place) == site / "recalib_keras" / "__init__.py"
    return lines


def test_every_module_and_description_is_in_the_wheel_and_few_weights(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"recalib_keras/{path}" for path in _files(REPOSITORY / "recalib_keras", "*.py")}
    modules |= {f"recalib_keras/zoo/{path}" for path in _files(REPOSITORY / "zoo", "*.py")}
    presets = {f"recalib_keras/zoo/{path}" for path in _files(REPOSITORY / "zoo", "presets/*/*")}
    weights = {path for path in presets if path.endswith(".safetensors")}
    assert weights and sorted((modules | presets - weights) - held) == []
    assert weights & held == {IN_WHEEL}
    assert wheel.stat().st_size <= 30e6
    assert not any(name.split("/")[0] in ("zoo", "tests", "runs") for name in held)


def test_each_package_of_data_has_an_extra(wheel):
    with zipfile.ZipFile(wheel) as content:
        path = next(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        lines = content.read(path).decode().splitlines()
    for name, facts in installed_presets.packages().items():
        assert f'Requires-Dist: recalib-keras-{name}=={facts["version"]}; extra == "{name}"' in lines
    assert any(line.startswith("Requires-Dist: matplotlib") and "figures" in line for line in lines)


def test_without_a_package_of_data_the_command_that_installs_it_is_named(wheel, tmp_path):
    (line,) = run(READ_ONE, installed(tmp_path, wheel))
    assert line.endswith('got no such file; run: pip install "recalib-keras[brain]"')


def test_with_all_packages_every_weight_set_is_read_without_a_network(wheel, data_wheels, tmp_path):
    assert all(path.stat().st_size < 100e6 for path in data_wheels)
    lines = run(READ_ALL, installed(tmp_path, wheel, *data_wheels))
    described = {path.parent.name for path in (REPOSITORY / "zoo" / "presets").glob("*/preset.json")}
    assert {line.split()[0] for line in lines} == described
    assert len(lines) == len(_files(REPOSITORY / "zoo" / "presets", "*.safetensors"))


def _files(folder, pattern):
    return [path.relative_to(folder) for path in folder.rglob(pattern)]

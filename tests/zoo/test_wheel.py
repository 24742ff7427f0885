"""The presets travel in the wheel and load from it where nothing else is at hand."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Sockets are refused, so whatever is loaded lies in the wheel.
LOAD_ALL = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network")
socket.socket.connect = socket.create_connection = refuse
import recalib_keras
from recalib_keras import zoo
print(recalib_keras.__file__)
for name in zoo.names():
    for weights in zoo.info(name).weight_sets:
        zoo.load(name, weights)
        print(name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that the working tree stays as it is."""
    source = tmp_path_factory.mktemp("source")
    for part in ("recalib_keras", "zoo", "tuning"):
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        if (REPOSITORY / part).exists():
            shutil.copy(REPOSITORY / part, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w"]
    subprocess.run([*command, source / "dist", source], check=True, capture_output=True)
    return next((source / "dist").glob("*.whl"))


@pytest.mark.slow
def test_every_module_and_preset_is_in_the_wheel(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {f"recalib_keras/{path}" for path in _files(REPOSITORY / "recalib_keras", "*.py")}
    modules |= {f"recalib_keras/zoo/{path}" for path in _files(REPOSITORY / "zoo", "*.py")}
    presets = {f"recalib_keras/zoo/{path}" for path in _files(REPOSITORY / "zoo", "presets/*/*")}
    assert presets and sorted((modules | presets) - held) == []
    assert not any(name.split("/")[0] in ("zoo", "tests", "runs") for name in held)


@pytest.mark.slow
def test_every_preset_loads_from_the_wheel_without_a_network(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", LOAD_ALL], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    place, *loaded = result.stdout.splitlines()
    assert Path(place) == tmp_path / "recalib_keras" / "__init__.py"
    assert {path.parent.name for path in (REPOSITORY / "zoo" / "presets").glob("*/preset.json")} == set(loaded)


def _files(folder, pattern):
    return [path.relative_to(folder) for path in folder.rglob(pattern)]

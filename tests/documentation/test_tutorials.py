"""Every tutorial runs as it stands, in an empty folder."""

import os
import runpy
import subprocess
import sys

import pytest

from docs.site import tutorials
from docs.tutorial_pictures import SHOWN
from recalib_keras.cli import main as command

# What each leaves in its folder.
WRITES = {
    "blocks": [],
    "cohort": ["results/volumes.csv", "results/volumes_wide.csv", "results/scan_3_labels.nii.gz"],
    "export": ["unet3d_pe.onnx", "unet3d_pe.onnx.certificate.json"],
    "fine_tune": ["labels.nii.gz", "presets/lesions/preset.json"],
    "fine_tune_by_recipe": ["presets/unet2d_scse/preset.json", "report/report.csv"],
    "search": ["runs/blocks/best.toml", "runs/blocks/report.md"],
    "segment": ["labels.nii.gz", "overlay.png", "results/scan_labels.nii.gz", "results/volumes.csv"],
    "synthesis": ["scans.png", "presets/unet3d_pe/preset.json"],
}
NEEDS = {"segment": "nilearn", "export": "onnxruntime", "search": "sklearn", "cohort": "distributed"}
SLOW = {"cohort", "export", "fine_tune", "fine_tune_by_recipe", "search", "synthesis"}
QUICK = [path for path in tutorials.scripts() if path.stem not in SLOW]


def assert_wrote(path, folder):
    assert [name for name in WRITES[path.stem] if not (folder / name).exists()] == []


def test_every_tutorial_is_known_here():
    assert {path.stem for path in tutorials.scripts()} == set(WRITES)


def test_each_picture_of_a_tutorial_is_one_that_it_writes():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in tutorials.scripts()}
    assert {name for name, text in texts.items() if f"pictures/tutorial_{name}.png" in text} == set(SHOWN)
    assert [name for name, file in SHOWN.items() if file not in WRITES[name]] == []


@pytest.mark.filterwarnings("ignore::recalib_keras.inference.UnfamiliarScanWarning")  # the drawn scans are not brains
@pytest.mark.parametrize("path", QUICK, ids=[path.stem for path in QUICK])
def test_tutorial(path, tmp_path, monkeypatch):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(path.parent)
    run = command.main

    def succeed(words):
        assert run(words) == 0

    monkeypatch.setattr(command, "main", succeed)
    runpy.run_path(str(path), run_name="__main__")
    assert_wrote(path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW))
def test_slow_tutorial(name, tmp_path):
    pytest.importorskip(NEEDS.get(name, "keras"))
    path = tutorials.FOLDER / f"{name}.py"
    subprocess.run([sys.executable, path], cwd=tmp_path, env=dict(os.environ), check=True)
    assert_wrote(path, tmp_path)

"""A batch that is killed at random moments loses nothing: every file is whole, and the resumed batch ends the same."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan
from killing import KILLS, finish, run_and_kill

from recalib_keras.core.tables import read_csv
from recalib_keras.inference.batch.manifest import read_manifest

SCANS = 60


@pytest.fixture
def command(bright_preset, tmp_path):
    """The command for a batch, without the folder of its output."""
    scans = [write_scan(tmp_path / "scans" / f"s{index}.nii.gz", (2, 3, 1 + index % 6)) for index in range(SCANS)]
    options = ["--preset", bright_preset, "--engine", "keras", "--precision", "float32", "--threads", "1"]
    return [sys.executable, "-m", "recalib_keras.cli.main", "segment", *scans, *options, "-o"]


def _label_maps(folder):
    return sorted(folder.glob("*_labels.nii.gz"))


def _rows(folder):
    table = folder / "volumes.csv"
    return {row["labels"]: row for row in read_csv(table).rows} if table.exists() else {}


def _assert_whole(folder, reference):
    for path in _label_maps(folder):
        ours, other = nib.load(path), nib.load(reference / path.name)
        np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(other.dataobj))
        np.testing.assert_array_equal(ours.affine, other.affine)
    expected = _rows(reference)
    assert all(row == expected[name] for name, row in _rows(folder).items())
    assert all(read_manifest(path)["structures"] for path in _label_maps(folder))


@pytest.mark.slow
def test_a_killed_batch_loses_nothing(command, tmp_path):
    rng, log, reference = np.random.default_rng(0), tmp_path / "log.txt", tmp_path / "reference"
    finish([*command, reference], log)
    folder, kills = tmp_path / "out-0", 0
    while kills < KILLS:
        before = len(_label_maps(folder))
        if run_and_kill([*command, folder], log, lambda at=folder, n=before: len(_label_maps(at)) > n, 0.4, rng):
            kills += 1
            _assert_whole(folder, reference)
        else:
            folder = tmp_path / f"out-{kills}"
    finish([*command, folder], log)
    _assert_whole(folder, reference)
    assert len(_label_maps(folder)) == len(_rows(folder)) == SCANS
    assert Path(folder / "volumes.csv").read_text().count("\n") == SCANS + 1

import csv

import nibabel as nib
import numpy as np
import pytest


def _write(path, array, affine=None):
    path.parent.mkdir(exist_ok=True)
    nib.save(
        nib.Nifti1Image(np.asarray(array, "uint8").reshape(1, 1, -1), np.eye(4) if affine is None else affine), path
    )
    return path


def test_folders_are_compared_by_name(recalib, tmp_path, capsys):
    _write(tmp_path / "p" / "a_labels.nii.gz", [1, 1, 0, 2])
    _write(tmp_path / "t" / "a.nii.gz", [1, 0, 0, 2])
    _write(tmp_path / "p" / "b_labels.nii.gz", [1, 1, 0, 0])
    _write(tmp_path / "t" / "b.nii.gz", [1, 1, 0, 0])
    assert recalib("evaluate", tmp_path / "p", tmp_path / "t", "-o", tmp_path / "report.csv") == 0
    output = capsys.readouterr().out
    assert "label 1: Dice 0.8333 ± 0.2357 over 2 scans" in output
    assert "label 2: Dice 1.0000 ± 0.0000 over 1 scan\n" in output
    rows = list(csv.reader((tmp_path / "report.csv").read_text().splitlines()))
    assert rows[0] == ["scan", "label", "dice"]
    assert [row[:2] for row in rows[1:]] == [["a", "1"], ["a", "2"], ["b", "1"]]
    assert float(rows[1][2]) == pytest.approx(2 / 3)


def test_two_files_are_compared(recalib, tmp_path, capsys):
    prediction, truth = _write(tmp_path / "x.nii.gz", [3, 3]), _write(tmp_path / "y.nii.gz", [3, 0])
    assert recalib("evaluate", prediction, truth) == 0
    assert "mean of all: 0.6667" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p"], "expected PREDICTIONS and TRUTHS"),
        (["p", "t", "--preset", "bright"], "leave one out"),
        (["p", "t/a.nii.gz"], "two files or two folders"),
        (["p", "t"], "missing: b"),
        (["p/a.nii.gz", "moved.nii.gz"], "must stand on the grid"),
    ],
)
def test_bad_input(recalib, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "p" / "a.nii.gz", [1, 0])
    _write(tmp_path / "p" / "b.nii.gz", [1, 0])
    _write(tmp_path / "t" / "a.nii.gz", [1, 0])
    _write(tmp_path / "moved.nii.gz", [1, 0], np.diag([1.0, 1, 2, 1]))
    assert recalib("evaluate", *arguments) == 2
    assert message in capsys.readouterr().err

"""Scans and structures whose names break tables, terminals and cards, from end to end."""

import csv
import dataclasses
import shutil

import pytest
from bright import write_scan

from recalib_keras import zoo
from recalib_keras.core.tables import read_csv

NAMES = ("=1+1", "+cmd|' -C calc'!A0", "-2+3", "@SUM(A1)", "a\nb", "a\tb", "a\rb", "\x1b[31mred", "ä 日本", 'a,"b"',
         "<b>", "\udcff", "%s {x}")  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture
def formula_preset(bright_preset, tmp_path):
    """The tiny preset, whose structure has a formula for a name."""
    folder = shutil.copytree(bright_preset, tmp_path / "formula")
    described = zoo.info(folder)
    labels = (zoo.Label(0, "background"), zoo.Label(7, "=HYPERLINK(1)"))
    weight_set = dataclasses.replace(described.weight_sets["bright"], labels=labels)
    text = dataclasses.replace(described, weight_sets={"bright": weight_set}).to_json()
    (folder / "preset.json").write_text(text, encoding="utf-8")
    return folder


def only_once_for_this_machine(err):
    """Returns whether the command says nothing but how it selects the engine, which it does for the first scan."""
    return all("this machine" in line for line in err.splitlines())


def test_a_batch_of_odd_names(recalib, formula_preset, tmp_path, capsys):
    scans = [write_scan(tmp_path / "scans" / f"{name}.nii.gz") for name in NAMES]
    options = ["-o", tmp_path / "out", "--preset", formula_preset]
    assert recalib("segment", *scans, *options) == 0
    assert recalib("segment", *scans, *options) == 0  # the table knows them again
    captured = capsys.readouterr()
    assert only_once_for_this_machine(captured.err)
    assert "existed already" in captured.out
    content = (tmp_path / "out" / "volumes.csv").read_bytes()
    rows = list(csv.reader(content.decode("utf-8").splitlines()))
    assert len(rows) == 1 + len(NAMES) and {len(row) for row in rows} == {len(rows[0])}
    assert not [cell for row in rows for cell in row if cell.startswith(FORMULA)]
    assert all(cell.isprintable() for row in rows for cell in row)
    table = read_csv(tmp_path / "out" / "volumes.csv")
    assert [row["scan"] for row in table.rows] == [f"../scans/{scan.name}" for scan in scans]
    assert {row["structure"] for row in table.rows} == {"=HYPERLINK(1)"}


@pytest.mark.parametrize("name", NAMES)
def test_one_scan_of_an_odd_name(name, recalib, tmp_path, capsys):
    scan = write_scan(tmp_path / "scans" / f"{name}.nii.gz")
    assert recalib("segment", scan, "-o", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert only_once_for_this_machine(captured.err) and len(captured.out.splitlines()) == 1
    assert "\x1b" not in captured.out and captured.out.startswith("labels of 1 scan in ")
    assert (tmp_path / "out" / f"{name}_labels.nii.gz").is_file()


def test_a_broken_scan_of_an_odd_name(recalib, tmp_path, capsys):
    paths = [tmp_path / f"{name}.nii" for name in NAMES]
    for path in paths:
        path.write_bytes(b"no image")
    assert recalib("segment", *paths, "-o", tmp_path / "out") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(NAMES) + 1 and all(line.startswith("recalib segment: ") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_report_of_odd_names(recalib, tmp_path, capsys):
    out = tmp_path / "labels"
    scans = [write_scan(tmp_path / "scans" / f"{name}.nii.gz") for name in NAMES]
    assert recalib("segment", *scans, "-o", out) == 0
    (out / "volumes.csv").unlink()
    assert recalib("evaluate", out, out, "-o", tmp_path / "report") == 0
    for path in (tmp_path / "report").glob("*.csv"):
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        assert not [cell for row in rows for cell in row if cell.startswith(FORMULA) and not cell[1:2].isdigit()]
        assert all(cell.isprintable() for row in rows for cell in row)
    assert "\x1b" not in capsys.readouterr().out

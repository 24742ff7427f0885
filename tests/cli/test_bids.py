import argparse
import json
import os
import shutil
import stat
import sys
from fnmatch import fnmatch
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras.cli import bids as bids_command
from recalib_keras.cli import main as command
from recalib_keras.cli import segment as segment_command
from recalib_keras.inference import bids as bids_sets

pytest.importorskip("bids2table")


@pytest.fixture
def dataset(tmp_path):
    """A data set of two participants, one with two sessions, and files that are not T1w scans."""
    root = tmp_path / "set"
    for name in (
        "sub-01/anat/sub-01_T1w",
        "sub-02/ses-a/anat/sub-02_ses-a_run-1_T1w",
        "sub-02/ses-b/anat/sub-02_ses-b_T1w",
    ):
        (root / name).parent.mkdir(parents=True)
        write_scan(root / f"{name}.nii.gz")
    write_scan(root / "sub-02/ses-b/anat/sub-02_ses-b_T2w.nii.gz")
    (root / "derivatives" / "sub-09" / "anat").mkdir(parents=True)
    (root / "derivatives" / "sub-09" / "anat" / "sub-09_T1w.nii.gz").touch()
    (root / "dataset_description.json").write_text('{"Name": "two", "BIDSVersion": "1.9.0"}')
    (root / "README").write_text("Two heads.")
    return root


@pytest.fixture
def bids(bright_preset, monkeypatch, tmp_path):
    """Runs `recalib bids`, without a validator; returns its exit code."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(bids_sets, "VALIDATOR", "a-validator-that-nobody-has")

    def run(*words):
        options = ["--preset", bright_preset] if "participant" in words else []
        return command.main(["bids", *map(str, [*words, *options])])

    return run


def test_pages_lie_beside_the_label_maps(bids, dataset, tmp_path, capsys):
    out = tmp_path / "out"
    assert bids(dataset, out, "participant", "--participant-label", "01") == 0
    assert list(out.rglob("*.html")) == []
    assert bids(dataset, out, "participant", "--report") == 0
    assert f"page of the cohort in {out / 'cohort.html'}" in capsys.readouterr().out
    pages = sorted(str(path.relative_to(out)) for path in out.rglob("*_report.html"))
    assert len(pages) == 3 and pages[0] == "sub-01/anat/sub-01_space-orig_desc-bright_dseg_report.html"
    cohort = (out / "cohort.html").read_text(encoding="utf-8")
    assert all(f'href="./{page}"' in cohort for page in pages)
    assert "*_report.html" in (out / ".bidsignore").read_text().splitlines()
    (out / "cohort.html").unlink()
    assert bids(dataset, out, "group") == 0
    assert (out / "cohort.html").is_file()


def test_maps_pictures_and_chosen_structures(bids, dataset, tmp_path, capsys):
    out = tmp_path / "out"
    one = "--participant-label", "01", "--skip-bids-validation"
    assert bids(dataset, out, "participant", *one, "--probabilities=uint16", "--uncertainty", "--overlay") == 0
    start = out / "sub-01" / "anat" / "sub-01_space-orig_desc-bright_"
    made = {path.name.removeprefix(start.name) for path in start.parent.iterdir()}
    assert made == {
        *("dseg.nii.gz", "dseg.json", "dseg_overlay.png"),
        *("probseg.nii.gz", "probseg.json", "entropy.nii.gz", "entropy.json"),
    }
    shown = nib.load(f"{start}probseg.nii.gz")
    assert shown.get_data_dtype() == "uint16" and shown.shape[3] == 2
    labels = np.asarray(nib.load(f"{start}dseg.nii.gz").dataobj)
    np.testing.assert_array_equal(np.asarray(shown.dataobj[..., 1]) > 0.5, labels == 7)
    about = json.loads(Path(f"{start}probseg.json").read_text())
    assert about["LabelMap"] == ["background", "bright"]
    assert about["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    ignored = (out / ".bidsignore").read_text().splitlines()
    assert {name for name in made if any(fnmatch(start.name + name, rule) for rule in ignored)} == {
        *("dseg_overlay.png", "entropy.nii.gz", "entropy.json")
    }
    assert bids(dataset, out, "participant", *one, "--structures", "tail") == 2
    assert "'tail'" in capsys.readouterr().err
    assert bids(dataset, tmp_path / "other", "participant", *one, "--structures", "bright") == 0


def test_what_computes_may_be_chosen(bids, dataset, tmp_path):
    one = "--participant-label", "01", "--skip-bids-validation"
    words = "--engine", "keras", "--precision", "float32", "--device", "cpu", "--flip", "--largest-component", "bright"
    assert bids(dataset, tmp_path / "out", "participant", *one, *words, "--uncertainty") == 0
    start = tmp_path / "out" / "sub-01" / "anat" / "sub-01_space-orig_desc-bright_"
    manifest = json.loads(Path(f"{start}dseg.json").read_text())
    assert manifest["networks"][0]["engine"] == "keras" and "mirror image" in manifest["made_by"]
    assert Path(f"{start}mutualinformation.nii.gz").is_file()


def test_both_commands_that_segment_have_the_same_options():
    """What only one of them has is about its scans."""
    parsers = {name: argparse.ArgumentParser() for name in ("segment", "bids")}
    segment_command.add_arguments(parsers["segment"])
    bids_command.add_arguments(parsers["bids"])
    options = {name: {one.dest for one in parser._actions} for name, parser in parsers.items()}
    assert options["segment"] - options["bids"] == {"scans", "output", "dicom_seg", "volume", "wide", "part"}


def test_participants_and_group(bids, dataset, tmp_path, capsys):
    out = tmp_path / "out"
    assert bids(dataset, out, "participant") == 0
    captured = capsys.readouterr()
    assert "labels of 3 scans" in captured.out and "run: pip install bids-validator-deno" in captured.err
    labels = sorted(str(path.relative_to(out)) for path in out.rglob("*_dseg.nii.gz"))
    assert labels == [
        "sub-01/anat/sub-01_space-orig_desc-bright_dseg.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_run-1_space-orig_desc-bright_dseg.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_space-orig_desc-bright_dseg.nii.gz",
    ]
    description = json.loads((out / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "recalib-keras")
    assert description["SourceDatasets"] == [{"URL": dataset.as_uri()}]
    table = (out / "desc-bright_dseg.tsv").read_text().splitlines()
    assert table == ["index\tname\tcolor", "0\tbackground\t#000000", "7\tbright\t#ffc800"]
    manifest = json.loads((out / labels[0].replace(".nii.gz", ".json")).read_text())
    assert manifest["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert manifest["scan"] == "../../../set/sub-01/anat/sub-01_T1w.nii.gz"

    assert bids(dataset, out, "group") == 0
    rows = [line.split("\t") for line in (out / "group" / "mm3.tsv").read_text().splitlines()]
    assert rows[0] == ["participant_id", "session_id", "labels", "bright"]
    assert [row[:2] + row[3:] for row in rows[1:]] == [
        ["sub-01", "n/a", "48.0"],
        ["sub-02", "ses-a", "48.0"],
        ["sub-02", "ses-b", "48.0"],
    ]
    assert {path.name for path in (out / "group").iterdir()} == {
        *("mm3.tsv", "percent_of_total.tsv", "asymmetry_percent.tsv", "mean_entropy.tsv")
    }


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--participant-label", "01"), 1),
        (("--participant_label", "sub-02"), 2),
        (("--participant-label", "01", "02", "--session-id", "b"), 1),
    ],
)
def test_chosen_participants_and_sessions(words, count, bids, dataset, tmp_path):
    assert bids(dataset, tmp_path / "out", "participant", "--skip-bids-validation", *words) == 0
    assert len(list((tmp_path / "out").rglob("*_dseg.nii.gz"))) == count


def test_paths_may_be_relative(bids, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bids("set", "out", "participant", "--skip-bids-validation") == 0
    assert len(list((tmp_path / "out").rglob("*_dseg.nii.gz"))) == 3


def test_a_broken_scan_does_not_stop_the_others(bids, dataset, tmp_path, capsys):
    (dataset / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"no scan")
    assert bids(dataset, tmp_path / "out", "participant", "--skip-bids-validation") == 1
    captured = capsys.readouterr()
    assert "labels of 2 scans" in captured.out and captured.err.count("\n") == 1
    assert captured.err.startswith("recalib bids: ") and "sub-01_T1w.nii.gz" in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--participant-label", "07"), "expected T1-weighted scans of sub-07, got those of sub-01, sub-02; check the"),
        (("--session-id", "c"), "expected T1-weighted scans of ses-c, got those of ses-a, ses-b"),
        (("--participant-label", "01", "--session-id", "a"), "expected T1-weighted scans of ses-a, got those of none"),
    ],
)
def test_unknown_labels(words, message, bids, dataset, tmp_path, capsys):
    assert bids(dataset, tmp_path / "out", "participant", "--skip-bids-validation", *words) == 2
    assert message in capsys.readouterr().err


def test_what_is_no_data_set(bids, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert bids(tmp_path / "empty", tmp_path / "out", "participant") == 2
    assert "dataset_description.json: expected the description of a BIDS data set, got no such file" in (
        capsys.readouterr().err
    )
    (tmp_path / "empty" / "dataset_description.json").write_text("{")
    assert bids(tmp_path / "empty", tmp_path / "out", "participant") == 2
    assert "expected JSON" in capsys.readouterr().err
    (tmp_path / "empty" / "dataset_description.json").write_text("{}")
    assert bids(tmp_path / "empty", tmp_path / "out", "participant") == 2
    assert "expected scans such as sub-01/anat/sub-01_T1w.nii.gz, got none" in capsys.readouterr().err
    assert bids(tmp_path / "empty", tmp_path / "out", "group") == 2
    assert "volumes.csv" in capsys.readouterr().err


def test_validator(bids, dataset, tmp_path, capsys):
    program = tmp_path / "bin" / "bids-validator"
    program.parent.mkdir()
    program.write_text(f'#!{sys.executable}\nimport sys\nprint("1: [ERR] Files are empty (code: 99)")\nsys.exit(1)\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    assert bids(dataset, tmp_path / "out", "participant") == 2
    said = capsys.readouterr().err
    assert "expected a valid BIDS data set, got 1: [ERR] Files are empty (code: 99)" in said
    assert "--skip-bids-validation" in said and not (tmp_path / "out").exists()


def test_without_bids2table(bids, dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "bids2table", None)
    assert bids(dataset, tmp_path / "out", "participant") == 2
    assert 'run: pip install "recalib-keras[bids]"' in capsys.readouterr().err


@pytest.fixture
def validator(bids, monkeypatch):
    """Lets `recalib bids` find the validator that is installed beside Python."""
    if shutil.which("bids-validator-deno", path=os.path.dirname(sys.executable)) is None:
        pytest.skip("bids-validator-deno is not installed")
    monkeypatch.setattr(bids_sets, "VALIDATOR", "bids-validator-deno")


def test_derivatives_are_valid(bids, dataset, tmp_path, validator):
    out = tmp_path / "out"
    assert bids(dataset, out, "participant", "--probabilities", "uint8", "--report") == 0
    assert bids(dataset, out, "group") == 0
    assert bids_sets.validate(out)


def test_a_file_of_another_name_is_named(bids, dataset, tmp_path, validator, capsys):
    (dataset / "sub-01" / "anat" / "head.nii.gz").touch()
    assert bids(dataset, tmp_path / "out", "participant") == 2
    said = capsys.readouterr().err
    assert "NOT_INCLUDED (/sub-01/anat/head.nii.gz)" in said and said.count("\n") == 1


def test_a_report_that_cannot_be_read_leaves_the_exit_code(bids, dataset, tmp_path, capsys, monkeypatch):
    program = tmp_path / "bin" / "bids-validator-deno"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no JSON\nexit 16\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(bids_sets, "VALIDATOR", program.name)
    monkeypatch.setattr(bids_sets.sys, "executable", str(program))
    assert bids(dataset, tmp_path / "out", "participant") == 2
    assert "got exit code 16 of bids-validator-deno" in capsys.readouterr().err

import argparse
import csv
import dataclasses
import gzip
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import keras
import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

import recalib_keras
from recalib_keras import zoo
from recalib_keras.cli.options import named_weights
from recalib_keras.cli.segment import add_arguments
from recalib_keras.inference import UnfamiliarScanWarning, engines


def test_labels_lie_on_the_grid_of_the_scan(recalib, scan, tmp_path):
    assert recalib("segment", scan, "-o", tmp_path / "out") == 0
    labels, image = nib.load(tmp_path / "out" / "head_labels.nii.gz"), nib.load(scan)
    np.testing.assert_array_equal(np.asarray(labels.dataobj), np.where(image.get_fdata() > 50, 7, 0))
    np.testing.assert_array_equal(labels.affine, image.affine)
    assert labels.get_data_dtype() == np.uint8
    assert int(labels.header["sform_code"]) == 4


def test_python_gives_the_same_labels(recalib, scan, tmp_path, bright_preset):
    recalib("segment", scan, "-o", tmp_path / "out.nii.gz")
    image = recalib_keras.segment(scan, preset=bright_preset)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), np.asarray(image.dataobj))


def test_table_gives_voxels_and_cubic_millimetres(recalib, scan, tmp_path):
    recalib("segment", scan, "-o", tmp_path)
    rows = list(csv.DictReader((tmp_path / "volumes.csv").read_text().splitlines()))
    (row,) = rows
    assert list(row.values())[:5] == ["scans/head.nii.gz", "bright", "7", "24", "48.0"]
    assert list(row)[:5] == ["scan", "structure", "label", "voxels", "mm3"]


def _rows(folder):
    return list(csv.DictReader((folder / "volumes.csv").read_text().splitlines()))


def test_table_gives_shares_and_how_sure_the_labels_are(recalib, scan, tmp_path):
    recalib("segment", scan, "-o", tmp_path)
    (row,) = _rows(tmp_path)
    assert (row["percent_of_total"], row["total_mm3"], row["asymmetry_percent"]) == ("100.000", "48.0", "")
    assert 0 <= float(row["mean_entropy"]) < 0.01


def test_labels_that_were_there_have_the_entropy_that_the_table_knows(recalib, scan, tmp_path):
    recalib("segment", scan, "-o", tmp_path)
    before = _rows(tmp_path)
    recalib("segment", scan, "-o", tmp_path)
    assert _rows(tmp_path) == before and before[0]["mean_entropy"]

    labels = nib.load(tmp_path / "head_labels.nii.gz")
    array = np.asarray(labels.dataobj).copy()
    array[5, 5, 5] = 7 - array[5, 5, 5]  # by hand
    nib.save(nib.Nifti1Image(array, labels.affine), tmp_path / "head_labels.nii.gz")
    recalib("segment", scan, "-o", tmp_path)
    assert _rows(tmp_path)[0]["mean_entropy"] == "" and _rows(tmp_path)[0]["voxels"] != before[0]["voxels"]


def test_rows_of_a_table_without_the_newer_columns_are_kept(recalib, scan, tmp_path):
    (tmp_path / "volumes.csv").write_text("scan,structure,label,voxels,mm3\nolder.nii.gz,bright,7,3,6.0\n")
    recalib("segment", scan, "-o", tmp_path)
    older, newer = _rows(tmp_path)
    assert list(older.values()) == ["older.nii.gz", "bright", "7", "3", "6.0", *[""] * 9]
    assert newer["scan"] == "scans/head.nii.gz" and newer["mean_entropy"]


def _changed_preset(folder, copy, **changes):
    """Copies a preset, described otherwise; returns its folder."""
    described = zoo.info(shutil.copytree(folder, copy))
    changed = dataclasses.replace(described.weight_sets["bright"], **changes)
    preset = dataclasses.replace(described, weight_sets={"bright": changed})
    (copy / "preset.json").write_text(preset.to_json(), encoding="utf-8")
    return copy


@pytest.fixture
def picky_preset(bright_preset, tmp_path):
    """The preset, to which bright structures of 0.04 to 0.05 ml are familiar."""
    typical = zoo.ReferenceRange(entropy=0.1, volume_ml=(0.04, 0.05), at_edge=0.0, found={"bright": 1.0})
    return _changed_preset(bright_preset, tmp_path / "picky", typical=typical)


def test_an_unfamiliar_scan_gets_a_line_and_the_batch_goes_on(recalib, scan, tmp_path, capsys, picky_preset):
    large = write_scan(tmp_path / "scans" / "large.nii.gz", box=(5, 5, 5))
    options = ["-o", tmp_path / "out", "--preset", picky_preset]
    assert recalib("segment", large, scan, *options) == 0
    output = capsys.readouterr()
    expected = f"recalib segment: {large}: the structures have 0.25 ml together, 0.04 ml to 0.05 ml in validation\n"
    assert output.err == expected and "labels of 2 scans" in output.out
    assert recalib("segment", large, scan, *options) == 0  # labels that were there
    assert capsys.readouterr().err == expected


def test_python_warns_of_an_unfamiliar_scan(scan, tmp_path, picky_preset):
    large = write_scan(tmp_path / "scans" / "large.nii.gz", box=(5, 5, 5))
    with pytest.warns(UnfamiliarScanWarning, match="large.nii.gz: the structures have 0.25 ml together") as caught:
        recalib_keras.segment(large, preset=picky_preset)
    assert len(caught) == 1 and caught[0].filename == __file__
    recalib_keras.segment(scan, preset=picky_preset)


def test_nothing_found_is_said_of_any_preset(recalib, tmp_path, capsys, bright_preset):
    preset = _changed_preset(bright_preset, tmp_path / "dark", input=zoo.Input((8, 8, 8), normalization="none"))
    array = np.random.default_rng(0).uniform(-2, -1, (8, 8, 8)).astype("float32")
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "empty.nii.gz")
    assert recalib("segment", tmp_path / "empty.nii.gz", "-o", tmp_path / "out", "--preset", preset) == 0
    message = "empty.nii.gz: nothing found: 0 of 1 structure"
    assert message in capsys.readouterr().err
    assert _rows(tmp_path / "out")[0]["percent_of_total"] == _rows(tmp_path / "out")[0]["mean_entropy"] == ""
    with pytest.warns(UnfamiliarScanWarning, match=message):
        recalib_keras.segment(tmp_path / "empty.nii.gz", preset=preset)


def test_table_keeps_the_rows_of_other_scans_and_replaces_its_own(recalib, scan, tmp_path):
    other = write_scan(tmp_path / "scans" / "other.nii.gz", box=(2, 2, 2))
    recalib("segment", scan, "-o", tmp_path)
    recalib("segment", other, "-o", tmp_path)
    recalib("segment", scan, "-o", tmp_path, "--overwrite")
    voxels = {row["scan"]: row["voxels"] for row in csv.DictReader((tmp_path / "volumes.csv").read_text().splitlines())}
    assert voxels == {"scans/other.nii.gz": "8", "scans/head.nii.gz": "24"}


def test_label_maps_of_one_scan_share_a_table(recalib, scan, tmp_path):
    """Volumes of a 4-D scan, or labels of several presets."""
    image = nib.load(scan)
    series = np.stack([image.get_fdata(), image.get_fdata()], axis=-1)
    nib.save(nib.Nifti1Image(series, image.affine), tmp_path / "series.nii.gz")
    for volume in (0, 1, 0):
        recalib(
            "segment", tmp_path / "series.nii.gz", "--volume", volume, "-o", tmp_path / f"v{volume}.mgh", "--overwrite"
        )
    rows = _rows(tmp_path)
    assert [row["labels"] for row in rows] == ["v1.mgh", "v0.mgh"] and all(row["mean_entropy"] for row in rows)


def test_what_is_there_is_skipped_unless_overwritten(recalib, scan, tmp_path):
    recalib("segment", scan, "-o", tmp_path)
    target = tmp_path / "head_labels.nii.gz"
    os.utime(target, (0, 0))
    recalib("segment", scan, "-o", tmp_path)
    assert target.stat().st_mtime == 0
    recalib("segment", scan, "-o", tmp_path, "--overwrite")
    assert target.stat().st_mtime > 0


def test_overlay_is_drawn(recalib, scan, tmp_path):
    recalib("segment", scan, "-o", tmp_path, "--overlay")
    assert (tmp_path / "head_overlay.png").read_bytes().startswith(b"\x89PNG")


def test_overlay_as_a_mosaic_for_print(recalib, scan, tmp_path, capsys):
    arguments = ("segment", scan, "-o", tmp_path, "--overlay-slices", "2", "--overlay-format", "svg")
    assert recalib(*arguments) == 0  # either of them asks for the picture
    assert [path.name for path in tmp_path.glob("*_overlay.*")] == ["head_overlay.svg"]
    text = (tmp_path / "head_overlay.svg").read_text()
    assert len(re.findall("[xyz] = −?[0-9]+ mm", text)) == 6 and "sagittal, x = " in text
    for wrong in (("--overlay-slices", "0"), ("--overlay-format", "jpg")):
        with pytest.raises(SystemExit):
            recalib("segment", scan, "-o", tmp_path, *wrong)
    assert "invalid choice: 'jpg'" in capsys.readouterr().err


def test_volume_of_a_4d_scan_is_taken(recalib, scan, tmp_path):
    image = nib.load(scan)
    stack = np.stack([np.random.default_rng(1).uniform(size=image.shape), image.get_fdata()], axis=-1)
    nib.save(nib.Nifti1Image(stack, image.affine), tmp_path / "series.nii.gz")
    assert recalib("segment", tmp_path / "series.nii.gz", "-o", tmp_path / "out", "--volume", 1) == 0
    labels = nib.load(tmp_path / "out" / "series_labels.nii.gz")
    assert (np.asarray(labels.dataobj) == 7).sum() == 24


def _missing(path):
    return path


def _empty(path):
    path.touch()
    return path


def _truncated(path):
    write_scan(path)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def _no_image(path):
    path.write_bytes(gzip.compress(b"no scan at all" * 100))
    return path


def _four_dimensional(path):
    nib.save(nib.Nifti1Image(np.random.default_rng(0).normal(size=(4, 4, 4, 3)), np.eye(4)), path)
    return path


def _constant(path):
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4)), np.eye(4)), path)
    return path


def _singular(path):
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=(4, 4, 4)), None)
    image.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, "no such file"),
        (_empty, "empty"),
        (_truncated, "truncated"),
        (_no_image, "not"),
        (_four_dimensional, "--volume"),
        (_constant, "constant"),
        (_singular, "affine"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_bad_scan_gives_one_line_and_nothing_half_written(recalib, tmp_path, capsys, make, message):
    (tmp_path / "in").mkdir()
    assert recalib("segment", make(tmp_path / "in" / "bad.nii.gz"), "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_batch_goes_on_and_reports_at_the_end(recalib, scan, tmp_path, capsys):
    good = write_scan(tmp_path / "scans" / "other.nii.gz")
    assert recalib("segment", scan, tmp_path / "nowhere.nii.gz", good, "-o", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == [
        "head_labels.json",
        "head_labels.nii.gz",
        "other_labels.json",
        "other_labels.nii.gz",
        "volumes.csv",
    ]
    assert "labels of 2 scans" in output.out
    assert "nowhere.nii.gz" in output.err
    assert "1 of 3 scans could not be segmented" in output.err


def test_scans_of_one_name_keep_their_folders(recalib, scan, tmp_path):
    twin = tmp_path / "scans" / "more" / "head.nii.gz"
    twin.parent.mkdir()
    write_scan(twin, box=(2, 2, 2))
    assert recalib("segment", scan, twin, "-o", tmp_path / "out") == 0
    assert {(row["scan"], row["labels"], row["voxels"]) for row in _rows(tmp_path / "out")} == {
        ("../scans/head.nii.gz", "head_labels.nii.gz", "24"),
        ("../scans/more/head.nii.gz", "more/head_labels.nii.gz", "8"),
    }
    assert (tmp_path / "out" / "more" / "head_labels.nii.gz").exists()


def test_one_scan_given_twice_is_refused_before_anything_is_done(recalib, scan, tmp_path, capsys):
    assert recalib("segment", scan, scan, "-o", tmp_path / "out") == 2
    assert "expected a label map of its own for each scan" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_labels_never_take_the_place_of_a_scan(recalib, scan, tmp_path, capsys, options):
    before = scan.read_bytes()
    assert recalib("segment", scan, "-o", scan, *options) == 2
    assert "given as a scan" in capsys.readouterr().err
    other = write_scan(scan.with_name("head_labels.nii.gz"))
    assert recalib("segment", scan, other, "-o", scan.parent, *options) == 2
    assert scan.read_bytes() == before


def test_labels_of_another_scan_of_the_name_are_not_taken_for_its_own(recalib, scan, tmp_path, capsys):
    recalib("segment", scan, "-o", tmp_path / "out")
    before = (tmp_path / "out" / "volumes.csv").read_text()
    (tmp_path / "more").mkdir()
    twin = write_scan(tmp_path / "more" / "head.nii.gz")
    assert recalib("segment", twin, "-o", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert f"got those of {scan} by bright" in message and "--overwrite" in message
    assert (tmp_path / "out" / "volumes.csv").read_text() == before
    assert recalib("segment", twin, "-o", tmp_path / "out", "--overwrite") == 0


def test_labels_that_were_made_otherwise_are_not_taken(recalib, scan, tmp_path, capsys):
    recalib("segment", scan, "-o", tmp_path)
    assert recalib("segment", scan, "-o", tmp_path, "--flip") == 2
    assert "averaged with the mirror image, got those of" in capsys.readouterr().err


def test_labels_that_no_table_knows_must_lie_on_the_grid(recalib, scan, tmp_path, capsys):
    recalib("segment", scan, "-o", tmp_path)
    (tmp_path / "volumes.csv").unlink()
    assert recalib("segment", scan, "-o", tmp_path) == 0  # a run that was stopped before the table
    (tmp_path / "volumes.csv").unlink()
    labels = nib.load(tmp_path / "head_labels.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(labels.dataobj), np.eye(4)), tmp_path / "head_labels.nii.gz")
    assert recalib("segment", scan, "-o", tmp_path) == 2
    assert "another grid" in capsys.readouterr().err


def test_pictures_of_labels_that_were_there_leave_them_alone(recalib, scan, tmp_path, capsys):
    recalib("segment", scan, "-o", tmp_path)
    labels = tmp_path / "head_labels.nii.gz"
    os.utime(labels, (0, 0))
    assert recalib("segment", scan, "-o", tmp_path, "--overlay") == 0
    assert (tmp_path / "head_overlay.png").exists() and labels.stat().st_mtime == 0
    assert capsys.readouterr().out.endswith("(1 existed already)\n")


@pytest.mark.parametrize("text", ["name;age\na;3\n", "", "scan;structure;label;voxels;mm3\n"])
def test_another_table_is_left_alone(recalib, scan, tmp_path, capsys, text):
    (tmp_path / "volumes.csv").write_text(text)
    assert recalib("segment", scan, "-o", tmp_path) == 2
    assert "volumes.csv: expected a table of volumes with the columns scan, structure" in capsys.readouterr().err
    assert (tmp_path / "volumes.csv").read_text() == text


def test_a_table_that_a_spreadsheet_saved_keeps_its_rows_and_columns(recalib, scan, tmp_path):
    (tmp_path / "volumes.csv").write_text(
        "scan,structure,label,voxels,mm3,group\nolder.nii.gz,bright,7,3,6.0,control\n", encoding="utf-8-sig"
    )
    recalib("segment", scan, "-o", tmp_path)
    older, newer = _rows(tmp_path)
    assert (older["scan"], older["group"], newer["group"]) == ("older.nii.gz", "control", "")


def test_whatever_one_scan_does_the_others_are_segmented(recalib, scan, tmp_path, capsys, monkeypatch):
    from recalib_keras import volumes

    def read(path, *arguments, **settings):
        if "other" in str(path):
            raise MemoryError("too large")
        return _read(path, *arguments, **settings)

    _read = volumes.read
    monkeypatch.setattr(volumes, "read", read)
    other = write_scan(tmp_path / "scans" / "other.nii.gz")
    assert recalib("segment", other, scan, "-o", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert "other.nii.gz: MemoryError: too large" in output.err and "labels of 1 scan" in output.out


def test_several_scans_into_one_file_are_refused(recalib, scan, tmp_path, capsys):
    assert recalib("segment", scan, scan, "-o", tmp_path / "labels.nii.gz") == 2
    assert "give -o a folder" in capsys.readouterr().err


def test_output_that_cannot_be_written(recalib, scan, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert recalib("segment", scan, "-o", tmp_path / "file" / "out") == 2
    assert "expected a folder to write to" in capsys.readouterr().err


def test_unknown_preset_and_weights(recalib, scan, tmp_path, capsys, bright_preset):
    assert recalib("segment", scan, "-o", tmp_path, "--preset", "brigt") == 2
    assert "expected the name of a preset, got 'brigt'" in capsys.readouterr().err
    assert recalib("segment", scan, "-o", tmp_path, "--preset", bright_preset, "--weights", "dark") == 2
    assert "known weights: bright" in capsys.readouterr().err


def _skip_without_openvino():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("OpenVINO takes TensorFlow's networks")
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")


@pytest.mark.parametrize("engine", ["keras", "openvino"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_says_by_what_it_was_computed(engine, precision, recalib, scan, tmp_path, capsys):
    if engine == "openvino":
        _skip_without_openvino()
    assert recalib("segment", scan, "-o", tmp_path, "--engine", engine, "--precision", precision) == 0
    assert capsys.readouterr().out.endswith(f"(by {engine} in {precision})\n")
    assert (np.asarray(nib.load(tmp_path / "head_labels.nii.gz").dataobj) == 7).sum() == 24


def test_choices_are_those_of_the_library():
    """The command does not ask the library for them, so that its help comes at once."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    choices = {action.dest: action.choices for action in parser._actions}
    assert (choices["engine"], choices["precision"]) == (engines.ENGINES, engines.PRECISIONS)


def test_openvino_that_is_not_installed(recalib, scan, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert recalib("segment", scan, "-o", tmp_path, "--engine", "openvino") == 2
    assert 'pip install "recalib-keras[openvino]"' in capsys.readouterr().err


def test_without_keras_once_openvino_has_compiled_the_network(recalib, scan, tmp_path, bright_preset):
    """In a process of its own; nothing is said but the result, and labels are the same."""
    _skip_without_openvino()
    options = ["--engine", "openvino", "--precision", "float32"]
    recalib("segment", scan, "-o", tmp_path / "here", *options)
    arguments = ["segment", str(scan), "-o", str(tmp_path / "there"), "--preset", str(bright_preset), *options]
    code = (
        "import sys; from recalib_keras.cli.main import main; code = main(sys.argv[1:]);"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["[]"]
    here, there = (np.asarray(nib.load(tmp_path / w / "head_labels.nii.gz").dataobj) for w in ("here", "there"))
    assert np.array_equal(here, there)


def test_flip(recalib, scan, tmp_path):
    assert recalib("segment", scan, "-o", tmp_path, "--flip") == 0
    assert (np.asarray(nib.load(tmp_path / "head_labels.nii.gz").dataobj) == 7).sum() == 24


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", "default"),
        ("axial,coronal", {"axial": 1, "coronal": 1}),
        ("axial:0.4, coronal:0.4,sagittal:0.2", {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}),
    ],
)
def test_weights_of_several_weight_sets(text, expected):
    assert named_weights(text) == expected


def test_average_of_several_weight_sets(recalib, scan, tmp_path, capsys):
    assert recalib("segment", scan, "-o", tmp_path, "--weights", "bright:2") == 0
    assert (np.asarray(nib.load(tmp_path / "head_labels.nii.gz").dataobj) == 7).sum() == 24
    for wrong in ("bright:x", "bright:0", "bright:-1", "bright:nan"):
        assert recalib("segment", scan, "-o", tmp_path, "--weights", wrong) == 2
        assert f"with a share above 0, got '{wrong}'" in capsys.readouterr().err
    assert recalib("segment", scan, "-o", tmp_path, "--weights", "bright,dark") == 2
    assert "expected weights of the preset 'bright', got 'dark'" in capsys.readouterr().err


def test_isolated_nan_is_replaced_with_a_warning_that_counts(recalib, scan, tmp_path):
    image = nib.load(scan)
    array = image.get_fdata()
    array[0, 0, :2] = np.nan
    nib.save(nib.Nifti1Image(array, image.affine), scan)
    with pytest.warns(UserWarning, match="^.*2 of 720 voxels"):
        assert recalib("segment", scan, "-o", tmp_path / "out") == 0


def test_real_scan_equals_the_python_call(data_root, tmp_path):
    scan = data_root / "hippocampus" / "imagesTr" / "hippocampus_003.nii.gz"
    from recalib_keras.cli.main import main

    settings = {"preset": "densenet3d_pe", "weights": "hippocampus", "engine": "keras", "precision": "float32"}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    assert main(["segment", str(scan), "-o", str(tmp_path), *options]) == 0
    by_command = np.asarray(nib.load(tmp_path / "hippocampus_003_labels.nii.gz").dataobj)
    by_call = np.asarray(recalib_keras.segment(scan, **settings).dataobj)
    np.testing.assert_array_equal(by_command, by_call)
    assert set(np.unique(by_command)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "nothing", "--workers", "2"), "expected weights of the preset 'bright', got 'nothing'"),
        (("--workers", "2", "--scheduler", "tls://a:1"), "expected one of --workers, --scheduler and --scheduler-file"),
        (("--scheduler-file", "none.json"), "none.json: expected a scheduler file, got no such file"),
        (("--part", "3/2"), "expected a part I/N with I from 1 to N, got 3/2"),
    ],
)
def test_bad_places_of_work_are_one_line(options, message, recalib, scan, tmp_path, capsys):
    assert recalib("segment", scan, "-o", tmp_path / "out", *options) == 2
    captured = capsys.readouterr().err
    assert message in captured and captured.count("\n") == 1


def test_parts_and_a_wide_table(recalib, scan, tmp_path, capsys):
    write_scan(tmp_path / "scans" / "other.nii.gz")
    for part in ("1/2", "2/2"):
        assert recalib("segment", tmp_path / "scans", "-o", tmp_path / "out", "--part", part, "--wide") == 0
    assert "a row for each scan in" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "volumes_wide.csv").read_text().splitlines()))
    assert [(row["labels"], row["bright"]) for row in rows] == [
        ("head_labels.nii.gz", "48.0"),
        ("other_labels.nii.gz", "48.0"),
    ]

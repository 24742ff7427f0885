import csv
import dataclasses
import shutil
import sys

import keras
import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras import datasets, zoo
from recalib_keras.cli.evaluate import DEFINITIONS
from recalib_keras.evaluation import MEASURES, Measures
from recalib_keras.inference import Segmenter
from recalib_keras.zoo import weights
from recalib_keras.zoo.preset import Preset

RECIPE = """
preset = "bright"
weights = "bright"
title = "what is bright"
labels = [{ id = 0, name = "background" }, { id = 7, name = "bright", color = [255, 200, 0] }]
network = { architecture = "UNet", arguments = { levels = 1, filters = 2 } }
input = { window = [8, 8, 8] }

[data]
folder = "boxes"
source = "scans made by the tests"
licence = "CC0"
validate_every = 2
merge = { "8" = 7 }

[optimizer]
learning_rate = 0.01

[schedule]
epochs = 1
batch_size = 1
"""


def _write(path, array, affine=None):
    path.parent.mkdir(exist_ok=True)
    nib.save(
        nib.Nifti1Image(np.asarray(array, "uint8").reshape(1, 1, -1), np.eye(4) if affine is None else affine), path
    )
    return path


def _rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folders(tmp_path):
    """Predictions and truths of scans a and b; b has no label 2."""
    _write(tmp_path / "p" / "a_labels.nii.gz", [1, 1, 0, 2])
    _write(tmp_path / "t" / "a.nii.gz", [1, 0, 0, 2])
    _write(tmp_path / "p" / "b_labels.nii.gz", [1, 1, 0, 0])
    _write(tmp_path / "t" / "b.nii.gz", [1, 1, 0, 0])
    return tmp_path / "p", tmp_path / "t"


def test_folders_are_compared_by_name(recalib, folders, tmp_path, capsys):
    assert recalib("evaluate", *folders, "-o", tmp_path / "report.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Dice", "HD95", "(mm)", "ASSD", "(mm)", "volume", "(%)", "scans", "missed", "spurious"]
    assert lines[1].startswith("label 1             0.8333 ± 0.2357") and lines[1].split()[-3:] == ["2", "0", "0"]
    assert lines[2].startswith("label 2                      1.0000") and lines[2].split()[-3:] == ["1", "0", "0"]
    # Scan a has (2/3 + 1) / 2, scan b 1.
    assert lines[3].startswith("mean of structures  0.9167 ± 0.1179")
    assert [(row["scan"], row["label"], row["found_in"]) for row in _rows(tmp_path / "report.csv")] == [
        ("a", "1", "both"),
        ("a", "2", "both"),
        ("b", "1", "both"),
        ("b", "2", "neither"),
    ]
    assert float(_rows(tmp_path / "report.csv")[0]["dice"]) == pytest.approx(2 / 3, abs=1e-6)


def test_ground_truth_without_a_prediction_is_listed(recalib, folders, tmp_path, capsys):
    for name in ("c", "d"):
        _write(tmp_path / "t" / f"{name}.nii.gz", [1, 1, 0, 0])
    assert recalib("evaluate", *folders) == 0
    message = capsys.readouterr().err
    assert message == (
        "recalib evaluate: 2 ground-truth files have no prediction and are excluded from all means: c, d\n"
    )
    assert "Ground-truth files without a prediction have no row" in DEFINITIONS


def test_two_files_are_compared(recalib, tmp_path, capsys):
    prediction, truth = _write(tmp_path / "x.nii.gz", [3, 3]), _write(tmp_path / "y.nii.gz", [3, 0])
    assert recalib("evaluate", prediction, truth) == 0
    assert "mean of structures  0.6667" in capsys.readouterr().out


def test_missed_and_spurious_structures(recalib, tmp_path, capsys):
    prediction, truth = _write(tmp_path / "x.nii.gz", [1, 0, 0]), _write(tmp_path / "y.nii.gz", [0, 2, 2])
    assert recalib("evaluate", prediction, truth) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["label", "1", "0.0000", "–", "–", "–", "1", "0", "1"]
    assert lines[2] == ["label", "2", "0.0000", "–", "–", "-100.0", "1", "1", "0"]
    assert lines[3][-2:] == ["1", "1"]


def test_a_folder_gets_tables_and_definitions(recalib, folders, tmp_path):
    assert recalib("evaluate", *folders, "-o", tmp_path / "new" / "report") == 0
    assert _names(tmp_path / "new" / "report") == ["definitions.txt", "report.csv", "summary.csv"]
    assert (tmp_path / "new" / "report" / "definitions.txt").read_text() == DEFINITIONS
    mean = next(
        row for row in _rows(tmp_path / "new" / "report" / "summary.csv") if row["structure"].startswith("mean")
    )
    assert (mean["measure"], mean["mean"], mean["scans"]) == ("dice", "0.916667", "2")


def test_figures_and_panels(recalib, folders, tmp_path):
    assert recalib("evaluate", *folders, "-o", tmp_path / "r", "--figures") == 0
    figures = {"bland_altman.png", "boxplots.png", "volumes.png"}
    assert {*_names(tmp_path / "r")} == figures | {"definitions.txt", "report.csv", "summary.csv"}
    assert recalib("evaluate", *folders, "-o", tmp_path / "r", "--figures", "--images", folders[1]) == 0
    assert "panels.png" in _names(tmp_path / "r")


def test_figures_for_print(recalib, folders, tmp_path, capsys):
    assert recalib("evaluate", *folders, "-o", tmp_path / "r", "--figures", "--figure-format", "pdf") == 0
    for name in ("bland_altman.pdf", "boxplots.pdf", "volumes.pdf"):
        assert (tmp_path / "r" / name).read_bytes().startswith(b"%PDF")
    with pytest.raises(SystemExit):
        recalib("evaluate", *folders, "-o", tmp_path / "r", "--figures", "--figure-format", "jpg")
    assert "invalid choice: 'jpg'" in capsys.readouterr().err


def test_names_of_labels(recalib, folders, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("0 background\n1 liver 255 0 0 0\n2 left kidney 0 0 255 0\n5 spleen\n")
    assert recalib("evaluate", *folders, "--label-names", tmp_path / "names.txt") == 0
    structures = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert structures == ["liver", "left kidney", "spleen", "mean of structures"]
    assert recalib("evaluate", *folders, "--label-names", tmp_path / "names.txt", "--labels", 2) == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "left kidney",
        "mean of structures",
    ]


def test_chosen_labels(recalib, folders, tmp_path, capsys):
    assert recalib("evaluate", *folders, "--labels", 2, 9) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:3] == ["label", "2", "1.0000"]
    assert lines[2] == ["label", "9", "–", "–", "–", "–", "0", "0", "0"]


def test_the_batch_continues_after_a_failure(recalib, folders, tmp_path, capsys):
    (tmp_path / "p" / "bad.nii.gz").write_bytes(b"no scan")
    _write(tmp_path / "t" / "bad.nii.gz", [1])
    assert recalib("evaluate", *folders, "-o", tmp_path / "r.csv") == 1
    output = capsys.readouterr()
    assert "1 of 3 scans could not be evaluated" in output.err
    assert output.err.count("\n") == 2 and "bad.nii.gz" in output.err
    assert {row["scan"] for row in _rows(tmp_path / "r.csv")} == {"a", "b"}


def test_nothing_is_written_if_all_scans_fail(recalib, tmp_path, capsys):
    for name in ("a", "b"):
        _write(tmp_path / "p" / f"{name}.nii.gz", [1, 0])
        _write(tmp_path / "t" / f"{name}.nii.gz", [1])
    assert recalib("evaluate", tmp_path / "p", tmp_path / "t", "-o", tmp_path / "r.csv") == 1
    assert "2 of 2 scans could not be evaluated" in capsys.readouterr().err
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p"], "expected PREDICTIONS and GROUND_TRUTH"),
        (["p", "t", "--preset", "bright"], "got PREDICTIONS too; leave one out"),
        (["--preset", "bright", "--labels", "3"], "got --labels too; leave one out"),
        (["--preset", "bright", "--label-names", "names.txt"], "got --label-names too; leave one out"),
        (["--preset", "bright", "--volume", "1"], "expected --dataset with --volume"),
        (["--preset", "bright", "--part", "validation", "--dataset", "msd", "t"], "expected --part test with"),
        (["p", "t", "--part", "test"], "expected --preset with --part"),
        (["p", "t", "--dataset", "msd", "t"], "expected --preset with --dataset"),
        (["--preset", "brigt"], "expected the name of a preset, got 'brigt'"),
        (["p", "t", "--gates", "-o", "r"], "expected --preset with --gates"),
        (["p", "t", "--flip"], "expected --preset with --flip"),
        (["p", "t", "--largest-component"], "expected --preset with --largest-component"),
        (["p", "t", "--figures"], "expected a folder for the figures, got -o None"),
        (["p", "t", "--figures", "-o", "r.csv"], "expected a folder for the figures, got -o r.csv"),
        (["p", "t", "--images", "t"], "expected --figures with --images"),
        (["p", "t/a.nii.gz"], "two files or two folders"),
        (["p", "t"], "expected a label map in t for each prediction, got none for b"),
        (["p/a.nii.gz", "moved.nii.gz"], "expected the grid of "),
        (["empty.nii.gz", "empty.nii.gz"], "expected label maps with structures, got only 0"),
        (["p/a.nii.gz", "t/a.nii.gz", "--label-names", "p/a.nii.gz"], "expected names of labels"),
        (
            ["p/a.nii.gz", "t/a.nii.gz", "--label-names", "names.txt", "--labels", "1", "4"],
            "names.txt: expected names of all --labels, got none for 4",
        ),
        (["p/a.nii.gz", "t/a.nii.gz", "-o", "names.txt/report"], "expected to write"),
        (["p/a.nii.gz", "t/a.nii.gz", "--label-names", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_bad_input(recalib, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "p" / "a.nii.gz", [1, 0])
    _write(tmp_path / "p" / "b.nii.gz", [1, 0])
    _write(tmp_path / "t" / "a.nii.gz", [1, 0])
    _write(tmp_path / "moved.nii.gz", [1, 0], np.diag([1.0, 1, 2, 1]))
    _write(tmp_path / "empty.nii.gz", [0, 0])
    (tmp_path / "names.txt").write_text("1 liver\n")
    assert recalib("evaluate", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_evaluate_without_matplotlib(recalib, folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert recalib("evaluate", *folders, "-o", tmp_path / "r", "--figures") == 2
    assert 'pip install "recalib-keras[figures]"' in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_help_defines_every_column(recalib, capsys):
    with pytest.raises(SystemExit):
        recalib("evaluate", "--help")
    text = capsys.readouterr().out
    assert DEFINITIONS in text
    assert all(measure in DEFINITIONS for measure in MEASURES)
    assert Measures(truth_mm3=1.0).found_in in DEFINITIONS


@pytest.fixture
def boxes(tmp_path):
    """A data set of five scans with a bright box; scans 0, 2 and 4 are held out. The truth of 2 lacks part of its box,
    and calls it by two numbers."""
    for index in range(5):
        scan = write_scan(tmp_path / "scans" / f"box_{index}.nii.gz", box=(2 + index % 2, 3, 4))
        image = nib.load(scan)
        truth = np.where(image.get_fdata() > 50, 7, 0).astype("uint8")
        if index == 2:
            truth[:, :, 2] = 0
            truth[:, :, 3][truth[:, :, 3] == 7] = 8
        for part, array in (("imagesTr", image.get_fdata().astype("float32")), ("labelsTr", truth)):
            (tmp_path / "data" / "boxes" / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, image.affine), tmp_path / "data" / "boxes" / part / f"box_{index}.nii.gz")
    return tmp_path / "data"


@pytest.fixture
def preset(bright_preset, tmp_path):
    """The preset that finds what is bright, with its recipe beside it."""
    folder = shutil.copytree(bright_preset, tmp_path / "presets" / "bright")
    (folder / "bright.toml").write_text(RECIPE)
    return folder


@pytest.fixture
def gated_preset(preset):
    """The preset with scSE blocks, and weights as they come."""
    described = Preset.read(preset).weight_sets["bright"]
    network = zoo.Network("UNet", {**described.network.arguments, "recalibration": "scse"})
    described = dataclasses.replace(described, network=network)
    keras.utils.set_random_seed(0)
    content = weights.serialize(described.build())
    (preset / described.file).write_bytes(content)
    described = dataclasses.replace(described, sha256=weights.sha256(content))
    (preset / "preset.json").write_text(Preset("bright", {"bright": described}).to_json(), encoding="utf-8")
    return preset


def test_an_ensemble(recalib, preset, boxes, tmp_path, capsys):
    described = Preset.read(preset).weight_sets["bright"]
    for name in ("bright", "again"):
        (preset / f"{name}.toml").write_text(RECIPE)
        shutil.copyfile(preset / described.file, tmp_path / "again.safetensors")
    shutil.move(tmp_path / "again.safetensors", preset / "again.safetensors")
    again = dataclasses.replace(described, file="again.safetensors")
    both = Preset("bright", {"bright": described, "again": again}, {"both": {"bright": 1.0, "again": 2.0}})
    (preset / "preset.json").write_text(both.to_json(), encoding="utf-8")
    for weights_of, file in (("bright", "one.csv"), ("both", "both.csv"), ("bright:1,again:1", "named.csv")):
        measured = ("--preset", preset, "--weights", weights_of, "--data", boxes, "-o", tmp_path / file)
        assert recalib("evaluate", *measured) == 0
    assert _rows(tmp_path / "one.csv") == _rows(tmp_path / "both.csv") == _rows(tmp_path / "named.csv")
    gates = ("--gates", "--preset", preset, "--weights", "both", "--data", boxes, "-o", tmp_path / "gates")
    assert recalib("evaluate", *gates) == 2
    assert "expected a single network to show gates of, got several: bright, again" in capsys.readouterr().err


def test_a_preset_on_its_validation_scans(recalib, preset, boxes, tmp_path, capsys):
    assert recalib("evaluate", "--preset", preset, "--data", boxes, "-o", tmp_path / "r", "--figures") == 0
    rows = _rows(tmp_path / "r" / "report.csv")
    assert [(row["scan"], row["structure"], row["label"]) for row in rows] == [
        (f"box_{index}", "bright", "7") for index in (0, 2, 4)
    ]
    # In scan 2 the prediction has 2 · 3 · 4 voxels, the truth 2 · 3 · 3 of them, some of which the recipe merges.
    assert [float(row["dice"]) for row in rows] == [1, pytest.approx(2 * 18 / 42, abs=1e-6), 1]
    assert [float(row["volume_difference_mm3"]) for row in rows] == [0, 12, 0]
    assert "panels.png" in _names(tmp_path / "r")

    from recalib_keras.training import rescore

    score = rescore(preset, "default", boxes)
    mean = capsys.readouterr().out.splitlines()[2].split()
    assert mean[:6] == ["mean", "of", "structures", f"{score['dice']:.4f}", "±", f"{score['dice_sd']:.4f}"]


def test_a_preset_with_flips(recalib, gated_preset, boxes, tmp_path):
    for flip in ([], ["--flip"]):
        measured = ("--preset", gated_preset, "--data", boxes, "-o", tmp_path / f"{len(flip)}.csv")
        assert recalib("evaluate", *measured, *flip) == 0
    _, held_out = datasets.split(datasets.find_scans(boxes / "boxes"), every=2)
    segmenter = Segmenter.from_preset(gated_preset, flips=True)
    volumes = [float(row["prediction_mm3"]) for row in _rows(tmp_path / "1.csv")]
    images = [scan.read()[0] for scan in held_out]
    sizes = [abs(np.linalg.det(image.grid.affine[:3, :3])) for image in images]
    found = [size * np.count_nonzero(segmenter(image).labels == 7) for image, size in zip(images, sizes)]
    assert volumes == pytest.approx(found) and max(found) > 0
    assert _rows(tmp_path / "0.csv") != _rows(tmp_path / "1.csv")


def test_a_preset_with_the_largest_component(recalib, gated_preset, boxes, tmp_path, capsys):
    measured = ("--preset", gated_preset, "--data", boxes, "-o", tmp_path / "r.csv", "--largest-component")
    assert recalib("evaluate", *measured) == 0
    _, held_out = datasets.split(datasets.find_scans(boxes / "boxes"), every=2)
    segmenter = Segmenter.from_preset(gated_preset)
    found = [segmenter(scan.read()[0], largest_component=True).volumes[0].cubic_millimetres for scan in held_out]
    assert [float(row["prediction_mm3"]) for row in _rows(tmp_path / "r.csv")] == pytest.approx(found)
    assert recalib("evaluate", *measured, "brigth") == 2 and "did you mean 'bright'" in capsys.readouterr().err


def test_a_preset_on_the_test_part(recalib, preset, boxes, tmp_path, capsys):
    arguments = ("--preset", preset, "--data", boxes, "--part", "test", "-o", tmp_path / "r.csv")
    assert recalib("evaluate", *arguments) == 2
    assert f"expected an official test part in {boxes / 'boxes'}, got none" in capsys.readouterr().err
    (boxes / "boxes" / "scans.csv").write_text("name,patient,part\nbox_1,1,test\nbox_2,2,test\n")
    assert recalib("evaluate", *arguments) == 0
    # The truth of box_2 is merged as the recipe says; see above.
    assert [(row["scan"], float(row["dice"])) for row in _rows(tmp_path / "r.csv")] == [
        ("box_1", 1),
        ("box_2", pytest.approx(2 * 18 / 42, abs=1e-6)),
    ]


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of two scans and label maps of another origin, in which what is bright has the number 3."""
    for part in ("images", "labels"):
        (tmp_path / "elsewhere" / part).mkdir(parents=True)
    for index in range(2):
        image = nib.load(write_scan(tmp_path / "elsewhere" / "images" / f"scan_{index}.nii.gz", box=(2 + index, 3, 4)))
        truth = np.where(image.get_fdata() > 50, 3, 0).astype("uint8")
        truth[9, 8, 7] = 7  # the preset's number for what is bright
        nib.save(nib.Nifti1Image(truth, image.affine), tmp_path / "elsewhere" / "labels" / f"scan_{index}.nii.gz")
    return tmp_path / "elsewhere"


def test_a_preset_on_another_data_set(recalib, preset, elsewhere, tmp_path, capsys):
    arguments = ("--preset", preset, "--dataset", "nifti_folder", elsewhere)
    assert recalib("evaluate", *arguments) == 2
    assert "expected names of the label numbers" in capsys.readouterr().err
    (elsewhere / "labels.json").write_text('{"3": "Bright", "7": "dark"}')
    assert recalib("evaluate", *arguments, "-o", tmp_path / "r.csv") == 0
    (tmp_path / "names.txt").write_text("3 bright\n7 something\n")
    assert recalib("evaluate", *arguments, "--label-names", tmp_path / "names.txt", "-o", tmp_path / "named.csv") == 0
    rows = _rows(tmp_path / "r.csv")
    assert rows == _rows(tmp_path / "named.csv")
    assert [(row["scan"], row["label"], float(row["dice"])) for row in rows] == [("scan_0", "7", 1), ("scan_1", "7", 1)]
    (elsewhere / "scans.csv").write_text("name,patient,part\nscan_1,1,test\n")
    assert recalib("evaluate", *arguments, "--part", "test", "-o", tmp_path / "r.csv") == 0
    assert [row["scan"] for row in _rows(tmp_path / "r.csv")] == ["scan_1"]


def test_structures_that_another_set_lacks(recalib, preset, elsewhere, capsys):
    described = Preset.read(preset).weight_sets["bright"]
    labels = (*described.labels, zoo.Label(8, "grey"))
    network = dataclasses.replace(described, labels=labels).build()
    content = weights.serialize(network)
    (preset / described.file).write_bytes(content)
    described = dataclasses.replace(described, labels=labels, sha256=weights.sha256(content))
    (preset / "preset.json").write_text(Preset("bright", {"bright": described}).to_json(), encoding="utf-8")
    (elsewhere / "labels.json").write_text('{"3": "Bright", "7": "dark"}')
    assert recalib("evaluate", "--preset", preset, "--dataset", "nifti_folder", elsewhere) == 0
    output = capsys.readouterr()
    assert output.err.endswith("elsewhere has no labels with these names, so they are not measured: grey\n")
    assert output.out.splitlines()[1].startswith("bright")


def test_gates_are_drawn(recalib, gated_preset, boxes, tmp_path, monkeypatch):
    loaded, load = [], zoo.load
    monkeypatch.setattr(zoo, "load", lambda *args, **kwargs: loaded.append(args) or load(*args, **kwargs))
    assert (
        recalib(
            "evaluate",
            "--preset",
            gated_preset,
            "--data",
            boxes,
            "-o",
            tmp_path / "r",
            "--gates",
            "--figure-format",
            "svg",
        )
        == 0
    )
    assert _names(tmp_path / "r") == ["definitions.txt", "gates.svg", "report.csv", "summary.csv"]
    assert len(loaded) == 1


def test_a_network_without_gates(recalib, preset, boxes, tmp_path, capsys):
    assert recalib("evaluate", "--preset", preset, "--data", boxes, "-o", tmp_path / "r", "--gates") == 2
    assert "expected a network with recalibration blocks, got 'unet' without any" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_preset_without_data(recalib, preset, tmp_path, capsys):
    assert recalib("evaluate", "--preset", preset, "--data", tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err


def test_real_scans_and_all_figures(recalib, data_root, tmp_path):
    """Three of the real scans that the training of a preset held out."""
    folder = shutil.copytree(zoo.info("densenet3d_pe").folder, tmp_path / "densenet3d_pe")
    preset = Preset.read(folder)
    described = preset.weight_sets["hippocampus"]
    few = dataclasses.replace(described, held_out=described.held_out[:3])
    (folder / "preset.json").write_text(dataclasses.replace(preset, weight_sets={"hippocampus": few}).to_json())
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / "data" / "hippocampus" / part).mkdir(parents=True)
        for name in few.held_out:
            shutil.copy(data_root / "hippocampus" / part / f"{name}.nii.gz", tmp_path / "data" / "hippocampus" / part)
    arguments = ("--preset", folder, "--data", tmp_path / "data", "-o", tmp_path / "r", "--figures", "--gates")
    assert recalib("evaluate", *arguments) == 0
    assert {"bland_altman.png", "boxplots.png", "gates.png", "panels.png", "volumes.png"} < set(_names(tmp_path / "r"))
    rows = _rows(tmp_path / "r" / "report.csv")
    assert len(rows) == 6
    assert all(float(row["dice"]) > 0.8 and float(row["hd95_mm"]) < 4 for row in rows)

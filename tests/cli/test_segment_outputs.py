"""Maps, chosen structures and DICOM from the command."""

import builtins
import csv
import dataclasses
import json
import shutil
import sys

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.core.spreading.pool import Workers
from recalib_keras.inference import Outputs, Segmenter, segment_all

EXACT = ("--engine", "keras", "--precision", "float32")


def manifest(folder, name="head"):
    return json.loads((folder / f"{name}_labels.json").read_text())


def test_probabilities_lie_beside_the_labels(recalib, scan, tmp_path):
    out = tmp_path / "out"
    assert recalib("segment", scan, "-o", out, *EXACT, "--probabilities") == 0
    image, labels = nib.load(out / "head_probabilities.nii.gz"), nib.load(out / "head_labels.nii.gz")
    assert image.get_data_dtype() == np.uint8 and image.shape == (*labels.shape, 2)
    assert np.array_equal(image.affine, labels.affine) and int(image.header["sform_code"]) == 4
    np.testing.assert_allclose(image.get_fdata().sum(-1), 1, atol=1 / 255)
    assert np.array_equal(image.get_fdata().argmax(-1) * 7, np.asarray(labels.dataobj))
    sidecar = json.loads((out / "head_probabilities.json").read_text())
    assert (sidecar["LabelMap"], sidecar["LabelNumbers"]) == (["background", "bright"], [0, 7])
    assert manifest(out)["maps"]["probabilities"] == {"file": "head_probabilities.nii.gz", **sidecar}


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_other_ways_to_store_them(recalib, scan, tmp_path, dtype):
    assert recalib("segment", scan, "-o", tmp_path, *EXACT, f"--probabilities={dtype}") == 0
    assert nib.load(tmp_path / "head_probabilities.nii.gz").get_data_dtype() == dtype


def test_uncertainty_is_entropy_and_with_flips_mutual_information(recalib, scan, tmp_path):
    plain, flipped = tmp_path / "plain", tmp_path / "flipped"
    assert recalib("segment", scan, "-o", plain, *EXACT, "--uncertainty") == 0
    assert recalib("segment", scan, "-o", flipped, *EXACT, "--uncertainty", "--flip") == 0
    made = {path.name for path in plain.iterdir()}
    assert made == {
        "head_labels.nii.gz",
        "head_labels.json",
        "volumes.csv",
        "head_entropy.nii.gz",
        "head_entropy.json",
    } | {name for name in made if name.startswith(".")}
    entropy = nib.load(plain / "head_entropy.nii.gz").get_fdata()
    labels = np.asarray(nib.load(plain / "head_labels.nii.gz").dataobj)
    with (plain / "volumes.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["mean_entropy"]) == pytest.approx(entropy[labels == 7].mean(), abs=1e-4)
    information = nib.load(flipped / "head_mutual_information.nii.gz").get_fdata()
    assert information.max() < 1e-3 and list(manifest(flipped)["maps"]) == ["entropy", "mutual_information"]


def test_a_map_that_is_missing_is_made_later(recalib, scan, tmp_path, capsys):
    write_scan(tmp_path / "scans" / "other.nii.gz")
    arguments = ("segment", scan.parent, "-o", tmp_path / "out", *EXACT)
    assert recalib(*arguments) == 0
    labels = tmp_path / "out" / "head_labels.nii.gz"
    before = np.asarray(nib.load(labels).dataobj)
    assert recalib(*arguments, "--probabilities", "--uncertainty") == 0
    entropy = tmp_path / "out" / "head_entropy.nii.gz"
    assert entropy.exists() and np.array_equal(np.asarray(nib.load(labels).dataobj), before)
    capsys.readouterr()
    assert recalib(*arguments, "--probabilities", "--uncertainty") == 0
    assert "2 existed already" in capsys.readouterr().out
    entropy.unlink()
    assert recalib(*arguments, "--uncertainty") == 0
    assert "1 existed already" in capsys.readouterr().out and entropy.exists()
    assert recalib(*arguments, "--probabilities=uint16") == 0
    assert "existed" not in capsys.readouterr().out
    assert nib.load(tmp_path / "out" / "head_probabilities.nii.gz").get_data_dtype() == np.uint16


def test_maps_of_labels_that_were_made_again_are_made_again(recalib, scan, tmp_path, capsys):
    """Labels made again without maps leave old maps behind, which belong to other labels."""
    recalib("segment", scan, "-o", tmp_path, *EXACT, "--uncertainty")
    recalib("segment", scan, "-o", tmp_path, *EXACT, "--overwrite")
    capsys.readouterr()
    assert "maps" not in manifest(tmp_path) or not manifest(tmp_path)["maps"]
    recalib("segment", scan, "-o", tmp_path, *EXACT, "--uncertainty")
    assert "existed" not in capsys.readouterr().out and "entropy" in manifest(tmp_path)["maps"]


def test_maps_beside_scans_are_no_scans(recalib, scan, capsys):
    arguments = ("segment", scan.parent, "-o", scan.parent, *EXACT, "--probabilities", "--uncertainty", "--flip")
    recalib(*arguments)
    capsys.readouterr()
    assert recalib(*arguments) == 0 and "labels of 1 scan in" in capsys.readouterr().out


def test_a_label_map_of_a_name_of_its_own(recalib, scan, tmp_path):
    assert recalib("segment", scan, "-o", tmp_path / "mine.nii.gz", *EXACT, "--uncertainty") == 0
    assert (tmp_path / "mine_entropy.nii.gz").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [("float16", "NIfTI has no float16; uint16 takes as much room"), ("unit8", "did you mean 'uint8'")],
)
def test_an_unknown_type(recalib, scan, tmp_path, capsys, value, message):
    with pytest.raises(SystemExit) as stopped:
        recalib("segment", scan, "-o", tmp_path, f"--probabilities={value}")
    assert stopped.value.code == 2 and message in capsys.readouterr().err


@pytest.fixture
def two_structures(bright_preset, tmp_path):
    """A preset of two structures, of which one is never found: it swaps nothing of the network but its labels."""
    folder = shutil.copytree(bright_preset, tmp_path / "two")
    described = zoo.info(folder)
    one = described.weight_sets["bright"]
    labels = (zoo.Label(0, "background"), zoo.Label(7, "left bright"))
    changed = dataclasses.replace(described, weight_sets={"bright": dataclasses.replace(one, labels=labels)})
    (folder / "preset.json").write_text(changed.to_json(), encoding="utf-8")
    return folder


def test_structures_by_name_number_or_pattern(recalib, scan, tmp_path, two_structures):
    for index, wanted in enumerate(("bright", "left bright", "7", "*bri*", "Left-Bright,7")):
        out = tmp_path / f"out{index}"
        arguments = ("--preset", two_structures, *EXACT, "--structures", wanted, "--probabilities")
        assert recalib("segment", scan, "-o", out, *arguments) == 0
        assert nib.load(out / "head_probabilities.nii.gz").shape[3] == 1
        assert json.loads((out / "head_probabilities.json").read_text())["LabelMap"] == ["left bright"]


@pytest.mark.parametrize(
    ("wanted", "message"), [("brigth", "got 'brigth'; did you mean 'bright'"), ("bright,9", "got '9'; known: bright")]
)
def test_an_unknown_structure_is_an_error_before_the_work(recalib, scan, tmp_path, capsys, wanted, message):
    assert recalib("segment", scan, "-o", tmp_path / "out", "--structures", wanted) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_in_python_an_unknown_structure_stops_the_batch(bright_preset, scan, tmp_path):
    segmenter = Segmenter.from_preset(bright_preset)
    with pytest.raises(ValueError, match="did you mean 'bright'"):
        segment_all([scan], tmp_path / "out", segmenter, outputs=Outputs(structures=["brigth"]))


@pytest.fixture
def two_parts(scan):
    """The scan with a further bright voxel, apart from the box of 24."""
    image = nib.load(scan)
    array = image.get_fdata(dtype="float32")
    array[8, 7, 7] = 100
    nib.save(nib.Nifti1Image(array, image.affine, image.header), scan)
    return scan


@pytest.mark.parametrize(
    ("option", "voxels", "words"),
    [
        ([], 25, "bright"),
        (["--largest-component"], 24, ", largest component"),
        (["--largest-component", "bright"], 24, ", largest component"),
    ],
)
def test_the_largest_component(recalib, two_parts, tmp_path, option, voxels, words):
    assert recalib("segment", two_parts, "-o", tmp_path / "out", *EXACT, *option) == 0
    assert np.count_nonzero(np.asarray(nib.load(tmp_path / "out" / "head_labels.nii.gz").dataobj)) == voxels
    found = manifest(tmp_path / "out")
    assert found["structures"][0]["voxels"] == voxels and words in found["made_by"]
    assert ("component" in found["made_by"]) == bool(option)
    with (tmp_path / "out" / "volumes.csv").open() as file:
        assert [row["voxels"] for row in csv.DictReader(file)] == [str(voxels)]


@pytest.mark.parametrize(("first", "then"), [([], ["--largest-component"]), (["--largest-component"], [])])
def test_a_resumed_batch_takes_no_labels_of_the_other_setting(recalib, two_parts, tmp_path, capsys, first, then):
    arguments = ("segment", two_parts, "-o", tmp_path / "out", *EXACT)
    assert recalib(*arguments, *first) == 0
    capsys.readouterr()
    assert recalib(*arguments, *then) == 2
    assert "choose another output folder (-o), or overwrite them (--overwrite)" in capsys.readouterr().err
    assert recalib(*arguments, *first) == 0 and "1 scan" in capsys.readouterr().out
    assert recalib(*arguments, *then, "--overwrite") == 0
    assert ("component" in manifest(tmp_path / "out")["made_by"]) == bool(then)


def test_an_unknown_structure_to_clean_is_an_error_before_the_work(recalib, scan, tmp_path, capsys):
    assert recalib("segment", scan, "-o", tmp_path / "out", "--largest-component", "brigth") == 2
    error = capsys.readouterr().err
    assert "did you mean 'bright'" in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cleaned", "words"),
    [
        (False, ""),
        (True, ", largest component"),
        ([1, 2], ", largest component"),
        (["b"], ", largest component of labels 2"),
    ],
)
def test_what_the_words_of_a_batch_say_of_cleaning(cleaned, words):
    labels = (zoo.Label(0, "background"), zoo.Label(1, "a"), zoo.Label(2, "b"))
    assert Outputs(largest_component=cleaned).in_words(labels) == words


def test_structures_to_clean_are_written_or_around_what_is_written():
    labels = (zoo.Label(0, "background"), zoo.Label(1, "whole", includes=(2,)), zoo.Label(2, "core"), zoo.Label(3, "c"))
    assert Outputs(structures=["core"], largest_component=["whole"]).chosen(labels) == labels[2:3]
    assert Outputs(structures=["core"], largest_component=True).chosen(labels) == labels[2:3]
    with pytest.raises(RecordError, match="expected structures among those that are wanted, whole, got core; name one"):
        Outputs(structures=["whole"], largest_component=["core"]).chosen(labels)


@pytest.mark.slow
def test_workers_make_maps_too(bright_preset, scan, tmp_path):
    pytest.importorskip("distributed")
    segmenter = Segmenter.from_preset(bright_preset)
    report = segment_all(
        [scan], tmp_path, segmenter, outputs=Outputs("uint8", uncertainty=True), workers=Workers(1, threads=1)
    )
    assert not report.failed and (tmp_path / "head_entropy.nii.gz").exists()
    assert (tmp_path / "head_probabilities.nii.gz").exists()


@pytest.fixture
def series(tmp_path):
    pytest.importorskip("highdicom")
    from ct_series import write_series

    return write_series(tmp_path / "ct")


def test_dicom_seg_of_a_series(recalib, series, tmp_path, capsys):
    import pydicom

    out = tmp_path / "out"
    assert recalib("segment", series, "-o", out, *EXACT, "--dicom-seg") == 0
    labels = np.asarray(nib.load(out / "ct_labels.nii.gz").dataobj)
    dataset = pydicom.dcmread(out / "ct_seg.dcm")
    assert [one.SegmentLabel for one in dataset.SegmentSequence] == ["bright"]
    assert dataset.pixel_array.sum() == np.count_nonzero(labels) > 0
    assert manifest(out, "ct")["dicom_seg"] == "ct_seg.dcm"
    (out / "ct_seg.dcm").unlink()
    capsys.readouterr()
    assert recalib("segment", series, "-o", out, *EXACT, "--dicom-seg") == 0
    assert "1 existed already" in capsys.readouterr().out and (out / "ct_seg.dcm").exists()


def test_dicom_seg_of_another_format_is_an_error_before_the_work(recalib, series, scan, tmp_path, capsys):
    assert recalib("segment", series, scan, "-o", tmp_path / "out", "--dicom-seg") == 2
    error = capsys.readouterr().err
    assert "head.nii.gz: expected a DICOM series for a DICOM Segmentation object, got a scan in another" in error
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_series_without_uids_is_an_error_before_the_work(recalib, series, tmp_path, capsys):
    import pydicom

    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.StudyInstanceUID
        dataset.save_as(path)
    assert recalib("segment", series, "-o", tmp_path / "out", *EXACT, "--dicom-seg") == 2
    assert "expected StudyInstanceUID for a DICOM Segmentation" in capsys.readouterr().err
    assert not (tmp_path / "out" / "ct_labels.nii.gz").exists()


def test_without_highdicom_the_command_to_install_it(recalib, series, tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "highdicom"]:
        monkeypatch.delitem(sys.modules, name)
    load = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] == "highdicom":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert recalib("segment", series, "-o", tmp_path / "out", "--dicom-seg") == 2
    assert 'run: pip install "recalib-keras[seg]"' in capsys.readouterr().err

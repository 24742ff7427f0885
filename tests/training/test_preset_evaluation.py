import dataclasses
import shutil

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras import zoo
from recalib_keras.evaluation import Measures
from recalib_keras.training import PresetEvaluation, evaluate_preset
from recalib_keras.zoo.preset import Preset


@pytest.fixture
def folder(tmp_path):
    """A folder of two scans and label maps, in which bright voxels have the number 3."""
    for part in ("images", "labels"):
        (tmp_path / "other" / part).mkdir(parents=True)
    for index in range(2):
        image = nib.load(write_scan(tmp_path / "other" / "images" / f"scan_{index}.nii.gz", box=(2 + index, 3, 4)))
        truth = np.where(image.get_fdata() > 50, 3, 0).astype("uint8")
        nib.save(nib.Nifti1Image(truth, image.affine), tmp_path / "other" / "labels" / f"scan_{index}.nii.gz")
    (tmp_path / "other" / "labels.json").write_text('{"3": "Bright", "7": "dark"}')
    return tmp_path / "other"


def test_another_data_set(bright_preset, folder):
    report = evaluate_preset(bright_preset, dataset="nifti_folder", folder=folder)
    assert [(row.scan, row.structure, row.label) for row in report.rows] == [
        ("scan_0", "bright", 7),
        ("scan_1", "bright", 7),
    ]
    assert [row.measures for row in report.rows] == [Measures(1.0, 1.0, 0.0, 0.0, v, v) for v in (48.0, 72.0)]


def test_nothing_is_segmented_before_it_is_needed(bright_preset, folder):
    prepared = PresetEvaluation.prepare(bright_preset, dataset="nifti_folder", folder=folder)
    (folder / "images" / "scan_0.nii.gz").write_bytes(b"damaged")
    failures = []
    report = prepared.evaluate(lambda case, error: failures.append((case.name, str(error))))
    assert report.scans == ["scan_1"]
    assert [name for name, _ in failures] == ["scan_0"] and "scan_0.nii.gz" in failures[0][1]


def test_structures_that_the_data_set_lacks(bright_preset, folder, monkeypatch):
    prepared = PresetEvaluation.prepare(bright_preset, dataset="nifti_folder", folder=folder)
    assert [label.name for label in prepared.structures] == ["bright"] and prepared.missing == []
    (folder / "labels.json").write_text('{"3": "liver"}')
    with pytest.raises(ValueError, match="bright"):
        PresetEvaluation.prepare(bright_preset, dataset="nifti_folder", folder=folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "nifti_folder"}, "expected the folder of 'nifti_folder', got None"),
        ({"part": "training"}, "training"),
        ({"dataset": "nifti_folder", "part": "test"}, "expected an official test part in .*other, got none"),
        ({"weights": "dark"}, "dark"),
    ],
)
def test_invalid_arguments(bright_preset, folder, arguments, message):
    if "part" in arguments and "dataset" in arguments:
        arguments = arguments | {"folder": folder}
    with pytest.raises(ValueError, match=message):
        evaluate_preset(bright_preset, **arguments)


def test_gates_of_an_ensemble_or_a_plain_network(bright_preset, folder, tmp_path):
    prepared = PresetEvaluation.prepare(bright_preset, dataset="nifti_folder", folder=folder)
    with pytest.raises(ValueError, match="expected a network with recalibration blocks, got 'unet' without any"):
        prepared.check_gates()
    preset = shutil.copytree(bright_preset, tmp_path / "bright")
    described = zoo.weight_set(preset)
    shutil.copyfile(preset / described.file, preset / "again.safetensors")
    again = dataclasses.replace(described, file="again.safetensors")
    both = Preset("bright", {"bright": described, "again": again}, {"both": {"bright": 1.0, "again": 2.0}})
    (preset / "preset.json").write_text(both.to_json(), encoding="utf-8")
    ensemble = PresetEvaluation.prepare(preset, "both", dataset="nifti_folder", folder=folder)
    with pytest.raises(ValueError, match="expected a single network to show gates of, got several: bright, again"):
        ensemble.check_gates()

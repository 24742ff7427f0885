import shutil

import numpy as np
import pytest
from training.synthetic import FOLDER

from recalib_keras.inference import Segmenter, reference_range_of
from recalib_keras.training import find_split, held_out, publish, rescore, validate


def test_a_preset_knows_its_validation_scans(run, recipe, recipe_path, data, tmp_path):
    folder = publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path)
    assert held_out(folder, "balls", data) == find_split(recipe, data).validation
    score = rescore(folder, "default", data)
    assert score["dice"] == run.weight_set.score["dice"] and score["scans"] == "2 held-out validation scans"


def test_the_official_test_part_is_in_no_split(run, recipe, recipe_path, data, tmp_path):
    folder = publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path)
    with pytest.raises(ValueError, match=r"an official test part in .*balls, got none; name its scans in scans\.csv"):
        held_out(folder, "balls", data, "test")
    with pytest.raises(ValueError, match="expected `part` to be one of 'validation', 'test', got 'train'"):
        held_out(folder, "balls", data, "train")
    shutil.copytree(data / FOLDER, tmp_path / FOLDER)
    (tmp_path / FOLDER / "scans.csv").write_text("name,patient,part\nball_1,ball_1,test\nball_2,ball_2,test\n")
    assert [scan.name for scan in held_out(folder, "balls", tmp_path, "test")] == ["ball_1", "ball_2"]
    assert [scan.name for scan in held_out(folder, "balls", tmp_path)] == ["ball_0", "ball_3"]


def test_validation_scans_stay_the_same_when_the_data_changes(run, recipe, recipe_path, data, tmp_path):
    folder = publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path)
    shutil.copytree(data / FOLDER, tmp_path / FOLDER)
    for part in ("imagesTr", "labelsTr"):
        files = tmp_path / FOLDER / part
        shutil.copy(files / "ball_1.nii.gz", files / "a_new_one.nii.gz")
    assert [scan.name for scan in find_split(recipe, tmp_path).validation] == ["a_new_one", "ball_2", "ball_5"]
    assert [scan.name for scan in held_out(folder, "balls", tmp_path)] == ["ball_0", "ball_3"]
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / FOLDER / part / "ball_0.nii.gz").unlink()
    with pytest.warns(UserWarning, match="balls: 1 of 2 held-out patients are missing, so .* other 1 alone: ball_0"):
        assert [scan.name for scan in held_out(folder, "balls", tmp_path)] == ["ball_3"]
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / FOLDER / part / "ball_3.nii.gz").unlink()
    with pytest.raises(ValueError, match="expected the 2 held-out patients ball_0, ball_3, got none of them among 5"):
        held_out(folder, "balls", tmp_path)


def test_training_stores_the_reference_range(run, recipe, recipe_path, data, tmp_path):
    folder = publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path)
    segmenter, scans, seen = Segmenter.from_preset(folder), held_out(folder, "balls", data), []
    assert validate(segmenter, scans, seen=seen) == validate(segmenter, scans)
    assert segmenter.reference_range == run.weight_set.typical == reference_range_of(seen)
    assert segmenter.reference_range.found == {"shell": 1.0, "core": 1.0}


def test_statistics_are_those_of_the_predictions(run, recipe, recipe_path, data, tmp_path):
    folder = publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path)
    segmenter, scans, seen = Segmenter.from_preset(folder), held_out(folder, "balls", data), []
    validate(segmenter, scans, seen=seen)
    for scan, noted in zip(scans, seen, strict=True):
        found = segmenter(scan.read()[0])
        assert [structure.voxels for structure in noted.volumes] == [np.sum(found.labels == n) for n in (17, 53)]
        assert noted.entropy == found.uncertainty.foreground > 0

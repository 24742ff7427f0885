"""Folds: split by patient, trained one by one, averaged, and scored over all patients."""

import dataclasses
import re
import shutil
import sys

import numpy as np
import pytest
from training.synthetic import FOLDER, changed

from recalib_keras import zoo
from recalib_keras.cli.main import main
from recalib_keras.core.errors import RecordError
from recalib_keras.inference import Segmenter
from recalib_keras.training import evaluate_preset, find_split, held_out, publish, rescore, train, validate
from recalib_keras.training.cross_validation import fold_of, score_folds
from recalib_keras.training.publish import with_score_of
from recalib_keras.training.recipe_tables import Membership
from recalib_keras.training.run.fingerprint import difference, fingerprint
from recalib_keras.training.validation import unseen_parts
from recalib_keras.zoo.pages.card import card

NAMES = [f"ball_{index}" for index in range(6)]


def names(scans):
    return [scan.name for scan in scans]


def test_folds_part_the_patients(recipe, data):
    splits = [find_split(fold_of(recipe, fold, 3), data) for fold in (1, 2, 3)]
    assert sorted(name for split in splits for name in names(split.validation)) == NAMES
    assert all(sorted(names(split.training) + names(split.validation)) == NAMES for split in splits)
    assert [len(split.validation) for split in splits] == [2, 2, 2]


def test_all_scans_of_a_patient_are_in_one_fold_and_test_scans_in_none(recipe, data, tmp_path):
    shutil.copytree(data / FOLDER, tmp_path / FOLDER)
    table = ["name,patient,part", "ball_0,p,train", "ball_3,p,train", "ball_5,p,train", "ball_1,q,test"]
    (tmp_path / FOLDER / "scans.csv").write_text("\n".join(table))
    splits = [find_split(fold_of(recipe, fold, 2), tmp_path) for fold in (1, 2)]
    assert sorted(names(splits[0].validation) + names(splits[1].validation)) == [n for n in NAMES if n != "ball_1"]
    assert any(set(names(split.validation)) >= {"ball_0", "ball_3", "ball_5"} for split in splits)


def test_a_fold_must_be_chosen(recipe, data):
    with pytest.raises(
        ValueError, match="expected one of the 3 folds, got none; choose it by --fold K/3, or train all"
    ):
        find_split(changed(recipe, data={"folds": 3}), data)


def test_the_recipe_of_a_fold(recipe):
    second = fold_of(changed(recipe, data={"folds": 3}), 2)
    assert (second.weights, second.ensemble.name, second.data.folds, second.data.fold) == ("balls_fold2", "balls", 3, 2)
    of_view = dataclasses.replace(recipe, ensemble=Membership("views", 0.4))
    assert fold_of(of_view, 1, 3).ensemble == Membership("views", 0.4)


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        ({}, (1,), "expected the number of folds, got none; give --fold K/N, or set `folds` in"),
        ({"folds": 3}, (1, 4), "expected 3 folds, as the recipe has it, got 4"),
        ({"folds": 3}, (4,), "expected `fold` from 1 to 3, the folds, got 4"),
        ({"folds": 3, "fold": 1}, (1,), "expected a recipe of no fold, got one of fold 1"),
        ({"held_out": ("a",)}, (1, 3), "expected `folds` or `held_out`, got both"),
    ],
)
def test_folds_that_do_not_fit(data, arguments, message, recipe):
    with pytest.raises(RecordError, match=re.escape(message)):
        fold_of(changed(recipe, data=data), *arguments)


def test_a_fold_without_folds_and_a_score_from_elsewhere_with_a_split(recipe):
    with pytest.raises(RecordError, match="expected `folds` with `fold`, got fold = 2 alone"):
        changed(recipe, data={"fold": 2})
    with pytest.raises(RecordError, match="expected `score_from` for weights that learned from all scans"):
        changed(recipe, data={"score_from": "0.9 elsewhere"})


@pytest.fixture(scope="module")
def folds(recipe, data, tmp_path_factory):
    """The preset of two short folds, and their weight sets."""
    root, found = tmp_path_factory.mktemp("folds"), []
    short = changed(recipe, schedule={"epochs": 2})
    for fold in (1, 2):
        of_fold = fold_of(short, fold, 2)
        found.append(train(of_fold, root / f"fold{fold}", data))
        preset = publish(of_fold, "none.toml", found[-1], root / f"fold{fold}", root)
    return preset, found, short


def test_the_folds_are_an_ensemble_with_a_score_over_all_patients(folds, data):
    preset, found, recipe = folds
    assert zoo.info(preset).shares() == {"balls_fold1": 1.0, "balls_fold2": 1.0}
    score = score_folds(preset, recipe, data)
    assert score["scans"] == "6 scans, each held out by one of 2 folds"
    # Both folds have three scans, all with both structures: the mean of all is the mean of both means.
    assert score["dice"] == pytest.approx(np.mean([one.score["dice"] for one in found]), abs=2e-4)
    described = zoo.info(preset)
    assert described.scores == {"balls": score} and f"{score['dice']:.3f}" in repr(described)
    text = card(described)
    assert text == (preset / "README.md").read_text()
    assert f"Mean Dice on 6 scans, each held out by one of 2 folds: **{score['dice']:.4f}**" in text


def test_evaluation_pools_the_folds(folds, data):
    preset, found, _ = folds
    report = evaluate_preset(preset, "balls", data_root=data)
    assert sorted(report.scans) == NAMES
    assert np.nanmean(report.scan_means("dice")) == pytest.approx(rescore(preset, "balls", data)["dice"], abs=1e-4)
    for name, described in zip(("balls_fold1", "balls_fold2"), found):
        scans = held_out(preset, name, data)
        assert validate(Segmenter.from_preset(preset, name), scans)["dice"] == described.score["dice"]


def test_no_scan_is_held_out_by_all_folds(folds, data):
    preset, _, _ = folds
    assert unseen_parts(preset, "balls") == [{"balls_fold1": 1.0}, {"balls_fold2": 1.0}]
    assert unseen_parts(preset, "balls_fold1") == ["balls_fold1"]
    with pytest.raises(ValueError, match=r"expected weights that held out the same scans, got .* whose folds each"):
        held_out(preset, "balls", data)


@pytest.mark.slow
def test_weights_may_learn_from_all_scans(recipe, recipe_path, run, data, tmp_path):
    everything = changed(
        recipe,
        data={"validate_every": 0, "score_from": "0.87 on 2 scans, by the same recipe with every third held out"},
        schedule={"epochs": 2, "patience": 1, "average": 0.5},
    )
    lines = []
    described = train(everything, tmp_path / "run", data, on_epoch=lines.append)
    assert len(lines) == 2 and not any("dice" in line or "validation_loss" in line for line in lines)
    assert described.score["scans"] == "no scan: the weights learned from all 6" and "dice" not in described.score
    assert described.held_out == () and described.typical is None
    preset = publish(everything, recipe_path, described, tmp_path / "run", tmp_path)
    text = (preset / "README.md").read_text()
    assert "none left to measure them on. Score: 0.87 on 2 scans, by the same recipe with every third held out." in text
    assert zoo.load(preset).output_shape[-1] == 3 and "balls" in repr(zoo.info(preset))
    with pytest.raises(
        ValueError, match="expected a training that held out scans, got one that learned from all of th"
    ):
        held_out(preset, "balls", data)
    again = train(everything, tmp_path / "run", data, resume=True)
    assert again.sha256 == described.sha256
    # The score of the same training without some scans, and what its segmentations were like, become theirs.
    joined = with_score_of(described, run.weight_set)
    assert joined.score["dice"] == run.weight_set.score["dice"] and joined.typical == run.weight_set.typical is not None
    assert (joined.held_out, joined.score["epochs"], joined.sha256) == ((), 2, described.sha256)
    text = (publish(everything, recipe_path, joined, tmp_path / "run", tmp_path) / "README.md").read_text()
    assert (
        "Mean Dice on 2 held-out validation scans, by the same training without them (these weights learned from all "
        f"6): **{joined.score['dice']:.4f}**"
    ) in " ".join(text.split())
    for weights, twin, problem in [
        (
            run.weight_set,
            run.weight_set,
            "expected weights that learned from all scans, got some with a score of their",
        ),
        (described, described, "expected a twin that held scans out, got 'balls with a core' without a score"),
        (described, dataclasses.replace(run.weight_set, labels=described.labels[:2]), "which differs in labels"),
    ]:
        with pytest.raises(ValueError, match=problem):
            with_score_of(weights, twin)


def test_only_a_training_on_all_scans_takes_the_score_of_another(recipe_path, data, bright_preset, capsys):
    command = ["train", str(recipe_path), "--data", str(data), "--score-from", str(bright_preset)]
    for options, problem in [
        ([], "expected a recipe that holds out no scan for --score-from, got one that does"),
        (["--folds", "2"], "expected one recipe without folds"),
    ]:
        assert main([*command, *options]) == 2 and problem in capsys.readouterr().err


def test_where_a_score_comes_from_only_describes_the_weights(recipe, data):
    everything = [changed(recipe, data={"validate_every": 0, "score_from": text}) for text in (None, "elsewhere")]
    assert difference(*(fingerprint(one, find_split(one, data)) for one in everything)) is None


def test_a_training_waits_until_another_has_published(folds, data, monkeypatch):
    """A lock that a killed training has left is removed after a while."""
    preset, _, recipe = folds
    lock = preset.parent / f".{preset.name}.lock"
    lock.touch()
    monkeypatch.setattr(sys.modules["recalib_keras.training.publish"], "LONGEST_PUBLICATION", 0.2)
    score = score_folds(preset, recipe, data)
    assert zoo.info(preset).scores == {"balls": score} and not lock.exists()

import dataclasses
import json

import numpy as np
import pytest

from recalib_keras import zoo
from recalib_keras.training import Recipe, held_out, publish, rescore
from recalib_keras.training.recipe_tables import Membership
from recalib_keras.zoo import Preset
from recalib_keras.zoo.pages.card import card


@pytest.fixture
def published(run, recipe, recipe_path, tmp_path):
    return publish(recipe, recipe_path, run.weight_set, run.folder, tmp_path / "presets")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_makes_a_preset_of_a_run(published, run, recipe_path):
    assert published.name == "tiny3d"
    assert names(published) == ["README.md", "balls.jsonl", "balls.safetensors", "balls.toml", "preset.json"]
    preset = Preset.read(published)
    assert preset == Preset("tiny3d", {"balls": run.weight_set}) and preset.folder == published
    assert (published / "balls.toml").read_text() == recipe_path.read_text()
    assert len((published / "balls.jsonl").read_text().splitlines()) == 5


def test_what_is_published_loads_and_scores_as_said(published, run, data):
    model = zoo.load(published)
    best = zoo.weights.read(run.folder / "best.safetensors")
    assert all(np.array_equal(best[variable.path], variable.numpy()) for variable in model.weights)
    score = rescore(published, "default", data)
    assert score == {key: run.weight_set.score[key] for key in score} and score["dice"] > 0.8


def test_a_second_weight_set_leaves_the_first(published, run, recipe, recipe_path):
    before = {name: (published / name).read_bytes() for name in names(published)}
    again = dataclasses.replace(recipe, weights="more")
    weight_set = dataclasses.replace(run.weight_set, file="more.safetensors", title="more balls")
    assert publish(again, recipe_path, weight_set, run.folder, published.parent) == published
    preset = Preset.read(published)
    assert list(preset.weight_sets) == ["balls", "more"]
    assert preset.weight_sets == {"balls": run.weight_set, "more": weight_set}
    for name in ("balls.safetensors", "balls.toml", "balls.jsonl"):
        assert (published / name).read_bytes() == before[name]
    assert {"more.safetensors", "more.toml", "more.jsonl"} <= set(names(published))
    text = (published / "README.md").read_text()
    assert "## `balls` (default)" in text and "## `more`\n" in text and "more balls" in text


def test_publishing_again_replaces_the_weight_set(published, run, recipe, recipe_path):
    better = dataclasses.replace(run.weight_set, title="better balls")
    publish(recipe, recipe_path, better, run.folder, published.parent)
    assert Preset.read(published).weight_sets == {"balls": better}


def test_the_recipe_may_lie_in_the_preset_already(published, run, recipe):
    assert publish(recipe, published / "balls.toml", run.weight_set, run.folder, published.parent) == published
    assert "[schedule]" in (published / "balls.toml").read_text()


def test_a_recipe_that_was_lost_or_changed_during_training_is_kept_as_it_was(run, recipe, tmp_path):
    for text in (None, "[half"):
        path = tmp_path / "lost.toml"
        if text:
            path.write_text(text)
        folder = publish(recipe, path, run.weight_set, run.folder, tmp_path / "presets")
        assert Recipe.read(folder / "balls.toml") == recipe


def test_a_failed_publication_leaves_the_old_weights(published, run, recipe, recipe_path):
    """Weights beside the description of others could never be loaded again."""
    (published / "preset.json").write_text("{")
    (published / "balls.safetensors").write_bytes(b"older")
    before = {name: (published / name).read_bytes() for name in names(published)}
    with pytest.raises(ValueError, match="expected a preset in valid JSON"):
        publish(recipe, recipe_path, run.weight_set, run.folder, published.parent)
    assert {name: (published / name).read_bytes() for name in names(published)} == before


def test_the_card_states_what_the_description_does(published, run):
    text = (published / "README.md").read_text()
    assert text == card(Preset.read(published))
    score = json.loads((published / "preset.json").read_text())["weight_sets"]["balls"]["score"]
    assert f"**{score['dice']:.4f}** ± {score['dice_sd']:.4f}" in text and score["scans"] in text
    for part in [
        "# tiny3d",
        f"{run.weight_set.parameters:,} parameters",
        run.weight_set.sha256,
        "0 background, 17 shell, 53 core",
        "12 × 12 × 12 voxels, the scan's spacing, orientation RAS",
        "scans made by the tests (CC0)",
        f"| shell | {score['dice_by_structure']['shell']:.4f} |",
        "5 epochs",
    ]:
        assert part in text


def test_the_recipe_says_which_weights_are_the_default(published, run, recipe, recipe_path):
    other = dataclasses.replace(run.weight_set, file="more.safetensors")
    again = dataclasses.replace(recipe, weights="more", default=True)
    publish(again, recipe_path, other, run.folder, published.parent)
    assert list(Preset.read(published).weight_sets) == ["more", "balls"]
    assert zoo.weight_set(published) == other
    publish(recipe, recipe_path, run.weight_set, run.folder, published.parent)
    assert list(Preset.read(published).weight_sets) == ["more", "balls"]


def test_members_of_an_ensemble_are_published_one_by_one(run, recipe, recipe_path, data, tmp_path):
    for name, share in (("axial", 0.4), ("coronal", 0.6)):
        member = dataclasses.replace(recipe, weights=name, ensemble=Membership("balls", share))
        weight_set = dataclasses.replace(run.weight_set, file=f"{name}.safetensors")
        folder = publish(member, recipe_path, weight_set, run.folder, tmp_path)
    assert Preset.read(folder).ensembles == {"balls": {"axial": 0.4, "coronal": 0.6}}
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "## `balls` (default)\n\nAverages the probabilities of `axial` (40%), `coronal` (60%)" in text
    assert "--weights balls" in text and text.count("(default)") == 1
    assert Recipe.read(folder / "coronal.toml").ensemble == Membership("balls", 0.6)
    assert held_out(folder, "balls", data) == held_out(folder, "axial", data) != []
    assert rescore(folder, "balls", data) == rescore(folder, "default", data) == rescore(folder, "axial", data)
    merging = dataclasses.replace(recipe.data, merge={"53": 17})  # as networks that cannot tell all structures apart
    merged = dataclasses.replace(member, weights="coronal", data=merging, labels=recipe.labels[:2])
    publish(merged, recipe_path, dataclasses.replace(weight_set, labels=recipe.labels[:2]), run.folder, tmp_path)
    reordered = dataclasses.replace(Preset.read(folder), ensembles={"balls": {"coronal": 0.6, "axial": 0.4}})
    (folder / "preset.json").write_text(reordered.to_json())
    assert held_out(folder, "balls", data) == held_out(folder, "axial", data) != held_out(folder, "coronal", data)
    other = dataclasses.replace(member, weights="axial")
    of_others = dataclasses.replace(weight_set, file="axial.safetensors", held_out=("ball_1",))
    publish(other, recipe_path, of_others, run.folder, tmp_path)
    with pytest.raises(ValueError, match="an ensemble whose members all have the same validation scans"):
        held_out(folder, "balls", data)


def test_the_card_warns_of_synthetic_training(run):
    warning = "It has never seen a\nreal scan"
    synthetic = dataclasses.replace(run.weight_set, data={**run.weight_set.data, "synthetic": True})
    assert warning not in card(Preset("tiny3d", {"balls": run.weight_set}))
    assert warning in card(Preset("tiny3d", {"balls": synthetic}))


def test_the_card_states_what_the_weights_started_from(run, recipe):
    continued = dataclasses.replace(run.weight_set, data=dataclasses.replace(recipe, init="unet3d").origin)
    assert continued.data == {**run.weight_set.data, "starts_from": "unet3d"}
    assert "from the weights of" not in card(Preset("tiny3d", {"balls": run.weight_set}))
    assert "min, starting from the weights of `unet3d` |" in card(Preset("tiny3d", {"balls": continued}))


def test_the_card_states_the_gpu(run):
    on_gpu = dataclasses.replace(run.weight_set, score={**run.weight_set.score, "device": "NVIDIA H200"})
    assert f"{on_gpu.score['training_minutes']} min |" in card(Preset("tiny3d", {"balls": run.weight_set}))
    assert f"{on_gpu.score['training_minutes']} min on NVIDIA H200 |" in card(Preset("tiny3d", {"balls": on_gpu}))


def test_the_card_states_the_slices_beside(run):
    expects = dataclasses.replace(run.weight_set.input, window=(12, 12, 1), context=3)
    text = card(Preset("tiny3d", {"balls": dataclasses.replace(run.weight_set, input=expects)}))
    assert "| 12 × 12 × 1 voxels, with 3 more slices on each side, " in text


def test_the_card_states_the_spacing(run):
    expects = dataclasses.replace(run.weight_set.input, spacing=(1.0, 0.75, 2.0))
    text = card(Preset("tiny3d", {"balls": dataclasses.replace(run.weight_set, input=expects)}))
    assert "1 × 0.75 × 2 mm" in text

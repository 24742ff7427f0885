"""What every preset in the package must hold to."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recalib_keras import zoo
from recalib_keras.core.intensities import ct_range
from recalib_keras.core.tables import read_csv
from recalib_keras.evaluation import Report, summarize
from recalib_keras.evaluation.report import MEAN
from recalib_keras.inference import Segmenter
from recalib_keras.training import Recipe, held_out
from recalib_keras.volumes import METHODS, Volume
from recalib_keras.zoo.pages.card import card

RECIPES = Path(__file__).parents[2] / "zoo" / "recipes"
GRID = sorted((RECIPES / "hippocampus").glob("*.toml"))
SHIPPED = [(name, weights) for name in zoo.names() for weights in zoo.info(name).weight_sets]
BRAIN = [(name, weights) for name, weights in SHIPPED if weights.startswith("whole_brain")]
# The first of each rank that see small scans; where a test takes long, the others are left to `make test-slow`.
FIRST = {"2d" in name: (name, weights) for name, weights in reversed(SHIPPED) if weights == "hippocampus"}.values()


@pytest.mark.parametrize("path", GRID, ids=lambda path: path.stem)
def test_the_grid_is_trained_by_its_recipes(path):
    assert Recipe.read(zoo.info(path.stem).folder / "hippocampus.toml") == Recipe.read(path)


@pytest.mark.parametrize("path", GRID, ids=lambda path: path.stem)
def test_presets_of_the_grid_reach_their_bar(path):
    assert zoo.weight_set(path.stem, "hippocampus").score["dice"] >= (0.87 if "2d" in path.stem else 0.88)


@pytest.mark.parametrize(("name", "weights"), BRAIN)
def test_the_whole_brain_is_trained_by_its_recipes(name, weights):
    view = weights.removeprefix("whole_brain")
    recipe = Recipe.read(RECIPES / "whole_brain" / f"{name}{view}.toml")
    assert Recipe.read(zoo.info(name).folder / f"{weights}.toml") == recipe


@pytest.mark.parametrize("name", dict(BRAIN))
def test_presets_of_the_whole_brain_reach_their_bar(name):
    """Alone, or all views together."""
    dice = mean_dice(zoo.info(name).folder / "whole_brain.csv")
    del dice[MEAN], dice["cerebrospinal fluid"]  # around the brain, and none of its 31 structures
    assert len(dice) == 31 and np.mean(list(dice.values())) >= 0.85


def mean_dice(report):
    """Returns the mean Dice of each structure, and of all, in a report."""
    return {one.structure: one.mean for one in summarize(Report.read(report)) if one.measure == "dice"}


@pytest.mark.parametrize("name", zoo.names())
def test_a_folder_holds_its_weight_sets_and_nothing_else(name):
    preset = zoo.info(name)
    assert preset.name == name
    files = {f"{weights}{ending}" for weights in preset.weight_sets for ending in (".safetensors", ".toml", ".jsonl")}
    reports = {f"{weights}.csv" for weights in (*preset.weight_sets, *preset.ensembles)}
    assert {path.name for path in preset.folder.iterdir()} - reports == {"preset.json", "README.md"} | files


@pytest.mark.parametrize("name", zoo.names())
def test_its_card_is_that_of_its_description(name):
    preset = zoo.info(name)
    assert (preset.folder / "README.md").read_text(encoding="utf-8") == card(preset)


@pytest.mark.parametrize(("name", "weights"), SHIPPED)
def test_it_loads_with_the_weights_described(name, weights):
    described = zoo.weight_set(name, weights)
    content = (zoo.info(name).folder / described.file).read_bytes()
    assert zoo.weights.sha256(content) == described.sha256
    model = zoo.load(name, weights)
    assert model.count_params() == described.parameters
    assert model.output_shape == (None, *described.input.shape[:-1], len(described.labels))
    assert all(np.isfinite(variable.numpy()).all() for variable in model.weights)


@pytest.mark.parametrize(("name", "weights"), SHIPPED)
def test_its_description_is_one_of_a_segmentation(name, weights):
    described = zoo.weight_set(name, weights)
    ids = [label.id for label in described.labels]
    assert len(set(ids)) == len(ids) and described.labels[0].name == "background"
    colors = [label.color for label in described.labels if label.mirror is None or label.id < label.mirror]
    assert len(set(colors)) == len(colors)  # both sides of a structure may share theirs
    assert all(0 <= value <= 255 for label in described.labels for value in label.color)
    assert described.input.normalization in METHODS or ct_range(described.input.normalization)
    assert described.data["source"] and described.data["licence"]
    score = described.score
    assert 0.5 < score["dice"] < 1
    assert list(score["dice_by_structure"]) == [label.name for label in described.labels[1:]]
    if has_all_structures(zoo.info(name).folder / f"{weights}.csv"):  # else the two means are of different scans
        assert score["dice"] == pytest.approx(np.mean(list(score["dice_by_structure"].values())), abs=0.01)


def has_all_structures(report):
    """Returns whether each structure was looked for in as many scans, as far as a report says."""
    rows = read_csv(report).rows if report.exists() else []
    return len(set(Counter(row["structure"] for row in rows).values())) <= 1


def test_only_the_head_and_neck_has_partial_labels():
    partial = {w for name, w in SHIPPED if not has_all_structures(zoo.info(name).folder / f"{w}.csv")}
    assert partial == {"head_and_neck"}


@pytest.mark.parametrize(("name", "weights"), SHIPPED)
def test_its_report_is_of_these_weights(name, weights):
    preset, described = zoo.info(name), zoo.weight_set(name, weights)
    path = preset.folder / f"{weights}.csv"
    if not path.exists():
        pytest.skip("no report yet")
    found = mean_dice(path)
    assert found.pop(MEAN) == pytest.approx(described.score["dice"], abs=1e-4)
    assert found == pytest.approx(described.score["dice_by_structure"], abs=1e-4)


@pytest.mark.parametrize(("name", "weights"), SHIPPED)
def test_its_recipe_agrees_with_it(name, weights):
    preset, described = zoo.info(name), zoo.weight_set(name, weights)
    recipe = Recipe.read(preset.folder / f"{weights}.toml")
    assert (recipe.preset, recipe.weights, recipe.title) == (name, weights, described.title)
    assert (recipe.labels, recipe.input, recipe.network) == (described.labels, described.input, described.network)
    assert described.data == recipe.origin
    assert recipe.schedule.epochs == described.score["epochs"]


@pytest.mark.parametrize(("name", "weights"), SHIPPED)
def test_its_log_tells_every_epoch(name, weights):
    preset, described = zoo.info(name), zoo.weight_set(name, weights)
    score = described.score
    lines = [json.loads(line) for line in (preset.folder / f"{weights}.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, score["epochs"] + 1))
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"] or "starts_from" in described.data  # with a loss that was low already
    # The score is measured again in float32, so it may differ from the log's by little. Weights that learned from all
    # scans have that of another training.
    assert not described.held_out or max(line.get("dice", 0) for line in lines) == pytest.approx(
        score["dice"], abs=0.01
    )


@pytest.mark.parametrize(("name", "weights"), SHIPPED)
def test_its_card_states_the_score_and_the_licence(name, weights):
    preset, described = zoo.info(name), zoo.weight_set(name, weights)
    text = (preset.folder / "README.md").read_text(encoding="utf-8")
    assert f"**{described.score['dice']:.4f}** ± {described.score['dice_sd']:.4f}" in text
    for part in (
        f"`{weights}`",
        described.title,
        described.sha256,
        described.data["licence"],
        described.score["scans"],
    ):
        assert part in text


@pytest.mark.parametrize(
    ("name", "weights"), [pytest.param(*one, marks=[] if one in FIRST else pytest.mark.slow) for one in SHIPPED]
)
def test_unfamiliar_scans_get_a_warning_and_familiar_ones_none(name, weights, data_root):
    segmenter = Segmenter.from_preset(name, weights)
    scan = held_out(name, weights, data_root)[0].read()[0]
    low, high = scan.array.min(), scan.array.max()
    noise = np.random.default_rng(0).normal(0, 2 * scan.array.std(), scan.array.shape)
    scans = {
        "as it is": scan.array,
        "its negative": low + high - scan.array,
        "drowned in noise": scan.array + noise,
        "upside down": scan.array[:, :, ::-1],
    }
    warnings = {}
    for what, array in scans.items():
        warnings[what] = segmenter(Volume(np.ascontiguousarray(array, "float32"), scan.grid)).warnings
    assert [what for what, said in warnings.items() if not said] == ["as it is"]

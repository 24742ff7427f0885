"""What every recipe in the package must hold to."""

import dataclasses
from pathlib import Path

import pytest

from recalib_keras import zoo
from recalib_keras.training import Recipe

ROOT = Path(__file__).parents[2]
RECIPES = Path(zoo.__file__).parent / "recipes"
OF_PRESETS = sorted(RECIPES.glob("*/*.toml"))
ARCHITECTURES = {"unet": "UNet", "sdnet": "SDNet", "densenet": "DenseNet"}
BLOCKS = {3: ("none", "cse", "sse", "scse", "pe"), 2: ("none", "cse", "sse", "scse")}


def test_the_grid_is_whole():
    names = {
        f"{architecture}{rank}d" + f"_{block}" * (block != "none")
        for architecture in ARCHITECTURES
        for rank, blocks in BLOCKS.items()
        for block in blocks
    }
    assert {path.stem for path in RECIPES.glob("hippocampus/*.toml")} == names and len(names) == 27


@pytest.mark.parametrize("path", OF_PRESETS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recipe_is_what_its_name_says(path):
    recipe = Recipe.read(path)
    architecture, *block = recipe.preset.split("_")
    view = path.stem.removeprefix(recipe.preset)
    task = path.parent.name.removesuffix("_drafts").removesuffix("_all")  # _all: of weights that learned from all scans
    assert (path.stem, recipe.weights) == (recipe.preset + view, task + view)
    assert bool(view) == (recipe.ensemble is not None)
    assert recipe.network.architecture == ARCHITECTURES[architecture[:-2]]
    assert len(recipe.input.shape) == int(architecture[-2]) + 1
    assert recipe.network.arguments.get("recalibration", "none") == (block[0] if block else "none")


@pytest.mark.parametrize("path", OF_PRESETS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_it_starts_from_is_there_and_of_the_same_kind(path, monkeypatch):
    monkeypatch.chdir(ROOT)  # which folders of presets are relative to
    recipe = Recipe.read(path)
    if recipe.init is None:
        return
    start = zoo.weight_set(recipe.init, recipe.fine_tuning.weights)
    content = (zoo.info(recipe.init).folder / start.file).read_bytes()
    assert zoo.weights.sha256(content) == start.sha256
    assert start.network in (recipe.network, without_blocks(recipe.network))  # the classifier may be made anew
    seen = ("orientation", "normalization")
    assert [getattr(start.input, name) for name in seen] == [getattr(recipe.input, name) for name in seen]


def without_blocks(network):
    """Returns the network that one with blocks continues from, if they start as the identity."""
    arguments = {key: value for key, value in network.arguments.items() if not key.startswith("recalibration")}
    starts_alike = network.arguments.get("recalibration_args", {}).get("use_identity_start", False)
    return dataclasses.replace(network, arguments=arguments) if starts_alike else network


@pytest.mark.parametrize("rank", BLOCKS)
def test_presets_of_the_grid_differ_in_nothing_but_their_network(rank):
    shared = [
        vars(Recipe.read(path)) | {"preset": None, "network": None}
        for path in RECIPES.glob(f"hippocampus/*{rank}d*.toml")
    ]
    assert all(recipe == shared[0] for recipe in shared)


def is_new(path):
    """Returns whether a recipe's network is that of no preset, which are all loaded by their own tests."""
    recipe = Recipe.read(path)
    there = zoo.info(recipe.preset).weight_sets.values() if recipe.preset in zoo.names() else ()
    return all((one.network, one.input.shape) != (recipe.network, recipe.input.shape) for one in there)


@pytest.mark.parametrize("path", list(filter(is_new, OF_PRESETS)), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_its_network_builds(path):
    recipe = Recipe.read(path)
    model = recipe.network.build(recipe.input.shape, len(recipe.labels))
    assert model.output_shape == (None, *recipe.input.shape[:-1], len(recipe.labels))

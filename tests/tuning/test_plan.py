import json
from pathlib import Path

import pytest

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping
from recalib_keras.training import Recipe
from recalib_keras.training.recipe import read_toml
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.trials.trial import Trial

FOUND = sorted((Path(zoo.__file__).parent / "recipes").rglob("*.toml"))
RECIPES = [path for path in FOUND if {"preset", "network"} <= read_toml(path).keys()]  # the others are only extended


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_varies_each_recipe_of_the_zoo(path, make_study):
    plan = Plan(make_study(recipe=str(path)))
    assert plan.space.problem({}) is None
    recipe = from_mapping(Recipe, plan.recipe(Trial("0", {"learning_rate": 0.02}, epochs=2)), "recipe")
    assert recipe.optimizer.learning_rate == 0.02


def test_recipe_of_a_trial(make_study):
    space = {"recalibration": ["none", "scse"], "reduction_ratio": [2, 4], "learning_rate": [0.01, 0.02]}
    plan = Plan(make_study(space, seeds=[5, 6], epochs=2))
    values = {"recalibration": "scse", "reduction_ratio": 4, "learning_rate": 0.02}
    recipe = from_mapping(Recipe, plan.recipe(Trial("0", values, epochs=2)), "recipe")
    assert recipe.network.arguments["recalibration"] == "scse"
    assert recipe.network.arguments["recalibration_args"] == {"reduction_ratio": 4}
    assert (recipe.optimizer.learning_rate, recipe.schedule.epochs, recipe.seed) == (0.02, 2, 5)


def test_defaults_are_those_of_the_recipe(make_study):
    plan = Plan(make_study())
    assert (plan.seeds, plan.epochs) == ((3,), 5)
    assert Plan(make_study({"schedule.epochs": 4, "learning_rate": [0.01, 0.02]})).epochs == 4


def test_task_of_a_worker(make_study):
    plan = Plan(make_study(seeds=[1, 2], patience=2, objective="core"))
    task = plan.task(Trial("3", {"learning_rate": 0.02}, epochs=5, attempt=2))
    recipe = task.pop("recipe")
    assert task == {
        "trial": "3",
        "seeds": [1, 2],
        "epochs": 5,
        "objective": "core",
        "cost": "",
        "patience": 2,
        "past": None,
        "keep_checkpoints": False,
    }
    assert json.loads(json.dumps(recipe)) == recipe


def test_hyperband_validates_each_epoch_and_keeps_checkpoints(make_study, recipe_folder):
    path = recipe_folder / "third.toml"
    path.write_text('extends = "balls.toml"\n[schedule]\nvalidate_every = 3\n')
    trial = Trial("3", {"learning_rate": 0.02}, epochs=1, past="1")
    task = Plan(make_study(recipe=str(path), algorithm="hyperband", epochs=9)).task(trial)
    assert (task["epochs"], task["past"], task["keep_checkpoints"]) == (1, "1", True)
    assert (task["recipe"]["schedule"]["epochs"], task["recipe"]["schedule"]["validate_every"]) == (9, 1)
    assert Plan(make_study(recipe=str(path), epochs=9)).task(trial)["recipe"]["schedule"]["validate_every"] == 3


@pytest.mark.parametrize(("of_study", "expected"), [(2, 2), (0, 4)])
def test_patience_of_the_study_replaces_the_recipes(of_study, expected, make_study):
    space = {"learning_rate": [0.01, 0.02], "schedule.patience": 4}
    plan, trial = Plan(make_study(space, patience=of_study)), Trial("0", {"learning_rate": 0.01}, epochs=5)
    assert plan.task(trial)["patience"] == plan.recipe(trial)["schedule"]["patience"] == expected
    assert "patience" not in plan.task(trial)["recipe"]["schedule"]


@pytest.mark.parametrize(
    ("every", "algorithm", "expected"),
    [
        (5, "grid", True),
        (2, "grid", False),
        ([2, 5], "grid", False),
        ([5, 6], "grid", True),
        (None, "hyperband", False),
        ({"min": 5, "max": 9}, "random", True),
        ({"min": 4, "max": 9}, "random", False),
    ],
)
def test_validates_once(every, algorithm, expected, make_study):
    space = {"learning_rate": [0.01, 0.02], **({} if every is None else {"schedule.validate_every": every})}
    assert Plan(make_study(space, algorithm=algorithm, epochs=5)).validates_once == expected


def test_fingerprint_of_the_recipe(make_study, recipe_folder):
    other = recipe_folder / "other.toml"
    other.write_text((recipe_folder / "balls.toml").read_text().replace("rotation = 10.0", "rotation = 11.0"))
    assert Plan(make_study()).fingerprint == Plan(make_study(epochs=2)).fingerprint
    assert Plan(make_study()).fingerprint != Plan(make_study(recipe=str(other))).fingerprint


@pytest.mark.parametrize(
    ("space", "keys", "message"),
    [
        ({"learning_rate": ["fast", "slow"]}, {}, "optimizer: learning_rate: expected a number, got 'fast'"),
        ({"learning_rate": [0.01, -1.0]}, {}, r"optimizer: expected `learning_rate` from 1e-12 to 1e\+30, got -1.0"),
        ({"optimizer.learning_rat": [0.1, 0.2]}, {}, "did you mean 'learning_rate'"),
        ({"network.arguments.filter": [4, 8]}, {}, "network.arguments: expected .* 'filter'; did you mean 'filters'"),
        (
            {"recalibration": ["cse", "scce"]},
            {},
            "expected `recalibration` to be .* one of cse, .*, got 'scce'.*'none'",
        ),
        (
            {"recalibration": "scse", "aggregation": ["max", "mean"]},
            {},
            "expected `aggregation` to be one of .*, got 'mean'",
        ),
        (
            {"recalibration": "scse", "positions": ["P1", "P9"]},
            {},
            "expected `positions` to be one of P1, .*, got 'P9'",
        ),
        (
            {"recalibration": "scse", "skip": ["raw", "none"]},
            {},
            r"network.arguments: expected `skip` to be one of \('recalibrated', 'raw'\), got 'none'",
        ),
        ({"architecture": ["UNet", "VNet"]}, {}, "expected architecture to be one of UNet"),
        (
            {"learning_rate": [0.1, 0.2]},
            {"objective": "shelf"},
            "expected objective to be 'dice' or one of .*shell.*core.*did you mean 'shell'",
        ),
        (
            {"learning_rate": [0.1, 0.2]},
            {"baseline": {"aggregation": "max"}},
            "expected baseline to give one of the options .*, got aggregation = 'max'",
        ),
        (
            {"learning_rate": [0.1, 0.2]},
            {"baseline": {"learning_rate": 0.3}},
            "expected baseline to give one of the options .*, got learning_rate = 0.3",
        ),
        (
            {"schedule.epochs": [2, 4]},
            {},
            "expected schedule.epochs to be the same for all, .*; give the study its `epochs`, or use",
        ),
        (
            {"schedule.epochs": {"min": 2, "max": 4}},
            {"algorithm": "hyperband"},
            "expected schedule.epochs to be the same for all",
        ),
        (
            {"schedule.epochs": 2},
            {"epochs": 3},
            "expected schedule.epochs or the study's `epochs`, got both; remove one",
        ),
        (
            {"schedule.validate_every": [1, 2]},
            {"algorithm": "hyperband"},
            "expected no schedule.validate_every beside 'hyperband', which validates each epoch",
        ),
        (
            {"learning_rate": [0.1, 0.2]},
            {"recipe": "none.toml"},
            "none.toml: expected a recipe that can be read, got no such file",
        ),
    ],
)
def test_refuses_what_does_not_fit_the_recipe(space, keys, message, make_study):
    with pytest.raises(ValueError, match=message) as caught:
        Plan(make_study(space, **keys))
    assert isinstance(caught.value, RecordError)

import dataclasses
from pathlib import Path

import pytest
from training.synthetic import RECIPE, write_recipe

from recalib_keras.training import Recipe
from recalib_keras.training.recipe import Augmentation
from recalib_keras.zoo import RecordError

SHIPPED = sorted(Path(__file__).resolve().parents[2].glob("zoo/presets/*/*.toml"))


def test_reads_every_table(tmp_path):
    recipe = write_recipe(tmp_path / "recipe.toml")
    assert (recipe.preset, recipe.weights, recipe.seed) == ("tiny3d", "balls", 3)
    assert [label.id for label in recipe.labels] == [0, 17, 53]
    assert recipe.input.window == (12, 12, 12) and recipe.input.spacing is None
    assert recipe.network.arguments["filters"] == 4
    assert recipe.data.validate_every == 3 and recipe.augmentation.rotation == 10.0
    assert recipe.schedule.learning_rate == 0.06 and recipe.schedule.clip_norm == 1.0


def test_without_a_table_of_augmentation_nothing_is_changed(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.split("[augmentation]")[0] + "[schedule]" + RECIPE.split("[schedule]")[1])
    values = dataclasses.asdict(Recipe.read(path).augmentation)
    assert values.pop("elastic_nodes") == 5 and set(values.values()) == {0.0}


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("epochs = 5", "epoch = 5", "schedule has an unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs = 5", "", "schedule lacks 'epochs'"),
        ("epochs = 5", "epochs = 0", "schedule: epochs must be greater than 0, not 0"),
        ("epochs = 5", "epochs = 2.5", "schedule: epochs must be an integer, not 2.5"),
        ("batch_size = 2", "batch_size = -1", "schedule: batch_size must be greater than 0, not -1"),
        ("learning_rate = 0.06", "learning_rate = 'high'", "schedule: learning_rate must be a number, not 'high'"),
        ("learning_rate = 0.06", "learning_rate = nan", "schedule: learning_rate must be greater than 0, not nan"),
        ("validate_every = 3", "validate_every = 0", "data: validate_every must be greater than 0, not 0"),
        ("rotation = 10.0", "rotations = 1.0", "augmentation has an unknown key 'rotations'; did you mean 'rotation'?"),
        ('"UNet"', '"Unet"', "network: architecture must be one of UNet, SDNet, DenseNet, not 'Unet'"),
        ("[12, 12, 12]", "[12, 12]", "input: window must have 3 values, not"),
        ("[12, 12, 12]", "[1, 1, 12]", "input: window must be three sizes"),
        ('preset = "tiny3d"', "", "lacks 'preset'"),
        ("seed = 3", "seed = 3\nsede = 4", "unknown key 'sede'; did you mean 'seed'?"),
        ("id = 17,", "", "labels[1] lacks 'id'"),
    ],
)
def test_a_mistake_is_named(old, new, message, tmp_path):
    assert old in RECIPE
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(old, new))
    with pytest.raises(RecordError) as caught:
        Recipe.read(path)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(RecordError, match="cannot read the recipe .*none.toml: No such file or directory"):
        Recipe.read(tmp_path / "none.toml")


def test_a_file_that_is_not_toml(tmp_path):
    (tmp_path / "recipe.toml").write_text("preset = ")
    with pytest.raises(RecordError, match="recipe.toml is not valid TOML: "):
        Recipe.read(tmp_path / "recipe.toml")


def test_recipes_are_shipped():
    assert {path.parent.name for path in SHIPPED} >= {"densenet3d_pe", "unet3d", "densenet2d_scse"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_recipes_describe_what_can_be_trained(path):
    recipe = Recipe.read(path)
    assert (recipe.preset, recipe.weights) == (path.parent.name, path.stem)
    assert recipe.augmentation != Augmentation()
    assert len({label.id for label in recipe.labels}) == len(recipe.labels) and recipe.labels[0].name == "background"
    small = tuple(16 if size > 1 else 1 for size in recipe.input.window)
    model = recipe.network.build(dataclasses.replace(recipe.input, window=small).shape, len(recipe.labels))
    assert model.output_shape[-1] == len(recipe.labels)
    assert all(size % 2**model.levels == 0 for size in recipe.input.shape[:-1])

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from training.synthetic import RECIPE, write_recipe

from recalib_keras import datasets, zoo
from recalib_keras.training import Recipe
from recalib_keras.training.fine_tuning import start_from
from recalib_keras.training.recipe_tables import Augmentation
from recalib_keras.zoo import RecordError

ZOO = Path(__file__).resolve().parents[2] / "zoo"
SHIPPED = sorted(ZOO.glob("presets/*/*.toml"))


def test_reads_every_table(tmp_path):
    recipe = write_recipe(tmp_path / "recipe.toml")
    assert (recipe.preset, recipe.weights, recipe.seed) == ("tiny3d", "balls", 3)
    assert [label.id for label in recipe.labels] == [0, 17, 53]
    assert recipe.input.window == (12, 12, 12) and recipe.input.spacing is None
    assert recipe.network.arguments["filters"] == 4
    assert recipe.data.validate_every == 3 and recipe.augmentation.rotation == 10.0
    assert recipe.optimizer.learning_rate == 0.06 and recipe.optimizer.clip_norm == 1.0
    assert recipe.loss.dice == recipe.loss.cross_entropy == 1.0 and recipe.init is None


def test_without_a_table_of_augmentation_nothing_is_changed(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.split("[augmentation]")[0] + "[optimizer]" + RECIPE.split("[optimizer]")[1])
    values = dataclasses.asdict(Recipe.read(path).augmentation)
    assert values.pop("elastic_nodes") == 5 and set(values.values()) == {0.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "epochs = 5",
            "epoch = 5",
            "schedule: expected known keys, got the unknown key 'epoch'; did you mean 'epochs'?",
        ),
        ("epochs = 5", "", "schedule: expected the key 'epochs', got a table without it"),
        ("epochs = 5", "epochs = 0", "schedule: expected `epochs` from 1 to 1,000,000, got 0"),
        ("epochs = 5", "epochs = 2.5", "schedule: epochs: expected an integer, got 2.5"),
        ("batch_size = 2", "batch_size = -1", "schedule: expected `batch_size` from 1 to 65,536, got -1"),
        ("learning_rate = 0.06", "learning_rate = 'high'", "optimizer: learning_rate: expected a number, got 'high'"),
        (
            "learning_rate = 0.06",
            "learning_rate = nan",
            "optimizer: expected `learning_rate` from 1e-12 to 1e+30, got nan",
        ),
        ("validate_every = 3", "validate_every = -1", "data: expected `validate_every` from 0 to 1,000,000, got -1"),
        (
            "rotation = 10.0",
            "rotations = 1.0",
            "augmentation: expected known keys, got the unknown key 'rotations'; did you mean 'rotation'?",
        ),
        ('"UNet"', '"Unet"', "network: expected architecture to be one of UNet, SDNet, DenseNet, got 'Unet'"),
        ("[12, 12, 12]", "[12, 12]", "input: window: expected 3 values, got"),
        ("[12, 12, 12]", "[1, 1, 12]", "input: expected window of three sizes"),
        (
            "[optimizer]",
            "[optimizer]\nname = 'adamm'",
            "expected `name` to be one of 'adam', 'adamw', 'muon', 'sgd', got 'adamm'; did you mean 'adam'?",
        ),
        (
            "[optimizer]",
            "[optimizer]\ndecay = 'linear'",
            "expected `decay` to be one of 'cosine', 'step', 'constant', got 'linear'",
        ),
        (
            "[optimizer]",
            "[optimizer]\nmomentum = 0.9",
            "expected `momentum` with the optimizer 'sgd' alone, got 'adam'",
        ),
        (
            "[optimizer]",
            "[optimizer]\nweight_decay = 0.1",
            "expected `weight_decay` with the optimizer 'adamw', 'muon' or 'sgd', got 'adam'",
        ),
        ("[optimizer]", "[optimizer]\nclip_norm = -1", "optimizer: expected `clip_norm` from 0 to 1e+09, got -1"),
        ("[optimizer]", "[loss]\ndice = -1\n[optimizer]", "loss: expected `dice` from 0 to 1,000,000, got -1"),
        (
            "[optimizer]",
            "[loss]\ndice = 0\ncross_entropy = 0\n[optimizer]",
            "loss: expected `dice` or `cross_entropy` to be greater than 0, got 0 for both",
        ),
        (
            "[optimizer]",
            "[loss]\nclass_weights = 'median'\n[optimizer]",
            "expected `class_weights` to be one of 'none', 'median_frequency', 'inverse_frequency', got 'median'",
        ),
        (
            "[optimizer]",
            "[fine_tuning]\nbody_rate = 0\n[optimizer]",
            "fine_tuning: expected `body_rate` from 1e-06 to 1,000, got 0",
        ),
        ("epochs = 5", "epochs = 5\npatience = -1", "schedule: expected `patience` from 0 to 1,000,000, got -1"),
        ("epochs = 5", "epochs = 5\naverage = 1.5", "schedule: expected `average` from 0 to 1, got 1.5"),
        (
            "epochs = 5",
            "epochs = 5\nsteps_per_epoch = 0",
            "schedule: expected `steps_per_epoch` from 1 to 1,000,000, got 0",
        ),
        ("validate_every = 3", "training_scans = 0", "data: expected `training_scans` from 1 to 1,000,000, got 0"),
        (
            "validate_every = 3",
            "merge = { core = 1 }",
            "data: expected label numbers from 0 to 2,147,483,647 as keys of `merge`, got 'core'",
        ),
        (
            "validate_every = 3",
            "merge = { 53 = 17 }",
            "expected no label 53, which `data.merge` replaces by 17, got it among the labels; take it out of",
        ),
        (
            "seed = 3",
            "seed = 3\nensemble = { name = 'balls' }",
            "expected `ensemble.name` to differ from the name of its member, `weights`, got 'balls'",
        ),
        ("id = 17,", "id = 0,", "expected labels that differ in id, got 0 more than once"),
        ('"core"', '"shell"', "expected labels that differ in name, got 'shell' more than once"),
        (
            '{ id = 0, name = "background" }, { id = 17, name = "shell" }',
            '{ id = 17, name = "shell" }, { id = 0, name = "nothing" }',
            "expected the background as the first of the labels, got 17 ('shell'); put 0 ('nothing') first",
        ),
        (
            ', { id = 17, name = "shell" }, { id = 53, name = "core" }',
            "",
            "expected `labels` to be the background and at least one structure, got 1 in all",
        ),
        ("id = 17,", "id = 17, mirror = 18,", "17 ('shell'), whose mirror 18 is not a label"),
        ("id = 17,", "id = 17, mirror = 53,", "17 ('shell'), whose mirror 53 has the mirror 53"),
        (
            "filters = 4",
            "filter = 4",
            "network.arguments: expected known keys, got the unknown key 'filter'; did you mean 'filters'?",
        ),
        (
            "filters = 4",
            "recalibration = 'pe', recalibration_args = { reduction_rate = 4 }",
            "network.arguments.recalibration_args: expected known keys, got the unknown key 'reduction_rate'; did you "
            "mean 'reduction_ratio'?",
        ),
        (
            'precision = "float32"',
            'precision = "mixed_float16"',
            "expected `precision` to be one of 'mixed_bfloat16', 'float32', got 'mixed_float16'; did you mean 'mixed_b",
        ),
        (
            "[12, 12, 12]",
            "[1, 12, 12]\norientation = 'LPS'\n",
            "expected `augmentation.flip` to be 0 for sagittal slices, which look the same on both sides, got 0.5",
        ),
        ('preset = "tiny3d"', "", "expected the key 'preset', got a table without it"),
        (
            'preset = "tiny3d"',
            'preset = "../../x"',
            "expected preset to be at most 64 letters, digits, '_', '-' or '.'",
        ),
        ('preset = "tiny3d"', 'preset = "/tmp/x"', "expected preset to be at most 64 letters, digits, '_', '-' or '.'"),
        ('"shell"', '"<b>shell"', "expected name to be one line of at most 100 printable characters"),
        ("seed = 3", "seed = 3\nsede = 4", "unknown key 'sede'; did you mean 'seed'?"),
        ("id = 17,", "", "labels[1]: expected the key 'id', got a table without it"),
    ],
)
def test_a_mistake_is_named(old, new, message, tmp_path):
    assert old in RECIPE
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("[augmentation]", "[augmentation]\nflip = 0.5").replace(old, new))
    with pytest.raises(RecordError) as caught:
        Recipe.read(path)
    assert str(path) in str(caught.value) and message in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(RecordError, match=r"none.toml: expected a recipe that can be read, got no such file"):
        Recipe.read(tmp_path / "none.toml")


def test_a_file_that_is_not_toml(tmp_path):
    (tmp_path / "recipe.toml").write_text("preset = ")
    with pytest.raises(RecordError, match=r"recipe.toml: expected a recipe in valid TOML, got "):
        Recipe.read(tmp_path / "recipe.toml")


def test_a_recipe_replaces_the_keys_of_the_one_it_extends(tmp_path):
    (tmp_path / "base").mkdir()
    base = write_recipe(tmp_path / "base" / "balls.toml")
    over = tmp_path / "over.toml"
    over.write_text('extends = "base/balls.toml"\nseed = 4\n[schedule]\nepochs = 9\n[network.arguments]\nfilters = 8\n')
    recipe = Recipe.read(over)
    assert recipe.seed == 4 and recipe.schedule.epochs == 9 and recipe.schedule.batch_size == base.schedule.batch_size
    assert recipe.network.arguments == {**base.network.arguments, "filters": 8}
    assert dataclasses.replace(recipe, seed=3, schedule=base.schedule, network=base.network) == base


def test_a_recipe_may_extend_one_of_the_zoo(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "zoo:hippocampus/densenet3d_pe"\nseed = 4\n')
    shipped = Recipe.read(ZOO / "recipes" / "hippocampus" / "densenet3d_pe.toml")
    assert Recipe.read(tmp_path / "mine.toml") == dataclasses.replace(shipped, seed=4)
    assert Recipe.read("zoo:hippocampus/densenet3d_pe.toml") == shipped
    (tmp_path / "mine.toml").write_text('extends = "zoo:hippocampus/densenet3d_pee"\n')
    with pytest.raises(RecordError, match=r"mine.toml: expected .*; did you mean 'hippocampus/densenet3d_pe'\?"):
        Recipe.read(tmp_path / "mine.toml")


def test_structures_without_a_colour_get_one(tmp_path):
    labels = write_recipe(tmp_path / "recipe.toml").labels
    assert [label.color for label in labels] == [(0, 0, 0), (230, 159, 0), (86, 180, 233)]


def test_later_recipes_replace_the_keys_of_earlier_ones(tmp_path):
    balls = write_recipe(tmp_path / "balls.toml")
    (tmp_path / "longer.toml").write_text("seed = 5\n[schedule]\nepochs = 9\npatience = 2\n")
    (tmp_path / "over.toml").write_text('extends = ["balls.toml", "longer.toml"]\n[schedule]\npatience = 3\n')
    schedule = dataclasses.replace(balls.schedule, epochs=9, patience=3)
    assert Recipe.read(tmp_path / "over.toml") == dataclasses.replace(balls, seed=5, schedule=schedule)


def test_a_recipe_cannot_extend_itself(tmp_path):
    (tmp_path / "one.toml").write_text('extends = "two.toml"')
    (tmp_path / "two.toml").write_text('extends = "one.toml"')
    with pytest.raises(
        RecordError,
        match=r"one.toml: expected a recipe that does not extend itself, got a circle of files; take `extends` out",
    ):
        Recipe.read(tmp_path / "one.toml")


def test_extends_is_a_path(tmp_path):
    (tmp_path / "one.toml").write_text("extends = [2]")
    with pytest.raises(
        RecordError, match=r"expected `extends` to be the path of a recipe, or a list of paths, got \[2\]"
    ):
        Recipe.read(tmp_path / "one.toml")


def test_a_written_recipe_reads_the_same(tmp_path):
    recipe = write_recipe(tmp_path / "recipe.toml")
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    assert Recipe.read(tmp_path / "again.toml") == recipe


def test_recipes_are_shipped():
    assert {path.parent.name for path in SHIPPED} >= {"densenet3d_pe", "unet3d", "densenet2d_scse"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_recipes_describe_what_can_be_trained(path):
    recipe = Recipe.read(path)
    assert (recipe.preset, recipe.weights) == (path.parent.name, path.stem)
    assert (recipe.augmentation == Augmentation()) == (recipe.synthesis is not None)
    assert len({label.id for label in recipe.labels}) == len(recipe.labels) and recipe.labels[0].name == "background"


@pytest.mark.parametrize(
    ("name", "dataset", "held_out", "architecture", "aggregation", "dice"),
    [
        ("tmi2019_malc", "malc", 1, "SDNet", "max", 1.0),
        ("tmi2019_visceral", "visceral", 5, "SDNet", "max", 1.0),
        ("miccai2018_malc", "malc", 1, "DenseNet", "add", 0.0),
    ],
)
def test_the_recipes_of_the_scse_papers(name, dataset, held_out, architecture, aggregation, dice):
    """Roy et al., MICCAI 2018 and IEEE TMI 2019: data, network, optimizer, schedule, batch and loss."""
    recipe = Recipe.read(ZOO / "recipes" / f"{name}.toml")
    optimizer, scans = recipe.optimizer, {"malc": 15, "visceral": 65}[dataset]
    assert (optimizer.name, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.95, 1e-4)
    assert (optimizer.learning_rate, optimizer.decay_factor, optimizer.decay_epochs) == (0.01, 0.1, 10)
    assert (optimizer.decay, optimizer.clip_norm) == ("step", 0.0) and recipe.schedule.batch_size == 4
    assert (recipe.loss.class_weights, recipe.loss.dice, recipe.loss.cross_entropy) == ("median_frequency", dice, 1.0)
    assert recipe.input.spacing == (1.0 if dataset == "malc" else 2.0,) * 3 and recipe.input.slice_axis == 1
    assert recipe.data.dataset == dataset and len(range(0, scans, recipe.data.validate_every)) == held_out
    assert {label.id: label.name for label in recipe.labels} == datasets.describe(dataset).labels
    assert recipe.network.architecture == architecture
    model = recipe.network.build((16, 16, 1), len(recipe.labels))
    blocks = [layer for layer in model.layers if layer.name.endswith("_recalibration")]
    assert {block.aggregation for block in blocks} == {aggregation}
    # TMI table I, and 3.3e4 in the MICCAI paper's section 2.3: 8 blocks of 64 maps, r = 2, no bias.
    assert sum(block.count_params() for block in blocks) == 33_280


@pytest.mark.parametrize(("name", "dataset"), [("chaos_mr", "chaos/mr_t2"), ("chaos_ct", "chaos/ct")])
def test_the_recipes_of_the_chaos_report(name, dataset):
    recipe = Recipe.read(ZOO / "recipes" / f"{name}.toml")
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.decay) == ("adam", 0.004, "step")
    assert (optimizer.decay_factor, optimizer.decay_epochs, optimizer.clip_norm) == (0.5, 4, 0.0)
    assert recipe.schedule.batch_size == 20 and recipe.loss.class_weights == "inverse_frequency"
    assert recipe.data.dataset == dataset
    assert {label.id: label.name for label in recipe.labels} == datasets.describe(dataset).labels
    model = recipe.network.build((32, 32, 1), len(recipe.labels))
    blocks = [layer.name for layer in model.layers if layer.name.endswith("_recalibration")]
    assert len(blocks) == 7 and "decoder_1_recalibration" not in blocks


@pytest.mark.parametrize("name", ["hippocampus_whole"])
def test_recipes_without_a_preset_can_be_trained_too(name):
    recipe = Recipe.read(ZOO / "recipes" / f"{name}.toml")
    assert recipe.init == "densenet3d_pe" and recipe.data.merge == {"2": 1} and len(recipe.labels) == 2
    assert recipe.fine_tuning.weights in zoo.info(recipe.init).weight_sets  # by name: a preset's default may change
    model = recipe.network.build(recipe.input.shape, len(recipe.labels))
    before = model.get_layer("encoder_1_conv_1").get_weights()[0].copy()
    start_from(model, recipe)
    assert not np.array_equal(model.get_layer("encoder_1_conv_1").get_weights()[0], before)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-inf", "1e300", str(10**40), str(10**400)])
@pytest.mark.parametrize(
    "key", ["epochs", "batch_size", "steps_per_epoch", "examples_per_scan", "learning_rate", "seed"]
)
def test_absurd_numbers_are_refused_with_the_range(key, value, tmp_path):
    mapping = tomllib.loads(RECIPE)
    table = {"seed": mapping, "learning_rate": mapping["optimizer"]}.get(key, mapping["schedule"])
    table[key] = tomllib.loads(f"x = {value}")["x"]
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps(mapping))
    expected = rf"(expected `{key}` from .* to .*|{key}: expected (an integer|a number below 1.8e308)), got "
    with pytest.raises(RecordError, match=rf"^{path}: .*{expected}"):
        Recipe.read(path)


def test_a_batch_beyond_memory_is_refused(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("[12, 12, 12]", "[1024, 1024, 1024]"))
    expected = "`input.window` times `schedule.batch_size` to be at most 1,073,741,824 voxels, got 2,147,483,648; set a"
    with pytest.raises(RecordError, match=expected):
        Recipe.read(path)


def test_a_recipe_that_extends_too_many_files(tmp_path):
    for number in range(200):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    (tmp_path / "200.toml").write_text(RECIPE)
    expected = "0.toml: expected a recipe that extends at most 100 files in all, got more; write the keys"
    with pytest.raises(RecordError, match=expected):
        Recipe.read(tmp_path / "0.toml")
    assert Recipe.read(tmp_path / "150.toml").preset == "tiny3d"

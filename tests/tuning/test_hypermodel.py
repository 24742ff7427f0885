import re
import shutil

import keras_tuner
import numpy as np
import pytest
from training.synthetic import RECIPE

from recalib_keras import zoo
from recalib_keras.tuning import RecipeHyperModel
from recalib_keras.tuning.study import preset_recipe

# keras-tuner 1.4.8 asks for the current thread in a way that Python has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:getName:DeprecationWarning"),
]
SPACE = {
    "recalibration": ["none", "cse", "scse", "pe"],
    "reduction_ratio": [2, 4, 16],
    "aggregation": ["max", "concat"],
    "positions": ["P1", "P4"],
    "filters": [2, 4],
    "learning_rate": {"min": 1e-3, "max": 1e-2, "scale": "log"},
}


@pytest.fixture
def hypermodel(tmp_path):
    path = tmp_path / "balls.toml"
    path.write_text(RECIPE)
    return RecipeHyperModel(path, SPACE, steps_per_epoch=10)


def test_build(hypermodel):
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = {
        "recalibration": "scse",
        "filters": 4,
        "positions": "P1",
        "reduction_ratio": 4,
        "aggregation": "max",
        "learning_rate": 0.005,
    }
    model = hypermodel.build(hyperparameters)
    block = model.get_layer("encoder_1_recalibration")
    assert (block.reduction_ratio, block.aggregation) == (4, "max")
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert (schedule["warmup_target"], schedule["warmup_steps"]) == (0.005, 10)
    assert model.output_shape == (None, 12, 12, 12, 3)
    assert len(hyperparameters.space) > len(SPACE)  # the whole space is declared, with its cases


@pytest.mark.parametrize("tuner", [keras_tuner.RandomSearch, keras_tuner.GridSearch, keras_tuner.BayesianOptimization])
def test_keras_tuner_draws_only_possible_mixes(tuner, hypermodel, tmp_path):
    search = tuner(hypermodel, objective="val_loss", max_trials=25, directory=tmp_path, seed=1)
    search.oracle.verbose = 0
    for _ in range(25):
        trial = search.oracle.create_trial("tuner")
        assert trial.status == "RUNNING"
        values = hypermodel.space.values(trial.hyperparameters.values)
        assert hypermodel.space.problem(values) is None
        assert ("aggregation" in values) == (values["recalibration"] == "scse")
        search.oracle.update_trial(trial.trial_id, {"val_loss": 1.0})
        trial.status = "COMPLETED"
        search.oracle.end_trial(trial)


def test_offers_only_fitting_shapes(tmp_path):
    """Not even the first mix, which keras-tuner's constructors build."""
    for space, expected in (({"levels": [4, 3]}, [3]), ({"filters": [8, [8, 16], [8, 16, 16, 32]]}, None)):
        hypermodel = RecipeHyperModel("sdnet3d", space)
        search = keras_tuner.RandomSearch(hypermodel, objective="val_loss", max_trials=1, directory=tmp_path)
        (only,) = search.oracle.hyperparameters.space
        assert only.values == (expected or ["8", "[8, 16, 16, 32]"])


@pytest.mark.slow
def test_search_of_keras_tuner(tmp_path):
    path = tmp_path / "balls.toml"
    path.write_text(RECIPE.replace("[12, 12, 12]", "[1, 4, 4]"))
    hypermodel = RecipeHyperModel(str(path), {"recalibration": ["none", "cse"], "filters": 2}, steps_per_epoch=1)
    images = np.zeros((2, 4, 4, 1), "float32")
    classes = np.zeros((2, 4, 4, 1), "int32")
    search = keras_tuner.GridSearch(hypermodel, objective="val_loss", directory=tmp_path, max_trials=1)
    search.search(images, classes, validation_data=(images, classes), verbose=0)
    assert len(search.oracle.trials) == 1
    assert all(trial.status == "COMPLETED" for trial in search.oracle.trials.values())


def test_impossible_network_fails_its_trial():
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = {"levels": 5}
    hypermodel = RecipeHyperModel("sdnet3d", {"levels": [2, 3, 5], "filters": 8})
    with pytest.raises(keras_tuner.errors.FailedTrialError, match="expected every spatial size to be a multiple of 32"):
        hypermodel.recipe(hyperparameters)


def test_varies_any_preset():
    hypermodel = RecipeHyperModel("densenet3d_pe", {"reduction_ratio": [2, 4]})
    hyperparameters = keras_tuner.HyperParameters()
    assert hypermodel.recipe(hyperparameters).network.architecture == "DenseNet"
    assert hyperparameters.values == {"reduction_ratio": 2}
    with pytest.raises(ValueError, match="did you mean 'densenet3d_pe'"):
        RecipeHyperModel("densenet3d_pq", {})


def test_preset_in_a_folder(tmp_path):
    ours = tmp_path / "unet3d"
    shutil.copytree(zoo.info("unet3d").folder, ours)
    recipe = preset_recipe(ours)
    recipe.write_text(re.sub(r"learning_rate = .*", "learning_rate = 0.125", recipe.read_text()))
    for folder in (ours, str(ours)):
        hypermodel = RecipeHyperModel(folder, {"batch_size": [2, 4]})
        assert hypermodel.recipe(keras_tuner.HyperParameters()).optimizer.learning_rate == 0.125

"""A tiny data set, its recipe, and one complete run of it."""

from types import SimpleNamespace

import pytest
from training.synthetic import write_recipe, write_scans

from recalib_keras.training import Recipe, train
from recalib_keras.training.run.folder import RunFolder


@pytest.fixture(scope="module", autouse=True)
def without_pictures():
    """Trainings draw no picture of a validation here, which would take a quarter of their time; test_log.py draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "draw", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The data root of the tiny set."""
    root = tmp_path_factory.mktemp("data")
    write_scans(root)
    return root


@pytest.fixture(scope="session")
def recipe_path(tmp_path_factory):
    """The file of the recipe."""
    path = tmp_path_factory.mktemp("recipe") / "balls.toml"
    write_recipe(path)
    return path


@pytest.fixture(scope="session")
def recipe(recipe_path):
    """The recipe of the tiny set."""
    return Recipe.read(recipe_path)


@pytest.fixture(scope="session")
def run(tmp_path_factory, recipe, data):
    """A complete run: its folder, the reported lines, and the weight set that it returned."""
    folder, lines = tmp_path_factory.mktemp("run"), []
    weight_set = train(recipe, folder, data, on_epoch=lines.append)
    return SimpleNamespace(folder=folder, lines=lines, weight_set=weight_set)

import json

import pytest
from training.synthetic import RECIPE, write_recipe, write_scans

from recalib_keras import zoo
from recalib_keras.training import Recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_scans(root)
    return root


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the recipe `short.toml` of two quick epochs."""
    monkeypatch.chdir(tmp_path)
    write_recipe(tmp_path / "balls.toml")
    (tmp_path / "short.toml").write_text(
        'extends = "balls.toml"\n[schedule]\nepochs = 2\nsteps_per_epoch = 2\nexamples_per_scan = 1\n'
    )
    return tmp_path


def test_trains_publishes_and_resumes(recalib, folder, data, capsys):
    assert recalib("train", "short.toml", "--data", data, "--publish", "presets") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("epoch 1/2  loss ") and printed[1].startswith("epoch 2/2  loss ")
    assert printed[2].startswith("mean Dice 0.") and printed[2].endswith("preset written to presets/tiny3d")
    published = folder / "presets" / "tiny3d"
    assert zoo.load(published).output_shape[-1] == 3
    # The preset's recipe stands alone, and says the same.
    assert "extends" not in (published / "balls.toml").read_text()
    assert Recipe.read(published / "balls.toml") == Recipe.read(folder / "short.toml")

    assert recalib("train", "short.toml", "--data", data) == 2
    assert "already holds a run; go on with --resume" in capsys.readouterr().err
    assert recalib("train", "short.toml", "--data", data, "--resume") == 0
    assert "epoch" not in capsys.readouterr().out


def test_another_seed_is_another_run(recalib, folder, data):
    assert recalib("train", "short.toml", "--data", data, "--seed", 7) == 0
    run = folder / "runs" / "tiny3d-balls-seed7"
    assert Recipe.read(run / "tiny3d" / "balls.toml").seed == 7
    assert len((run / "log.jsonl").read_text().splitlines()) == 2


def test_a_batch_of_recipes_goes_on_with_the_rest(recalib, folder, data, capsys):
    (folder / "bad.toml").write_text(RECIPE.replace("epochs = 5", "epoch = 5"))
    assert recalib("train", "bad.toml", "short.toml", "--data", data) == 1
    captured = capsys.readouterr()
    assert "did you mean 'epochs'?" in captured.err and "1 of 2 recipes failed" in captured.err
    assert json.loads((folder / "runs" / "tiny3d-balls" / "log.jsonl").read_text().splitlines()[1])["epoch"] == 2


def test_one_bad_recipe_is_one_line(recalib, folder, data, capsys):
    assert recalib("train", "none.toml", "--data", data) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_one_output_folder_is_for_one_recipe(recalib, folder, data, capsys):
    assert recalib("train", "short.toml", "balls.toml", "--data", data, "-o", "run") == 2
    assert "expected one recipe with --output, got 2; leave --output out" in capsys.readouterr().err

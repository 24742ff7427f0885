import pytest
from training.synthetic import FOLDER, write_scans

from recalib_keras.training import Recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_scans(root)
    return root


def test_writes_a_recipe(recalib, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RECALIB_DATA", str(data))
    path = tmp_path / "recipe.toml"
    assert recalib("plan", data / FOLDER, "-o", path, "--epochs", 3) == 0
    assert capsys.readouterr().out.splitlines() == [
        "reading 6 scans",
        f"6 scans, 2 structures: {path}",
        f"train it with: recalib train {path}",
    ]
    recipe = Recipe.read(path)
    assert recipe.schedule.epochs == 3 and recipe.data.folder == FOLDER
    assert recalib("plan", data / FOLDER, "-o", path, "--epochs", 3) == 2
    assert "expected a new file, got one that exists; add --overwrite" in capsys.readouterr().err
    assert recalib("plan", data / FOLDER, "-o", path, "--epochs", 4, "--overwrite", "--data", tmp_path) == 0
    assert capsys.readouterr().out.endswith(f"recalib train {path} --data {tmp_path}\n")
    assert Recipe.read(path).data.folder == str(data / FOLDER)


@pytest.mark.parametrize(("option", "value"), [("--minutes", "0"), ("--minutes", "x"), ("--epochs", "0")])
def test_wrong_numbers(option, value, recalib, data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        recalib("plan", data / FOLDER, "-o", tmp_path / "recipe.toml", option, value)
    assert f"argument {option}" in capsys.readouterr().err


def test_a_folder_that_is_none(recalib, tmp_path, capsys):
    assert recalib("plan", tmp_path / "none", "-o", tmp_path / "recipe.toml") == 2
    assert "got no such folder; name another layout by --dataset NAME" in capsys.readouterr().err
    assert not (tmp_path / "recipe.toml").exists()


def test_a_plan_of_few_steps_is_reported(recalib, data, tmp_path):
    """100 steps of a network without pretrained weights found nothing in 41 real scans of heads and necks."""
    message = "expected 250 steps or more, got 200: a network learns little; give it more --epochs"
    with pytest.warns(UserWarning, match=message):
        assert recalib("plan", data / FOLDER, "-o", tmp_path / "recipe.toml", "--epochs", 2) == 0
    like = ("--like", "unet3d_pe", "--weights", "hippocampus")
    assert recalib("plan", data / FOLDER, "-o", tmp_path / "like.toml", "--epochs", 2, *like) == 0

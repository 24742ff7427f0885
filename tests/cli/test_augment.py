import argparse

import matplotlib.image
import pytest
from training.synthetic import write_recipe, write_scans

from recalib_keras.cli import augment
from recalib_keras.cli.messages import ERRORS


@pytest.fixture
def recipe(tmp_path):
    """The file of a tiny recipe, whose data lie beside it."""
    write_recipe(tmp_path / "balls.toml")
    write_scans(tmp_path, count=3)
    return tmp_path / "balls.toml"


def run(*arguments):
    parser = argparse.ArgumentParser()
    augment.add_arguments(parser)
    return augment.run(parser.parse_args([str(argument) for argument in arguments]))


def test_draws_a_picture_and_says_where(recipe, tmp_path, capsys):
    picture = tmp_path / "sheet.png"
    run(recipe, "--data", tmp_path, "-o", picture, "--samples", 2, "--scans", 2, "--view", "coronal")
    assert capsys.readouterr().out == f"picture in {picture}\n"
    height, width = matplotlib.image.imread(picture).shape[:2]
    assert width > 400 and height > 400


def test_options_reach_the_picture(recipe, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "recalib_keras.training.data.preview.preview", lambda *_, **options: seen.update(options) or _[2]
    )
    run(recipe, "-o", "x.png", "--samples", 2, "--scans", 3, "--seed", 4, "--view", "sagittal")
    assert seen == {"samples": 2, "scans": 3, "seed": 4, "view": "sagittal"}
    run(recipe, "-o", "x.png")
    assert seen == {"samples": 8, "scans": 4, "seed": None, "view": None}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "0"], "expected at least 1 scan and 1 sample, got 4 and 0"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input(options, message, recipe, tmp_path):
    with pytest.raises(ERRORS, match=message):
        run(recipe, "--data", tmp_path, "-o", tmp_path / "sheet.png", *options)
    assert not (tmp_path / "sheet.png").exists()


def test_a_picture_of_real_scans(data_root, tmp_path, capsys):
    recipe = "zoo/presets/densenet2d_scse/hippocampus.toml"
    run(recipe, "--data", data_root, "-o", tmp_path / "sheet.png", "--samples", 2, "--scans", 1)
    assert "picture in" in capsys.readouterr().out

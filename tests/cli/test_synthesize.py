import argparse
import json
import shutil
from pathlib import Path

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
from synthesis.heads import TABLE, head

from recalib_keras.cli import synthesize
from recalib_keras.core.records import to_mapping
from recalib_keras.synthesis import Synthesis
from recalib_keras.training import Recipe


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """The folder of two label maps of tiny heads, and of what their numbers stand for."""
    folder = tmp_path_factory.mktemp("heads")
    for number in (1, 2):
        numbers = TABLE.numbers[head()].astype("int16")
        nib.save(nib.Nifti1Image(numbers, np.diag([5.0, 5.0, 5.0, 1.0])), folder / f"head_{number}.nii.gz")
    (folder / "generation.json").write_text(json.dumps(to_mapping(TABLE)), encoding="utf-8")
    return folder


def run(*words):
    parser = argparse.ArgumentParser()
    synthesize.add_arguments(parser)
    synthesize.run(parser.parse_args([str(word) for word in words]))


def test_the_picture_has_a_row_for_each_sample(heads, tmp_path, capsys):
    for samples in (1, 3):
        path = tmp_path / f"{samples}.png"
        run(heads / "head_1.nii.gz", "-o", path, "--samples", samples, "--spacing", 8)
        assert capsys.readouterr().out == f"picture in {path}\n"
    heights = [matplotlib.image.imread(tmp_path / f"{samples}.png").shape[0] for samples in (1, 3)]
    assert 2 < heights[1] / heights[0] < 3


def test_the_seed_and_the_settings_decide(heads, tmp_path):
    recipe, bare = tmp_path / "recipe.toml", tmp_path / "settings.toml"
    recipe.write_text('title = "heads"\n[synthesis]\nrandom_contrast = 1\n', encoding="utf-8")
    bare.write_text("random_contrast = 1.0\n", encoding="utf-8")
    options = {
        "varied": [],
        "again": ["--settings", "varied", "--seed", 0, "--table", heads / "generation.json"],
        "other seed": ["--seed", 1],
        "mild": ["--settings", "mild"],
        "recipe": ["--settings", recipe],
        "bare": ["--settings", bare],
    }
    pictures = {}
    for name, words in options.items():
        run(heads, "-o", tmp_path / "picture.png", "--samples", 1, "--spacing", 12, *words)
        pictures[name] = (tmp_path / "picture.png").read_bytes()
    assert pictures["varied"] == pictures["again"] and pictures["recipe"] == pictures["bare"]
    assert len(set(pictures.values())) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samples", 0], "expected at least 1 sample and voxels of up to 20 mm, got 0 and 2 mm"),
        (["--spacing", 0], "got 6 and 0 mm"),
        (["--settings", "wild"], "expected mild or varied, or a file of settings, got wild, which does not exist"),
        (
            ["--table", "none.json"],
            "none.json: expected a table of labels that can be read, got no such file",
        ),
    ],
)
def test_bad_input_is_one_error(words, message, heads, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(heads, "-o", tmp_path / "picture.png", *words)
    assert not (tmp_path / "picture.png").exists()


def test_the_table_is_looked_for_beside_the_maps(heads, tmp_path):
    alone = shutil.copytree(heads, tmp_path / "maps", ignore=shutil.ignore_patterns("generation.json"))
    with pytest.raises(ValueError, match=r"maps.generation.json, got no such file; name it with --table"):
        run(alone, "-o", tmp_path / "picture.png")
    run(alone, "-o", tmp_path / "a.png", "--table", heads / "generation.json", "--samples", 1, "--spacing", 12)
    assert (tmp_path / "a.png").exists()


RECIPES = sorted(Path(__file__).parents[2].glob("zoo/recipes/whole_brain*/*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_settings_of_a_recipe_that_extends_another(path):
    settings = synthesize.read_settings(str(path))
    assert settings == Recipe.read(path).synthesis != Synthesis()


def test_the_settings_of_an_extending_recipe_stand_over_those_extended(tmp_path):
    (tmp_path / "base.toml").write_text('title = "heads"\n[synthesis]\nflip = 0.5\nnoise = 3\n', encoding="utf-8")
    (tmp_path / "recipe.toml").write_text('extends = "base.toml"\n[synthesis]\nnoise = 4\n', encoding="utf-8")
    assert synthesize.read_settings(str(tmp_path / "recipe.toml")) == Synthesis(flip=0.5, noise=4.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flip = ", "in valid TOML, got"),
        ("flop = 1", "unknown key 'flop'; did you mean 'flip'"),
        ("[synthesis]\nflop = 1", "synthesis: expected known keys, got the unknown key 'flop'; did you mean 'flip'"),
        ("synthesis = 1", "synthesis: expected a table"),
        (
            'title = "scans"\n[schedule]\nepochs = 1',
            r"\.toml: expected a recipe with a table \[synthesis\], got one without",
        ),
        ('extends = "none.toml"', "none.toml: expected a recipe that can be read, got no such file"),
        ('extends = "settings.toml"', "expected a recipe that does not extend itself, got a circle of files"),
    ],
)
def test_bad_settings_are_one_error(text, message, heads, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        run(heads, "-o", tmp_path / "picture.png", "--settings", path)
    assert "\n" not in str(caught.value)

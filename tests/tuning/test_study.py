import dataclasses
import os
import subprocess
import sys

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.tuning import Study
from recalib_keras.tuning.study import preset_recipe

SPACE = {"learning_rate": [0.01, 0.02]}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_read(study_path):
    study = Study.read(study_path)
    assert (study.name, study.folder, study.algorithm) == ("rates", study_path.parent, "grid")
    assert (study.seeds, study.epochs, len(study.space["learning_rate"])) == ((1, 2), 3, 6)
    mapping, path = study.base_recipe()
    assert (mapping["preset"], path) == ("tiny3d", study_path.parent / "balls.toml")


def test_recipe_of_a_preset():
    mapping, path = Study(space=SPACE, preset="densenet3d_pe").base_recipe()
    assert path == preset_recipe("densenet3d_pe") and mapping["preset"] == "densenet3d_pe"
    with pytest.raises(ValueError, match="did you mean 'densenet3d_pe'"):
        Study(space=SPACE, preset="densenet3d_pf").base_recipe()


@pytest.mark.parametrize("what", ["study", "recipe", "extended recipe"])
def test_refuses_a_pipe_at_once(what, tmp_path):
    path = tmp_path / "pipe.toml"
    os.mkfifo(path)
    if what != "study":
        name = "pipe.toml" if what == "recipe" else "recipe.toml"
        path = write(tmp_path / "study.toml", f'recipe = "{name}"\n[space]\n')
        write(tmp_path / "recipe.toml", 'extends = "pipe.toml"\n')
        what = "recipe"
    with pytest.raises(RecordError, match=f"pipe.toml: expected a {what} that can be read, got a pipe"):
        Study.read(path).base_recipe()


def test_how_many_trials():
    for algorithm, expected in (("random", 20), ("bayesian", 20), ("grid", None), ("hyperband", None)):
        assert Study(space=SPACE, recipe="r.toml", algorithm=algorithm).most_trials == expected
    assert Study(space=SPACE, recipe="r.toml", algorithm="grid", trials=3).most_trials == 3


def test_fingerprint(study_path):
    study = Study.read(study_path)
    assert study.fingerprint == Study.read(study_path).fingerprint
    assert dataclasses.replace(study, trials=7).fingerprint == study.fingerprint  # more trials of the same study
    renamed = dataclasses.replace(study, title="which rate?", baseline={"learning_rate": 0.01})
    assert renamed.fingerprint == study.fingerprint
    assert dataclasses.replace(study, seeds=(1, 3)).fingerprint != study.fingerprint
    assert dataclasses.replace(study, space=SPACE).fingerprint != study.fingerprint


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "either a recipe or a preset"),
        ({"recipe": "a.toml", "preset": "unet3d"}, "either a recipe or a preset"),
        (
            {"recipe": "a.toml", "algorithm": "genetic"},
            "expected algorithm to be one of 'random', 'grid', 'bayesian', 'hyperband', got 'genetic'",
        ),
        ({"recipe": "a.toml", "trials": 0}, "expected trials from 1 to 100000, got 0"),
        ({"recipe": "a.toml", "epochs": 0}, "expected epochs from 1 to 1000000, got 0"),
        ({"recipe": "a.toml", "patience": -1}, "expected patience from 0 to 1000000, got -1"),
        ({"recipe": "a.toml", "factor": 1}, "expected factor from 2 to 1000, got 1"),
        ({"recipe": "a.toml", "seed": -1}, "expected seed from 0 to 4294967294, got -1"),
        ({"recipe": "a.toml", "seed": 2**32 - 1}, "expected seed from 0 to 4294967294, got 4294967295"),
        ({"recipe": "a.toml", "seeds": (1, -1)}, "expected seeds from 0 to 4294967295, got -1"),
        ({"recipe": "a.toml", "trials": 10**9}, "expected trials from 1 to 100000, got 1000000000"),
        ({"recipe": "a.toml", "epochs": 10**400}, "expected epochs from 1 to 1000000, got an integer of 1329 bits"),
        ({"recipe": "a.toml", "algorithm": "bayes"}, "did you mean 'bayesian'"),
        ({"recipe": "a.toml", "seeds": (1, 1)}, "expected seeds to be different numbers, got"),
    ],
)
def test_refuses_bad_keys(keys, message):
    with pytest.raises(RecordError, match=message):
        Study(space=SPACE, **keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = [", "expected a study in valid TOML, got "),
        ('recipe = "r.toml"\nalgoritm = "grid"\n[space]\n', "did you mean 'algorithm'"),
        ('recipe = "r.toml"\ncost = "second"\n[space]\n', "did you mean 'seconds'"),
        ('recipe = "r.toml"\npruning = "medium"\n[space]\n', "did you mean 'median'"),
        ('recipe = "r.toml"\npruning = "median"\nalgorithm = "hyperband"\n[space]\n', "expected no pruning beside"),
        ('recipe = "r.toml"\nname = "x"\n[space]\n', "unknown key 'name'"),
        ('recipe = "r.toml"\n', "expected the key 'space', got a table without it"),
        ('recipe = "r.toml"\ntrials = "many"\n[space]\n', "trials: expected an integer"),
    ],
)
def test_refuses_bad_files(text, message, tmp_path):
    with pytest.raises(RecordError, match=message):
        Study.read(write(tmp_path / "study.toml", text))


def test_names_a_missing_file(tmp_path):
    with pytest.raises(RecordError, match=r"none\.toml: expected a study that can be read, got no such file"):
        Study.read(tmp_path / "none.toml")


def test_reading_does_not_load_keras(study_path):
    script = (
        "import sys; from recalib_keras.tuning import Study, Workers, search\n"
        "Study.read(sys.argv[1])\n"
        "heavy = {'keras', 'tensorflow', 'keras_tuner', 'nibabel', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, study_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

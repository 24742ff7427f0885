import dataclasses
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


def test_a_study_may_vary_the_recipe_of_a_preset():
    mapping, path = Study(space=SPACE, preset="densenet3d_pe").base_recipe()
    assert path == preset_recipe("densenet3d_pe") and mapping["preset"] == "densenet3d_pe"
    with pytest.raises(ValueError, match="did you mean 'densenet3d_pe'"):
        Study(space=SPACE, preset="densenet3d_pf").base_recipe()


def test_how_many_trials():
    for algorithm, expected in (("random", 20), ("bayesian", 20), ("grid", None), ("hyperband", None)):
        assert Study(space=SPACE, recipe="r.toml", algorithm=algorithm).most_trials == expected
    assert Study(space=SPACE, recipe="r.toml", algorithm="grid", trials=3).most_trials == 3


def test_the_fingerprint_is_that_of_the_question(study_path):
    study = Study.read(study_path)
    assert study.fingerprint == Study.read(study_path).fingerprint
    assert dataclasses.replace(study, trials=7).fingerprint == study.fingerprint  # more of the same
    told_otherwise = dataclasses.replace(study, title="which rate?", baseline={"learning_rate": 0.01})
    assert told_otherwise.fingerprint == study.fingerprint
    assert dataclasses.replace(study, seeds=(1, 3)).fingerprint != study.fingerprint
    assert dataclasses.replace(study, space=SPACE).fingerprint != study.fingerprint


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "either a recipe or a preset"),
        ({"recipe": "a.toml", "preset": "unet3d"}, "either a recipe or a preset"),
        ({"recipe": "a.toml", "algorithm": "genetic"}, "algorithm must be one of 'random', 'grid', 'bayesian'"),
        ({"recipe": "a.toml", "trials": 0}, "trials must be at least 1, not 0"),
        ({"recipe": "a.toml", "epochs": 0}, "epochs must be at least 1"),
        ({"recipe": "a.toml", "patience": -1}, "patience must be at least 0"),
        ({"recipe": "a.toml", "factor": 1}, "factor must be at least 2"),
        ({"recipe": "a.toml", "seed": -1}, "seed must be at least 0"),
        ({"recipe": "a.toml", "seeds": (1, 1)}, "seeds must be different numbers"),
    ],
)
def test_what_is_no_study_is_refused(keys, message):
    with pytest.raises(RecordError, match=message):
        Study(space=SPACE, **keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = [", "expected a study in valid TOML, got "),
        ('recipe = "r.toml"\nalgoritm = "grid"\n[space]\n', "did you mean 'algorithm'"),
        ('recipe = "r.toml"\nname = "x"\n[space]\n', "unknown key 'name'"),
        ('recipe = "r.toml"\n', "expected the key 'space', got a table without it"),
        ('recipe = "r.toml"\ntrials = "many"\n[space]\n', "trials: expected an integer"),
    ],
)
def test_a_file_that_is_no_study_is_refused(text, message, tmp_path):
    with pytest.raises(RecordError, match=message):
        Study.read(write(tmp_path / "study.toml", text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match="none.toml: expected a study that can be read, got 'No such file or directory'"):
        Study.read(tmp_path / "none.toml")


def test_a_study_is_read_without_loading_keras(study_path):
    script = (
        "import sys; from recalib_keras.tuning import Study, work, RemoteChief, launch\n"
        "Study.read(sys.argv[1])\n"
        "heavy = {'keras', 'tensorflow', 'keras_tuner', 'nibabel', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script, study_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

import json
import re
import sys
from types import SimpleNamespace

import keras
import pytest
from training.synthetic import RECIPE, write_recipe, write_scans

from recalib_keras import training, zoo
from recalib_keras.training import Recipe
from recalib_keras.training.distributed import strategy as distribution


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
    assert printed[0] == "reading scans (1 of 6)" and printed[2] == "compiling"
    assert re.fullmatch(r"classes, the rarest first: core [\d.]+ % of voxels, 4 scans; shell [\d.]+ % .*", printed[1])
    assert all(printed[2 + epoch].startswith(f"epoch {epoch}/2  train loss ") for epoch in (1, 2))
    assert ", validation loss " in printed[4]
    assert printed[5].startswith("mean Dice 0.") and printed[5].endswith("preset written to presets/tiny3d")
    assert (folder / "runs" / "tiny3d-balls" / "validation.png").stat().st_size > 1000
    published = folder / "presets" / "tiny3d"
    assert zoo.load(published).output_shape[-1] == 3
    # The preset's recipe stands alone, and says the same.
    assert "extends" not in (published / "balls.toml").read_text()
    assert Recipe.read(published / "balls.toml") == Recipe.read(folder / "short.toml")

    assert recalib("train", "short.toml", "--data", data) == 2
    assert "already holds a run; continue it with --resume" in capsys.readouterr().err
    assert recalib("train", "short.toml", "--data", data, "--resume") == 0
    assert "epoch" not in capsys.readouterr().out

    (folder / "longer.toml").write_text('extends = "short.toml"\n[schedule]\nepochs = 3\n')
    with pytest.warns(UserWarning, match="began with 2 epochs and continues to 3; its learning rate so far fell as"):
        assert recalib("train", "longer.toml", "--data", data, "--resume") == 0
    printed = capsys.readouterr().out
    assert "epoch 3/3" in printed and "epoch 2/3" not in printed


def test_a_refused_start_leaves_no_folder(recalib, folder, data, capsys):
    (folder / "wrong.toml").write_text('extends = "short.toml"\n[data]\nfolder = "nowhere"\n')
    assert recalib("train", "wrong.toml", "--data", data) == 2
    assert not (folder / "runs").exists()
    (folder / "runs").mkdir()
    (folder / "fewer.toml").write_text(
        'extends = "short.toml"\nlabels = [{ id = 0, name = "background" }, { id = 17, name = "shell" }]\n'
    )
    assert recalib("train", "fewer.toml", "--data", data) == 2
    error = capsys.readouterr().err.splitlines()
    assert "expected the labels [0, 17], got [53] too, as in 5 other files; add them" in error[-1] and len(error) == 2
    assert list((folder / "runs").iterdir()) == []


@pytest.mark.slow
def test_folds_one_by_one_and_all(recalib, folder, data, capsys):
    assert recalib("train", "short.toml", "--data", data, "--fold", "2/2") == 0
    assert (folder / "runs" / "tiny3d-balls" / "fold2" / "log.jsonl").exists()
    assert recalib("train", "short.toml", "--data", data, "--folds", "2", "--resume") == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("fold ")] == ["fold 2 of 2", "fold 1 of 2", "fold 2 of 2"]
    assert sum(line.startswith("epoch 2/2") for line in printed) == 2
    preset = folder / "runs" / "tiny3d-balls" / "tiny3d"
    assert re.fullmatch(r"mean Dice [\d.]+ on 6 scans, each held out by one of 2 folds; ensemble in .*", printed[-1])
    assert list(zoo.info(preset).weight_sets) == ["balls_fold2", "balls_fold1"]
    assert Recipe.read(preset / "balls_fold1.toml").data.fold == 1
    assert recalib("evaluate", "--preset", preset, "--data", data) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-3] == "6"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--fold", "0/5", "expected K/N with K from 1 to N, such as 1/5, got '0/5'"),
        ("--fold", "6/5", "expected K/N with K from 1 to N"),
        ("--fold", "a", "expected K/N with K from 1 to N"),
        ("--folds", "some", "expected 'all' or a number of folds from 2 on, got 'some'"),
    ],
)
def test_wrong_folds(option, value, message, recalib, folder, data, capsys):
    with pytest.raises(SystemExit):
        recalib("train", "short.toml", "--data", data, option, value)
    assert message in capsys.readouterr().err


def test_all_folds_of_a_recipe_without_folds(recalib, folder, data, capsys):
    assert recalib("train", "short.toml", "--data", data, "--folds", "all") == 2
    assert "expected the number of folds, got none; give --fold K/N, or set `folds` in" in capsys.readouterr().err


def test_another_seed_is_another_run(recalib, folder, data):
    assert recalib("train", "short.toml", "--data", data, "--seed", 7) == 0
    run = folder / "runs" / "tiny3d-balls-seed7"
    assert Recipe.read(run / "tiny3d" / "balls.toml").seed == 7
    assert len((run / "log.jsonl").read_text().splitlines()) == 2


def test_a_recipe_that_fails_leaves_the_others(recalib, folder, data, capsys):
    (folder / "bad.toml").write_text(RECIPE.replace("epochs = 5", "epoch = 5"))
    assert recalib("train", "bad.toml", "short.toml", "--data", data) == 1
    captured = capsys.readouterr()
    assert "did you mean 'epochs'?" in captured.err and "1 of 2 recipes failed" in captured.err
    assert json.loads((folder / "runs" / "tiny3d-balls" / "log.jsonl").read_text().splitlines()[1])["epoch"] == 2


def test_a_missing_extra_is_one_line_and_leaves_the_other_recipes(recalib, folder, data, monkeypatch, capsys):
    (folder / "other.toml").write_text('extends = "short.toml"\nweights = "other"\n')
    begun = []

    def begin(recipe, *args, **kwargs):
        begun.append(recipe.weights)
        raise ImportError("reading DICOM needs pydicom: pip install 'recalib-keras[dicom]'")

    monkeypatch.setattr(training, "train", begin)
    assert recalib("train", "short.toml", "other.toml", "--data", data) == 1
    assert begun == ["balls", "other"]
    error = capsys.readouterr().err
    assert error.count("needs pydicom") == 2 and "2 of 2 recipes failed" in error
    assert recalib("train", "short.toml", "--data", data) == 2
    assert capsys.readouterr().err.startswith("recalib train: reading DICOM needs pydicom: pip install ")


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_training_that_ends_early_says_why(epochs, recalib, folder, data, monkeypatch, capsys):
    (folder / "patient.toml").write_text('extends = "short.toml"\n[schedule]\npatience = 1\n')
    score = {"dice": 0.9, "scans": "scans", "epochs": epochs}
    monkeypatch.setattr(training, "train", lambda *args, **kwargs: SimpleNamespace(score=score))
    monkeypatch.setattr(training, "publish", lambda *args: "presets/tiny3d")
    assert recalib("train", "patient.toml", "--data", data) == 0
    printed = "ended early: none of the last validations scored higher (patience 1)\n" if epochs == 1 else ""
    assert capsys.readouterr().out == printed + "mean Dice 0.9000 on scans; preset written to presets/tiny3d\n"


def test_one_bad_recipe_is_one_line(recalib, folder, data, capsys):
    assert recalib("train", "none.toml", "--data", data) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_one_output_folder_is_for_one_recipe(recalib, folder, data, capsys):
    assert recalib("train", "short.toml", "balls.toml", "--data", data, "-o", "run") == 2
    assert "expected one recipe with --output, got 2; leave --output out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices", "64"], "expected 64 devices, got "),
        (["--hosts", "10.0.0.1:4321,10.0.0.2:4321"], "expected --hosts and --host-index together, got one of them"),
        (["--host-index", "1"], "expected --hosts and --host-index together, got one of them"),
        (["--hosts", "10.0.0.1:4321,10.0.0.2:4321", "--host-index", "0"], "expected the JAX backend for several hosts"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_devices_and_hosts_that_are_not_available(arguments, message, recalib, folder, data, capsys):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of the TensorFlow backend")
    assert recalib("train", "short.toml", "--data", data, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (folder / "runs").exists()


class Host:
    """One of two hosts."""

    hosts = 2

    def __init__(self, host):
        self.host, self.is_first = host, host == 0


@pytest.fixture
def two_hosts(monkeypatch):
    """Replaces the rendezvous with the other host, and the end of the process by a `SystemExit`."""
    monkeypatch.setattr(distribution, "over_hosts", lambda addresses, host, devices: Host(host))
    monkeypatch.setattr("os._exit", sys.exit)
    return lambda host: ["--hosts", "10.0.0.1:4321,10.0.0.2:4321", "--host-index", host]


@pytest.mark.parametrize(
    ("error", "code"), [(training.TrainingError("no\nmore"), 2), (KeyboardInterrupt(), 130)], ids=str
)
def test_a_host_that_fails_ends_at_once(error, code, recalib, folder, data, two_hosts, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(training, "train", fail)
    with pytest.raises(SystemExit) as ended:
        recalib("train", "short.toml", "--data", data, *two_hosts(1))
    assert ended.value.code == code
    assert capsys.readouterr().err == f"recalib train: host 1: {'no more' if code == 2 else 'stopped'}\n"


@pytest.mark.parametrize("host", [0, 1])
def test_only_the_first_host_prints_and_publishes(host, recalib, folder, data, two_hosts, monkeypatch, capsys):
    def report_to_those_who_listen(*args, on_epoch=lambda line: None, **kwargs):
        on_epoch({"epoch": 1, "loss": 0.5, "seconds": 1})
        return SimpleNamespace(score={"dice": 0.9, "scans": "scans"})

    monkeypatch.setattr(training, "train", report_to_those_who_listen)
    monkeypatch.setattr(training, "publish", lambda *args: "presets/tiny3d")
    assert recalib("train", "short.toml", "--data", data, *two_hosts(host)) == 0
    printed = "epoch 1/2  train loss 0.5000  1 s\nmean Dice 0.9000 on scans; preset written to presets/tiny3d\n"
    assert capsys.readouterr().out == ("" if host else printed)

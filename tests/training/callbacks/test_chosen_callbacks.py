"""Callbacks by name in a recipe, and from Python; trackers offline."""

import re
import sys
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pytest
from training.runs import assert_same_run, read_log
from training.synthetic import changed

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.training import Recipe, find_split, train
from recalib_keras.training.callbacks.chosen import as_logs, find_callbacks
from recalib_keras.training.run.fingerprint import difference, fingerprint


def with_callbacks(recipe, *callbacks, **tables):
    mapping = to_mapping(changed(recipe, schedule={"epochs": 3, "steps_per_epoch": 2}, **tables))
    return from_mapping(Recipe, {**mapping, "callbacks": list(callbacks)}, "recipe")


class Witness(keras.callbacks.Callback):
    """Notes what it sees."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.seen, self.logs, self.stop_after = [], [], stop_after

    def on_train_begin(self, logs=None):
        self.seen.append(("begin", self.params["epochs"], self.params["steps"]))

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(f"step {batch}")

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)
        self.model.stop_training = epoch == self.stop_after

    def on_train_end(self, logs=None):
        self.seen.append("end")


def test_callbacks_see_one_training(recipe, data, tmp_path):
    witness, lines = Witness(), []
    train(with_callbacks(recipe), tmp_path, data, callbacks=[witness], on_epoch=lines.append)
    steps = ["step 0", "step 1"]
    assert witness.seen == [("begin", 3, 2), 0, *steps, 1, *steps, 2, *steps, "end"]
    assert witness.logs == [as_logs(line) for line in lines]
    assert witness.logs[0].keys() >= {"loss", "val_loss", "val_dice", "val_dice_shell", "val_dice_core"}


@pytest.mark.slow
def test_callbacks_change_nothing(recipe, data, tmp_path):
    train(with_callbacks(recipe), tmp_path / "plain", data)
    named = with_callbacks(recipe, {"name": "keras.callbacks.CSVLogger", "arguments": {"filename": "{run}/mine.csv"}})
    train(named, tmp_path / "named", data, callbacks=[Witness()])
    assert_same_run(tmp_path / "named", tmp_path / "plain")
    table = (tmp_path / "named" / "mine.csv").read_text().splitlines()
    assert len(table) == 4 and table[0].startswith("epoch,loss,val_") and "val_dice_core" in table[0]
    assert difference(*(fingerprint(one, find_split(one, data)) for one in (named, with_callbacks(recipe)))) is None


@pytest.mark.slow
def test_a_complete_run_calls_no_callback(recipe, data, tmp_path):
    train(with_callbacks(recipe), tmp_path, data)
    witness = Witness()
    train(with_callbacks(recipe), tmp_path, data, resume=True, callbacks=[witness])
    assert witness.seen == []


def test_a_callback_may_stop_the_training(recipe, data, tmp_path):
    rarely = with_callbacks(recipe)
    rarely = changed(rarely, schedule={"validate_every": 3})
    described = train(rarely, tmp_path, data, callbacks=[Witness(stop_after=1)])
    lines = read_log(tmp_path)
    assert len(lines) == 2 and "dice" in lines[1] and described.score["epochs"] == 2


@pytest.mark.slow
def test_early_stopping_by_name(recipe, data, tmp_path):
    stopping = {"monitor": "val_dice", "mode": "max", "patience": 0, "min_delta": 1.0}
    early = with_callbacks(recipe, {"name": "keras.callbacks.EarlyStopping", "arguments": stopping})
    train(early, tmp_path, data)
    assert len(read_log(tmp_path)) == 2


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"name": "wanbd"}, RecordError, "or wandb, mlflow, comet, got 'wanbd'; did you mean 'wandb'?"),
        (
            {"name": "keras.callbacks.CSVLoger"},
            RecordError,
            "got 'CSVLoger'; did you mean 'CSVLogger'?",
        ),
        ({"name": "os.system"}, RecordError, "expected the name of a keras.callbacks.Callback in os, got 'system'"),
        ({"name": "nowhere.Callback"}, ImportError, "needs nowhere, which is not installed; run: pip install nowhere"),
        ({"name": "keras.callbacks.CSVLogger", "argument": {}}, RecordError, "did you mean 'arguments'?"),
    ],
)
def test_wrong_names(settings, kind, message, recipe, data, tmp_path):
    with pytest.raises(kind) as caught:
        train(with_callbacks(recipe, settings), tmp_path / "run", data)
    assert message in str(caught.value) and not (tmp_path / "run").exists()


def test_wrong_arguments_are_reported_before_scans_are_read(recipe, data, tmp_path):
    named = with_callbacks(recipe, {"name": "keras.callbacks.CSVLogger", "arguments": {"file": "x"}})
    with pytest.raises(RecordError, match=r"callbacks: expected arguments that fit keras\.callbacks\.CSVLogger, got"):
        train(named, tmp_path / "run", data)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tracker", ["wandb", "mlflow", "comet"])
def test_a_tracker_that_is_missing_tells_the_command(tracker, recipe, monkeypatch):
    for module in ("wandb", "mlflow", "comet_ml"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'not installed; run: pip install "recalib-keras\[{tracker}\]"'):
        find_callbacks(with_callbacks(recipe, {"name": tracker}))


@pytest.mark.filterwarnings("ignore")  # of MLflow and what it brings
def test_mlflow_tracks_to_a_folder(recipe, data, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tracked = with_callbacks(
        recipe, {"name": "mlflow", "arguments": {"tracking_uri": "file:{run}/mlflow", "experiment": "balls"}}
    )
    lines = []
    train(tracked, tmp_path / "run", data, on_epoch=lines.append)
    assert mlflow.active_run() is None
    mlflow.flush_async_logging()
    (run,) = mlflow.MlflowClient(f"file:{tmp_path / 'run' / 'mlflow'}").search_runs(
        [mlflow.get_experiment_by_name("balls").experiment_id]
    )
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    assert run.data.metrics["val_dice"] == pytest.approx(lines[-1]["dice"])
    assert {"loss", "val_loss", "val_dice_core"} <= run.data.metrics.keys()


class Tracked(keras.callbacks.Callback):
    """What a made-up tracker's own callback notes."""

    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)


@pytest.fixture
def trackers(monkeypatch):
    """Made-up modules of W&B and Comet, which note how they are called."""
    noted, callback = [], Tracked()
    wandb = ModuleType("wandb")
    run = SimpleNamespace(finish=lambda: noted.append("finished"))
    wandb.init = lambda **arguments: noted.append(arguments) or run
    keras_of_wandb = ModuleType("wandb.integration.keras")
    keras_of_wandb.WandbMetricsLogger = lambda: callback
    comet = ModuleType("comet_ml")
    experiment = SimpleNamespace(
        log_parameters=lambda values: noted.append(values["preset"]),
        get_callback=lambda kind: callback,
        end=lambda: noted.append("finished"),
    )
    comet.ExperimentConfig = SimpleNamespace
    comet.start = lambda **arguments: noted.append(arguments) or experiment
    parts = {"wandb": wandb, "wandb.integration": ModuleType("i"), "wandb.integration.keras": keras_of_wandb}
    for name, module in {**parts, "comet_ml": comet}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return noted, callback


def test_wandb_follows_a_run_and_finds_it_again(trackers, recipe, data, tmp_path):
    noted, callback = trackers
    train(with_callbacks(recipe, {"name": "wandb", "arguments": {"mode": "offline"}}), tmp_path / "run", data)
    arguments, last = noted
    assert (arguments["project"], arguments["name"], arguments["mode"]) == ("recalib-keras", "run", "offline")
    assert arguments["resume"] == "allow" and arguments["config"]["preset"] == "tiny3d" and last == "finished"
    assert len(callback.logs) == 3 and np.isfinite(callback.logs[-1]["val_dice"])


def test_comet_follows_a_run_and_finds_it_again(trackers, recipe, data, tmp_path):
    noted, callback = trackers
    train(with_callbacks(recipe, {"name": "comet", "arguments": {"online": False}}), tmp_path / "run", data)
    arguments, *rest = noted
    assert arguments["project_name"] == "recalib-keras"
    assert (arguments["mode"], arguments["online"]) == ("get_or_create", False)
    assert re.fullmatch("[0-9a-f]{32}", arguments["experiment_key"]) and rest == ["tiny3d", "finished"]
    assert vars(arguments["experiment_config"]) == {"name": "run", "offline_directory": str(tmp_path / "run" / "comet")}
    assert len(callback.logs) == 3

"""Callbacks that a recipe names, or Python gives: any of Keras's, or ready lines for W&B, MLflow and Comet."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from recalib_keras.core.errors import RecordError, missing_package
from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.records import to_mapping
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.recipe_tables import TRACKERS, CallbackSettings

RUN = "{run}"  # in a text argument: the folder of the run
PROJECT = "recalib-keras"
Make = Callable[[Recipe, Path], list[keras.callbacks.Callback]]


def find_callbacks(recipe: Recipe) -> list[Make]:
    """Returns, for each callback of a recipe, the function that makes it; nothing is made yet.

    Args:
        recipe: The recipe.

    Raises:
        ImportError: A library is not installed; says the command that installs it.
        RecordError: A name is not that of a callback.
    """
    return [functools.partial(_made, settings, _found(settings)) for settings in recipe.callbacks]


class CallbackRelay(keras.callbacks.Callback):
    """Shows callbacks one training, though each of its epochs is a `fit` of its own.

    It is given to each `fit` and passes on the steps; the trainer calls the other methods.

    Args:
        make: Returns the callbacks; called when the first epoch begins, so never for a run that is complete.
        model: The model that is fitted.
        epochs: Number of epochs of the training.
        steps: Steps of an epoch.
    """

    def __init__(
        self, make: Callable[[], Sequence[keras.callbacks.Callback]], model: keras.Model, epochs: int, steps: int
    ):
        super().__init__()
        self._make, self._fitted, self._params = make, model, {"epochs": epochs, "steps": steps, "verbose": 0}
        self._list: Any = None

    def begin_epoch(self, epoch: int) -> None:
        """Calls the callbacks at the start of an epoch, and before the first one at the start of the training.

        Args:
            epoch: Its number, from 0.
        """
        if self._list is None:
            self._list = keras.callbacks.CallbackList(list(self._make()), model=self._fitted, **self._params)
            self._fitted.stop_training = False
            self._list.on_train_begin()
        self._list.on_epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Passes on a step."""
        self._list.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Passes on a step."""
        self._list.on_train_batch_end(batch, logs)

    def end_epoch(self, line: Mapping[str, Any]) -> bool:
        """Passes the results of an epoch to the callbacks; returns whether one of them stops the training.

        Args:
            line: Its line of the log.
        """
        self._list.on_epoch_end(line["epoch"] - 1, as_logs(line))
        return bool(self._fitted.stop_training)

    def end(self) -> None:
        """Calls the callbacks at the end of the training."""
        if self._list is not None:
            self._list.on_train_end()


def as_logs(line: Mapping[str, Any]) -> dict[str, float]:
    """Returns a line of the log with Keras's names, which callbacks such as `EarlyStopping` monitor.

    Args:
        line: The line of an epoch.

    Example:
        >>> as_logs({"epoch": 1, "loss": 0.4, "validation_loss": 0.5, "dice": 0.8, "dice_by_structure": {"core": 0.7}})
        {'loss': 0.4, 'val_loss': 0.5, 'val_dice': 0.8, 'val_dice_core': 0.7}
    """
    logs = {"loss": line["loss"]}
    logs |= {key.replace("validation", "val"): value for key, value in line.items() if key.startswith("validation_")}
    if "dice" in line:
        logs["val_dice"] = line["dice"]
        by_structure = line.get("dice_by_structure", {}).items()
        logs |= {f"val_dice_{re.sub(r'[^A-Za-z0-9_. -]', '_', name)}": value for name, value in by_structure}
    return logs


def _made(settings, make, recipe, folder):
    arguments = {key: _in_folder(value, folder) for key, value in settings.arguments.items()}
    if settings.name in TRACKERS:
        return make(recipe, folder, **arguments)
    try:
        return [make(**arguments)]
    except TypeError as error:
        raise _misfit(settings, error) from None


def _found(settings: CallbackSettings) -> Any:
    """Returns the class of a callback, or the function that makes those of a tracker."""
    if settings.name in TRACKERS:
        _imported(settings.name, TRACKERS[settings.name], f'pip install "recalib-keras[{settings.name}]"')
        return {"wandb": _wandb, "mlflow": _mlflow, "comet": _comet}[settings.name]
    module, _, name = settings.name.rpartition(".")
    found = _imported(settings.name, module, f"pip install {module.partition('.')[0]}")
    kind = getattr(found, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, keras.callbacks.Callback)):
        known = [key for key, value in vars(found).items()
                 if inspect.isclass(value) and issubclass(value, keras.callbacks.Callback)]  # fmt: skip
        raise RecordError(
            part="callbacks",
            expected=f"the name of a keras.callbacks.Callback in {module}",
            received=repr(name),
            remedy=did_you_mean(name, known) or None,
        )
    try:
        inspect.signature(kind).bind(**settings.arguments)
    except TypeError as error:
        raise _misfit(settings, error) from None
    return kind


def _misfit(settings, error):
    return RecordError(part="callbacks", expected=f"arguments that fit {settings.name}", received=f"others ({error})")


def _imported(name, module, command):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise missing_package(f"the callback {name!r}", error.name, command) from None


def _in_folder(value, folder):
    return value.replace(RUN, str(folder)) if isinstance(value, str) else value


class _Closing(keras.callbacks.Callback):
    """Closes a tracker at the end of the training."""

    def __init__(self, close: Callable[[], object]):
        super().__init__()
        self.close = close

    def on_train_end(self, logs=None):
        self.close()


def _key(folder):
    """What a tracker knows a run's folder by."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()


def _wandb(recipe, folder, **arguments):
    """Weights & Biases; arguments of `wandb.init`. A run that resumes continues there, too."""
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    settings = {"project": PROJECT, "name": folder.name, "dir": str(folder), "id": _key(folder)[:12], "resume": "allow"}
    run = wandb.init(config=to_mapping(recipe), **{**settings, **arguments})
    return [WandbMetricsLogger(), _Closing(run.finish)]


def _mlflow(recipe, folder, tracking_uri=None, experiment=PROJECT, **arguments):
    """MLflow; where it tracks, the experiment, and arguments of `mlflow.start_run`."""
    import mlflow
    import mlflow.keras

    if tracking_uri is not None:
        mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(experiment)
    mlflow.start_run(**{"run_name": folder.name, **arguments})
    mlflow.log_dict(to_mapping(recipe), "recipe.json")
    return [mlflow.keras.MlflowCallback(), _Closing(mlflow.end_run)]


def _comet(recipe, folder, **arguments):
    """Comet; arguments of `comet_ml.start`. A run that resumes continues there, too."""
    import comet_ml

    settings = {"project_name": PROJECT, "experiment_key": _key(folder)[:32], "mode": "get_or_create"}
    settings["experiment_config"] = comet_ml.ExperimentConfig(name=folder.name, offline_directory=str(folder / "comet"))
    experiment = comet_ml.start(**{**settings, **arguments})
    experiment.log_parameters(to_mapping(recipe))
    return [experiment.get_callback("keras"), _Closing(experiment.end)]

"""Training of a network by a recipe: fits it, validates it, keeps the best weights, resumes a stopped run."""

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from recalib_keras.inference import Segmenter, reference_range_of
from recalib_keras.pipeline import keep_memory
from recalib_keras.training.callbacks.chosen import CallbackRelay, find_callbacks
from recalib_keras.training.callbacks.steps import StepMonitor, TorchSeeds, check_weights
from recalib_keras.training.data.class_balance import ClassShare
from recalib_keras.training.data.sources import make_source
from recalib_keras.training.data.split import Split, find_split
from recalib_keras.training.distributed.strategy import ONE_DEVICE, Distribution, accelerator
from recalib_keras.training.early_stopping import has_stalled
from recalib_keras.training.fine_tuning import start_from
from recalib_keras.training.losses.deep_supervision import SupervisedModel
from recalib_keras.training.losses.dice_cross_entropy import DiceCrossEntropy, class_weights
from recalib_keras.training.losses.validation_loss import ValidationLoss
from recalib_keras.training.network import build_network, training_precision
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.run.fingerprint import fingerprint
from recalib_keras.training.run.folder import RunFolder
from recalib_keras.training.validation import in_words, validate
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.preset import WeightSet

READING_LABELS, READING, COMPILING = "reading labels", "reading scans", "compiling"
CONDITIONS = ("device", "precision")  # in the log and the score, where they are not a CPU and the recipe's


def train(
    recipe: Recipe,
    run_folder: str | os.PathLike,
    data_root: str | os.PathLike,
    resume: bool = False,
    distribution: Distribution = ONE_DEVICE,
    on_epoch: Callable[[dict[str, Any]], object] = lambda line: None,
    on_step: Callable[..., object] = lambda *progress: None,
    on_stage: Callable[[str, int, int], object] = lambda stage, done, count: None,
    on_data: Callable[[Sequence[ClassShare]], object] = lambda balance: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    use_cache: bool = True,
    split: Split | None = None,
) -> WeightSet:
    """Trains a network, and leaves its best weights and its log in a folder.

    Args:
        recipe: The recipe.
        run_folder: Folder of the run. It gets `best.safetensors` (the weights with the highest mean Dice on the
            validation scans), the log (see `recalib_keras.training.run.log`) and `checkpoint.safetensors`.
        data_root: Folder that the recipe's data folder is relative to.
        resume: Whether to continue from the checkpoint in `run_folder`, if there is one. The result is the same, bit
            for bit on one CPU, as that of a run that was never stopped. The recipe and the scans must be those that the
            run began with, except for what only describes the weights, the patience, and more epochs. (With cosine
            decay the weights then differ from those of a run that had as many epochs from its start.)
        distribution: The devices and hosts to train on. All hosts call this function, and the first one writes the
            files.
        on_epoch: Called with the line of the log after each epoch.
        on_step: Called with `(epoch, step, steps, loss)` after each step; epochs and steps count from 1.
        on_stage: Called with `(stage, done, count)` while the first step is not yet reached: with `"reading
            labels"` and `"reading scans"` after each scan, and with `"compiling"` before the first step.
        on_data: Called once with the share of each class in the training scans; see
            `recalib_keras.training.data.class_balance`. They are in `classes.csv` too.
        callbacks: Keras callbacks besides those of the recipe; `recalib_keras.training.recipe_tables.CallbackSettings`
            says what they see.
        use_cache: Whether training scans are prepared once in the cache on disk (`recalib_keras.core.cache`) and read
            from there; otherwise all are kept in memory. The result is the same.
        split: What `find_split` found for the recipe in `data_root`; None to look now.

    Returns:
        The description of the best weights as they are stored, with their score in float32.

    Raises:
        TrainingError: The folder holds a run and `resume` is False, or a run of another recipe or other scans; no
            scan is left to train on; or another host is lost.
        DivergedError: The loss or a weight is no longer finite.
        DatasetError: Scans cannot be used; lists every problem.
        WeightsError: The weights are too large for the recipe's `storage`, or those of `init` do not fit.
        WriteError: The folder cannot be written, or its disk is full; its last checkpoint is intact.
        ValueError: The devices cannot share a batch evenly, or hosts were given different recipes or scans.
        ImportError: A library that a callback needs is not installed.
    """
    share = distribution.share(recipe.schedule.batch_size)
    run = RunFolder(run_folder, recipe.labels[1:], is_writer=distribution.is_first)
    keep_memory()
    with distribution.together():
        with run.claimed(resume):
            split = split or find_split(recipe, data_root, functools.partial(on_stage, READING_LABELS))
            _identify(run, recipe, fingerprint(recipe, split, use_cache), distribution)
            made = find_callbacks(recipe)
            with distribution.scope():
                model = _network(recipe)  # before the scans are read, so that its errors come at once
            source = make_source(recipe, split, data_root, functools.partial(on_stage, READING), use_cache)
            with distribution.scope():
                fitted, criterion = _compiled(model, recipe, source)
                run.restore(fitted)
        run.begin()
        balance = source.class_balance()
        run.write_classes(balance)
        on_data(balance)
        on_stage(COMPILING, 0, 0)
        description = _describe(recipe, model, split.validation)
        validation: Any = _NoValidation()
        if split.validation:
            validation = _Validation(recipe, split.validation, description, criterion, distribution)
        relay = _relay(made, callbacks, recipe, run, fitted, len(source.examples(0, share)))
        epochs = _Epochs(recipe, run, source, share, model, fitted, validation, relay, distribution)
        while not epochs.are_over:
            line = epochs.fit_next(on_step)
            run.end_epoch(line, fitted)
            on_epoch(line)
        relay.end()
        run.store_best(recipe.storage)
        distribution.wait()
        return (_with_score if split.validation else _without_score)(description, run, split)


@dataclass
class _Epochs:
    """The epochs of a training that are still to come."""

    recipe: Recipe
    run: RunFolder
    source: Any
    share: slice
    model: keras.Model
    fitted: keras.Model
    validation: Any
    relay: CallbackRelay
    distribution: Distribution
    is_stopped: bool = False

    @property
    def are_over(self):
        history, schedule = self.run.history, self.recipe.schedule
        return self.is_stopped or len(history) >= schedule.epochs or has_stalled(history, schedule.patience)

    def fit_next(self, on_step):
        """Fits the next epoch, validates it if it is due, and returns its line of the log."""
        epoch, schedule = len(self.run.history), self.recipe.schedule
        self.relay.begin_epoch(epoch)
        with self.distribution.scope():
            line = _fit_epoch(self.fitted, self.source.examples(epoch, self.share), self.run, on_step, self.relay)
        line |= _conditions(self.recipe)
        is_last = epoch + 1 == schedule.epochs
        if (epoch + 1) % schedule.validate_every == 0 or is_last:
            self._validate(line, is_last)
        # Only the first of several hosts has callbacks, and cannot stop the others.
        self.is_stopped = self.relay.end_epoch(line) and self.distribution.hosts == 1
        if self.is_stopped and "dice" not in line:
            self._validate(line, is_last=True)
        return line

    def _validate(self, line, is_last):
        self.validation.score(line, self.run, self.model, self.fitted, is_last)


def _identify(run, recipe, identity, distribution):
    """Checks that all hosts train the same run in the same folder, and that it is the run the folder holds."""
    distribution.agree("recipe and scans", identity)
    distribution.agree(
        "precision", training_precision(recipe), 'give the recipe `precision = "float32"`, which suits all processors'
    )
    distribution.check_shared(run.path)
    run.identify(identity)


def _network(recipe):
    keras.utils.set_random_seed(recipe.seed)
    model = build_network(recipe)
    if recipe.init is not None:
        start_from(model, recipe)
    return model


def _compiled(model, recipe, source):
    """Returns what is fitted, the network or the network with further heads, and the loss."""
    criterion = _loss(recipe, source)
    fitted = SupervisedModel(model, criterion) if recipe.loss.deep_supervision else model
    optimizer = make_optimizer(recipe, len(source.examples(0, slice(None))))
    optimizer.build(fitted.trainable_variables)
    fitted.compile(optimizer, criterion if fitted is model else None)
    return fitted, criterion


def _relay(made, callbacks, recipe, run, fitted, steps):
    """Returns the relay of the recipe's callbacks and those from Python; hosts that write no files have none."""

    def make_all():
        return [*(one for make in made for one in make(recipe, run.path)), *callbacks] if run.is_writer else []

    return CallbackRelay(make_all, fitted, recipe.schedule.epochs, steps)


def _loss(recipe, source):
    settings, weights = recipe.loss, None
    if settings.class_weights != "none":
        weights = class_weights(settings.class_weights, source.class_maps(), len(recipe.labels))
    return DiceCrossEntropy.of(recipe, weights, source.label_sets.sets or None)


def _fit_epoch(model, examples, run, on_step, relay):
    start, epoch = time.perf_counter(), examples.epoch + 1
    callbacks = [StepMonitor(examples, run.last_checkpoint, on_step), TorchSeeds(examples), relay]
    history = model.fit(examples.for_fit(), verbose=0, shuffle=False, callbacks=callbacks)
    check_weights(model, epoch, run.last_checkpoint)
    loss = history.history["loss"][0]
    return {"epoch": epoch, "loss": round(loss, 5), "seconds": round(time.perf_counter() - start, 1)}


def _conditions(recipe):
    """Returns the device of a training, if it is no CPU, and its precision, if it is not the recipe's."""
    precision = training_precision(recipe)
    found = accelerator(), None if precision == recipe.schedule.precision else precision
    return {key: value for key, value in zip(CONDITIONS, found) if value is not None}


class _Validation:
    """Scores the weights of an epoch on the validation scans."""

    def __init__(self, recipe, scans, description, criterion, distribution):
        self.scans, self.description = scans, description
        self.loss = ValidationLoss(recipe, scans, criterion)
        # A network that is spread over devices is validated as a copy on one of them.
        is_alone = distribution.devices == 1
        self.copy = None if is_alone else description.build(dtype=training_precision(recipe))

    def score(self, line, run, model, fitted, is_last):
        """Adds losses and Dice to the line of an epoch, and keeps the weights if they are the best so far."""
        with _averaged(fitted):
            validated = model if self.copy is None else self.copy
            if validated is self.copy:
                _assign(validated.weights, _values(model.weights))
            segmenter = Segmenter(self.description, validated)
            line.update(self.loss(segmenter.engine), **validate(segmenter, self.scans, show=run.draw))
            run.keep_if_best(line, validated)


class _NoValidation:
    """Keeps the weights of the last epoch of a training that holds out no scan."""

    def score(self, line, run, model, fitted, is_last):
        """Keeps the weights if the epoch is the last one."""
        if is_last:
            with _averaged(fitted):
                run.keep(model)


@contextlib.contextmanager
def _averaged(model):
    """Gives the model the moving averages of its weights for a while, if its optimizer keeps them."""
    if not model.optimizer.use_ema:
        yield
        return
    last = _values(model.trainable_variables)
    _assign(model.trainable_variables, _values(model.optimizer.averages(model.trainable_variables)))
    try:
        yield
    finally:
        _assign(model.trainable_variables, last)


def _values(variables):
    """Returns copies, because JAX deletes the arrays of a network's variables with each step."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values):
        variable.assign(value)


def _describe(recipe, model, validation):
    return WeightSet(
        title=recipe.title,
        network=recipe.network,
        input=recipe.input,
        labels=recipe.labels,
        file=zoo_weights.file_name(recipe.weights),
        sha256="",
        parameters=model.count_params(),
        data=recipe.origin,
        held_out=tuple(dict.fromkeys(scan.patient for scan in validation)),
    )


def _without_score(description, run, split):
    """Returns the description of weights that learned from all scans."""
    scans = len(split.training)
    score = {"scans": f"no scan: the weights learned from all {scans}", "training_scans": scans, **_effort(run)}
    return dataclasses.replace(description, sha256=zoo_weights.sha256(run.best.read_bytes()), score=score)


def _effort(run):
    """Returns how long a training took, and on what device and in what precision."""
    last, minutes = run.history[-1], sum(line["seconds"] for line in run.history) / 60
    conditions = {key: last[key] for key in CONDITIONS if key in last}
    return {"epochs": len(run.history), "training_minutes": round(minutes, 1), **conditions}


def _with_score(description, run, split):
    """Returns the description with the SHA-256 of the best weights, and with their score in float32."""
    content, validation = run.best.read_bytes(), split.validation
    model = description.build(dtype="float32")
    zoo_weights.assign(model, zoo_weights.read(run.best))
    seen = []
    measured = validate(Segmenter(description, model), validation, seen=seen)
    score = {"scans": in_words(validation, measured), **measured, **_effort(run)}
    typical = reference_range_of(seen)
    return dataclasses.replace(description, sha256=zoo_weights.sha256(content), score=score, typical=typical)

"""Training of a network by a recipe: fits it, validates it, keeps the best weights, resumes a stopped run."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from recalib_keras.inference import Segmenter, reference_range_of
from recalib_keras.pipeline import keep_memory
from recalib_keras.training.callbacks import StepMonitor, TorchSeeds, check_weights
from recalib_keras.training.data.sources import make_source
from recalib_keras.training.data.split import find_split
from recalib_keras.training.distributed.strategy import ONE_DEVICE, Distribution, accelerator
from recalib_keras.training.early_stopping import has_stalled
from recalib_keras.training.fine_tuning import start_from
from recalib_keras.training.losses import DiceCrossEntropy, class_weights
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.run.fingerprint import fingerprint
from recalib_keras.training.run.folder import RunFolder
from recalib_keras.training.validation import in_words, validate
from recalib_keras.training.validation_loss import ValidationLoss
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.preset import WeightSet


def train(
    recipe: Recipe,
    run_folder: str | os.PathLike,
    data_root: str | os.PathLike,
    resume: bool = False,
    distribution: Distribution = ONE_DEVICE,
    on_epoch: Callable[[dict[str, Any]], object] = lambda line: None,
    on_step: Callable[..., object] = lambda *progress: None,
) -> WeightSet:
    """Trains a network, and leaves its best weights and its log in a folder.

    Args:
        recipe: The recipe.
        run_folder: Folder of the run. It gets `best.safetensors` (the weights with the highest mean Dice on the
            validation scans), the log (see `recalib_keras.training.run.log`) and `checkpoint.safetensors`.
        data_root: Folder that the recipe's data folder is relative to.
        resume: Whether to continue from the checkpoint in `run_folder`, if there is one. The result is the same, bit
            for bit on CPU, as that of a run that was never stopped. The recipe and the scans must be those that the
            run began with, except for what only describes the weights, the patience and, without cosine decay, the
            epochs.
        distribution: The devices and hosts to train on. All hosts call this function, and the first one writes the
            files.
        on_epoch: Called with the line of the log after each epoch.
        on_step: Called with `(epoch, step, steps, loss)` after each step; epochs and steps count from 1.

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
    """
    share = distribution.share(recipe.schedule.batch_size)
    run = RunFolder(run_folder, recipe.labels[1:], is_writer=distribution.is_first)
    run.claim(resume)
    keep_memory()
    split = find_split(recipe, data_root)
    with distribution.together():
        _identify(run, fingerprint(recipe, split), distribution)
        with distribution.scope():
            model = _network(recipe)  # before the scans are read, so that its errors come at once
        source = make_source(recipe, split, data_root)
        with distribution.scope():
            _compile(model, recipe, source)
            run.restore(model)
        run.begin()
        description = _describe(recipe, model, split.validation)
        validation = _Validation(recipe, split.validation, description, model, distribution)
        for epoch in range(len(run.history), recipe.schedule.epochs):
            if has_stalled(run.history, recipe.schedule.patience):
                break
            with distribution.scope():
                line = _fit_epoch(model, source.examples(epoch, share), run, on_step)
            if (epoch + 1) % recipe.schedule.validate_every == 0 or epoch + 1 == recipe.schedule.epochs:
                validation.score(line, run)
            run.end_epoch(line, model)
            on_epoch(line)
        run.store_best(recipe.storage)
        distribution.wait()
        return _with_score(description, run, split.validation)


def _identify(run, identity, distribution):
    """Checks that all hosts train the same run in the same folder, and that it is the run the folder holds."""
    distribution.agree("recipe and scans", identity)
    distribution.check_shared(run.path)
    run.identify(identity)


def _network(recipe):
    keras.utils.set_random_seed(recipe.seed)
    model = recipe.network.build(
        recipe.input.shape, recipe.network.num_classes(recipe.labels), dtype=recipe.schedule.precision
    )
    if recipe.init is not None:
        start_from(model, recipe)
    return model


def _compile(model, recipe, source):
    optimizer = make_optimizer(recipe, len(source.examples(0, slice(None))))
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, _loss(recipe, source))


def _loss(recipe, source):
    settings, weights = recipe.loss, None
    if settings.class_weights != "none":
        weights = class_weights(settings.class_weights, source.class_maps(), len(recipe.labels))
    return DiceCrossEntropy.of(recipe, weights, source.label_sets.sets or None)


def _fit_epoch(model, examples, run, on_step):
    start, epoch = time.perf_counter(), examples.epoch + 1
    callbacks = [StepMonitor(examples, run.last_checkpoint, on_step), TorchSeeds(examples)]
    history = model.fit(examples.for_fit(), verbose=0, shuffle=False, callbacks=callbacks)
    check_weights(model, epoch, run.last_checkpoint)
    loss = history.history["loss"][0]
    line = {"epoch": epoch, "loss": round(loss, 5), "seconds": round(time.perf_counter() - start, 1)}
    device = accelerator()
    return line if device is None else {**line, "device": device}


class _Validation:
    """Scores the weights of an epoch on the validation scans."""

    def __init__(self, recipe, scans, description, model, distribution):
        self.scans, self.description, self.model = scans, description, model
        self.loss = ValidationLoss(recipe, scans, model.loss)
        # A network that is spread over devices is validated as a copy on one of them.
        is_alone = distribution.devices == 1
        self.validated = model if is_alone else description.build(dtype=recipe.schedule.precision)

    def score(self, line, run):
        """Adds losses and Dice to the line of an epoch, and keeps the weights if they are the best so far."""
        with _averaged(self.model):
            if self.validated is not self.model:
                _assign(self.validated.weights, _values(self.model.weights))
            segmenter = Segmenter(self.description, self.validated)
            line.update(self.loss(segmenter.engine), **validate(segmenter, self.scans, show=run.draw))
            run.keep_if_best(line, self.validated)


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
        file=f"{recipe.weights}.safetensors",
        sha256="",
        parameters=model.count_params(),
        data=recipe.origin,
        held_out=tuple(dict.fromkeys(scan.patient for scan in validation)),
    )


def _with_score(description, run, validation):
    """Returns the description with the SHA-256 of the best weights, and with their score in float32."""
    content = run.best.read_bytes()
    model = description.build(dtype="float32")
    zoo_weights.assign(model, zoo_weights.read(run.best))
    seen = []
    score = {
        "scans": in_words(validation),
        **validate(Segmenter(description, model), validation, seen=seen),
        "epochs": len(run.history),
        "training_minutes": round(sum(line["seconds"] for line in run.history) / 60, 1),
    }
    if "device" in run.history[-1]:
        score["device"] = run.history[-1]["device"]
    typical = reference_range_of(seen)
    return dataclasses.replace(description, sha256=zoo_weights.sha256(content), score=score, typical=typical)

"""Fit a network by a recipe, keep the best weights, and go on where a run was stopped."""

import contextlib
import dataclasses
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from recalib_keras.inference import Segmenter, reference_range_of
from recalib_keras.pipeline import keep_memory
from recalib_keras.training.callbacks import Watch, check_weights
from recalib_keras.training.data.sources import find_source
from recalib_keras.training.distributed.strategy import ONE_DEVICE, accelerator
from recalib_keras.training.early_stopping import is_no_better
from recalib_keras.training.fine_tuning import start_from
from recalib_keras.training.losses import DiceCrossEntropy, class_weights
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.run.fingerprint import identity
from recalib_keras.training.run.folder import RunFolder
from recalib_keras.training.validation import in_words, validate
from recalib_keras.training.validation_loss import HeldOutLoss
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.preset import WeightSet


def train(
    recipe,
    run_folder,
    data_root,
    resume=False,
    distribution=ONE_DEVICE,
    on_epoch=lambda line: None,
    on_step=lambda *progress: None,
):
    """Trains a network and leaves its best weights and its log in a folder.

    Args:
        recipe: `Recipe`.
        run_folder: path; gets `best.safetensors` (the weights with the highest mean Dice on the validation scans),
            the log (see `recalib_keras.training.run.log`) and `checkpoint.safetensors` (to resume from).
        data_root: path that the recipe's data folder is relative to.
        resume: whether to go on from the checkpoint in `run_folder`, if there is one. The result is the same, bit for
            bit on CPU, as that of a run that was never stopped. The recipe and the scans must be those that the run
            was begun with, but for what only describes the weights, the patience and, without cosine decay, the epochs.
        distribution: `recalib_keras.training.distributed.strategy.Distribution`, the devices and hosts to train on. Of several
            hosts, all call this function, and the first one writes the files.
        on_epoch: function called with the log's line, a dict, after each epoch.
        on_step: function called with `(epoch, step, steps, loss)` after each step, epochs and steps from 1.

    Returns:
        `WeightSet` that describes the best weights as they are stored, with the score they reach in float32.

    Raises:
        TrainingError: if the folder holds a run and `resume` is False, the run to go on with is of another recipe or
            other scans, no scan is left to train on, the loss is no longer finite, or another host is lost.
        WeightsError: if the weights are too large for the recipe's `storage`.
        WriteError: if the folder cannot be written or its disk is full; its last checkpoint is intact.
        ValueError: if the devices cannot share a batch evenly, or the hosts were given different things.
    """
    share = distribution.share(recipe.schedule.batch_size)
    run = RunFolder(run_folder, recipe.labels[1:], is_writer=distribution.is_first)
    run.claim(resume)
    keep_memory()
    asked = identity(recipe, data_root)
    with distribution.together():
        distribution.agree("recipe and scans", asked)
        distribution.check_shared(run.path)
        run.identify(asked)
        with distribution.scope():
            model = _network(recipe)  # before the scans are read: what cannot be built is said at once
        source, validation = find_source(recipe, Path(data_root))
        with distribution.scope():
            _compile(model, recipe, source)
            run.restore(model)
        run.begin()
        described, loss = _describe(recipe, model, validation), HeldOutLoss(recipe, validation, model.loss)
        tested = model if distribution.devices == 1 else described.build(dtype=recipe.schedule.precision)
        for epoch in range(len(run.history), recipe.schedule.epochs):
            if is_no_better(run.history, recipe.schedule.patience):
                break
            with distribution.scope():
                line = _fit_epoch(model, source.examples(epoch, share), run, on_step)
            if (epoch + 1) % recipe.schedule.validate_every == 0 or epoch + 1 == recipe.schedule.epochs:
                with _averaged(model):
                    _copy_weights(model, tested)
                    segmenter = Segmenter(described, tested)
                    line.update(loss(segmenter.engine), **validate(segmenter, validation, show=run.draw))
                    run.keep_if_best(line, tested)
            run.end_epoch(line, model)
            on_epoch(line)
        run.store_best(recipe.storage)
        distribution.wait()
        return _with_score(described, run, validation)


def _network(recipe):
    keras.utils.set_random_seed(recipe.seed)
    model = recipe.network.build(recipe.input.shape, len(recipe.labels), dtype=recipe.schedule.precision)
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
    return DiceCrossEntropy(settings.dice, settings.cross_entropy, weights)


def _fit_epoch(model, examples, run, on_step):
    start, epoch = time.perf_counter(), examples.epoch + 1
    callbacks = [Watch(examples, run.last_good, on_step), _TorchSeeds(examples)]
    history = model.fit(examples.for_fit(), verbose=0, shuffle=False, callbacks=callbacks)
    check_weights(model, epoch, run.last_good)
    loss = history.history["loss"][0]
    line = {"epoch": epoch, "loss": round(loss, 5), "seconds": round(time.perf_counter() - start, 1)}
    device = accelerator()
    return line if device is None else {**line, "device": device}


class _TorchSeeds(keras.callbacks.Callback):
    """Seeds each step on PyTorch: its dropout draws from a generator of the process, which no checkpoint keeps."""

    def __init__(self, examples):
        super().__init__()
        self.seeds = [examples.seed, examples.epoch]

    def on_train_batch_begin(self, batch, logs=None):
        if keras.backend.backend() == "torch":
            import torch

            torch.manual_seed(np.random.SeedSequence([*self.seeds, batch]).generate_state(1)[0].item())


@contextlib.contextmanager
def _averaged(model):
    """Lets the model have the moving averages of its weights for a while, if its optimizer keeps them."""
    if not model.optimizer.use_ema:
        yield
        return
    last = _values(model.trainable_variables)
    _assign(model.trainable_variables, _values(model.optimizer.averages(model.trainable_variables)))
    try:
        yield
    finally:
        _assign(model.trainable_variables, last)


def _copy_weights(model, other):
    """Gives another network of the same kind, which may stand on other devices, the weights of the model."""
    if other is not model:
        _assign(other.weights, _values(model.weights))


def _values(variables):
    """Returns copies: JAX gives up the arrays of a network's variables with each step, whoever else has them."""
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


def _with_score(described, run, validation):
    """Returns the description completed by the weights' SHA-256, and what validation in float32 says of them."""
    content = run.best.read_bytes()
    model = described.build(dtype="float32")
    zoo_weights.assign(model, zoo_weights.read(run.best))
    seen = []
    score = {
        "scans": in_words(validation),
        **validate(Segmenter(described, model), validation, seen=seen),
        "epochs": len(run.history),
        "training_minutes": round(sum(line["seconds"] for line in run.history) / 60, 1),
    }
    if "device" in run.history[-1]:
        score["device"] = run.history[-1]["device"]
    typical = reference_range_of(seen)
    return dataclasses.replace(described, sha256=zoo_weights.sha256(content), score=score, typical=typical)

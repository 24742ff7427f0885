"""Fit a network by a recipe, keep the best weights, and go on where a run was stopped."""

import contextlib
import dataclasses
import math
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops
from safetensors import SafetensorError

from recalib_keras import volumes
from recalib_keras.inference import Segmenter
from recalib_keras.training.checkpoint import restore_checkpoint, save_checkpoint
from recalib_keras.training.examples import Examples, read_scan, steps_per_epoch
from recalib_keras.training.fine_tuning import start_from
from recalib_keras.training.journal import Journal
from recalib_keras.training.losses import DiceCrossEntropy, class_weights
from recalib_keras.training.optimizers import make_optimizer
from recalib_keras.training.validation import in_words, split, validate
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.preset import WeightSet

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"


class TrainingError(RuntimeError):
    """A training cannot go on."""


def train(recipe, run_folder, data_root, resume=False, on_epoch=lambda line: None, on_step=lambda *progress: None):
    """Trains a network and leaves its best weights and its log in a folder.

    Args:
        recipe: `Recipe`.
        run_folder: path; gets `best.safetensors` (the weights with the highest mean Dice on the validation scans),
            the log (see `recalib_keras.training.journal`) and `checkpoint.safetensors` (to resume from).
        data_root: path that the recipe's data folder is relative to.
        resume: whether to go on from the checkpoint in `run_folder`, if there is one. The result is the same, bit for
            bit on CPU, as that of a run that was never stopped.
        on_epoch: function called with the log's line, a dict, after each epoch.
        on_step: function called with `(epoch, step, steps, loss)` after each step, epochs and steps from 1.

    Returns:
        `WeightSet` that describes the best weights, with the score they reach in float32.

    Raises:
        TrainingError: if the folder holds a run and `resume` is False, the run to go on with is of another network,
            no scan is left to train on, or the loss is no longer finite.
    """
    run_folder = Path(run_folder)
    run_folder.mkdir(parents=True, exist_ok=True)
    if (run_folder / CHECKPOINT).exists() and not resume:
        raise TrainingError(f"{run_folder} already holds a run; go on with --resume, or choose another folder")
    training, validation = split(recipe.data, data_root)
    if not training:
        raise TrainingError(
            f"expected scans to train on beside every {recipe.data.validate_every}. held out; found "
            f"{len(validation)} in all"
        )
    scans = [read_scan(scan, recipe.input, recipe.labels, recipe.data.merge) for scan in training]

    keras.utils.set_random_seed(recipe.seed)
    model = recipe.network.build(recipe.input.shape, len(recipe.labels), dtype=recipe.schedule.precision)
    if recipe.init is not None:
        start_from(model, recipe)
    optimizer = make_optimizer(recipe, steps_per_epoch(len(scans), recipe.schedule))
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, _loss(recipe, scans))
    journal = Journal(run_folder, recipe.labels[1:], _restore(run_folder / CHECKPOINT, model))
    described = _describe(recipe, model)
    for epoch in range(len(journal.history), recipe.schedule.epochs):
        line = _fit_epoch(model, Examples(scans, recipe, epoch), on_step)
        if (epoch + 1) % recipe.schedule.validate_every == 0 or epoch + 1 == recipe.schedule.epochs:
            with _averaged(model):
                line.update(validate(Segmenter(described, model), validation, recipe.data.merge, show=journal.draw))
                if line["dice"] > max((earlier.get("dice", -1) for earlier in journal.history), default=-1):
                    content = zoo_weights.serialize(model)
                    volumes.atomic_write(run_folder / BEST, lambda path, content=content: path.write_bytes(content))
        journal.add(line)
        save_checkpoint(run_folder / CHECKPOINT, model, journal.history)
        on_epoch(line)
    return _with_score(described, run_folder / BEST, validation, journal.history, recipe.data.merge)


def _restore(path, model):
    """Returns the lines of the log so far, and sets the model's and its optimizer's state, if there is a checkpoint."""
    if not path.exists():
        return []
    try:
        return restore_checkpoint(path, model)
    except (SafetensorError, ValueError) as error:
        raise TrainingError(
            f"{path} is no checkpoint of this recipe's network ({error}); resume with the recipe the run was begun "
            "with, or choose another folder"
        ) from None


def _loss(recipe, scans):
    settings, weights = recipe.loss, None
    if settings.class_weights != "none":
        maps = (scan.classes for scan in scans)
        weights = class_weights(settings.class_weights, maps, len(recipe.labels))
    return DiceCrossEntropy(settings.dice, settings.cross_entropy, weights)


class _Watch(keras.callbacks.Callback):
    """Reports each step, and ends a training whose loss is no longer finite at the step where it happened.

    Args:
        examples: `Examples`, to tell what the step saw.
        on_step: as in `train`.
    """

    def __init__(self, examples, on_step):
        super().__init__()
        self.examples, self.on_step = examples, on_step

    def on_train_batch_end(self, batch, logs=None):
        before, loss = self.examples.epoch, logs["loss"]  # Keras gives the mean since the epoch's start
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is no longer finite in epoch {before + 1}, step {batch + 1}, on "
                f"{', '.join(self.examples.names(batch))}; look at these scans or lower the learning rate, then "
                f"--resume: what the {before} epochs before reached is intact"
            )
        self.on_step(before + 1, batch + 1, len(self.examples), loss)


def _fit_epoch(model, examples, on_step):
    start, epoch = time.perf_counter(), examples.epoch + 1
    history = model.fit(examples, verbose=0, shuffle=False, callbacks=[_Watch(examples, on_step)])
    if not all(np.isfinite(ops.convert_to_numpy(variable)).all() for variable in model.trainable_variables):
        raise TrainingError(
            f"a weight is no longer finite at the end of epoch {epoch}; lower the learning rate, then --resume: "
            f"what the {epoch - 1} epochs before reached is intact"
        )
    loss = history.history["loss"][0]
    return {"epoch": epoch, "loss": round(loss, 5), "seconds": round(time.perf_counter() - start, 1)}


@contextlib.contextmanager
def _averaged(model):
    """Lets the model have the moving averages of its weights for a while, if its optimizer keeps them."""
    if not model.optimizer.use_ema:
        yield
        return
    last = [ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    for variable, average in zip(model.trainable_variables, model.optimizer.averages(model.trainable_variables)):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, last):
            variable.assign(value)


def _describe(recipe, model):
    return WeightSet(
        title=recipe.title,
        network=recipe.network,
        input=recipe.input,
        labels=recipe.labels,
        file=f"{recipe.weights}.safetensors",
        sha256="",
        parameters=model.count_params(),
        data={"source": recipe.data.source, "licence": recipe.data.licence},
    )


def _with_score(described, best, validation, history, merge):
    """Returns the description completed by the weights' SHA-256 and their score in float32, as they will be used."""
    content = best.read_bytes()
    model = described.build(dtype="float32")
    zoo_weights.assign(model, zoo_weights.read(best))
    score = {
        "scans": in_words(validation),
        **validate(Segmenter(described, model), validation, merge),
        "epochs": len(history),
        "training_minutes": round(sum(line["seconds"] for line in history) / 60, 1),
    }
    return dataclasses.replace(described, sha256=zoo_weights.sha256(content), score=score)

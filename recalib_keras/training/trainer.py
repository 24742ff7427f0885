"""Fit a network by a recipe, keep the best weights, and go on where a run was stopped."""

import dataclasses
import json
import math
import time
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError

from recalib_keras import datasets, volumes, zoo
from recalib_keras.evaluation import dice
from recalib_keras.inference import Segmenter
from recalib_keras.training.checkpoint import restore_checkpoint, save_checkpoint
from recalib_keras.training.examples import Examples, read_scan, steps_per_epoch
from recalib_keras.training.losses import DiceCrossEntropy
from recalib_keras.training.recipe import Recipe
from recalib_keras.zoo import weights as zoo_weights
from recalib_keras.zoo.preset import WeightSet

CHECKPOINT, BEST, LOG = "checkpoint.safetensors", "best.safetensors", "log.jsonl"


class TrainingError(RuntimeError):
    """A training cannot go on."""


def train(recipe, run_folder, data_root, resume=False, on_epoch=lambda line: None):
    """Trains a network and leaves its best weights and its log in a folder.

    Args:
        recipe: `Recipe`.
        run_folder: path; gets `best.safetensors` (the weights with the highest mean Dice on the validation scans),
            `log.jsonl` (one line an epoch) and `checkpoint.safetensors` (to resume from).
        data_root: path that the recipe's data folder is relative to.
        resume: whether to go on from the checkpoint in `run_folder`, if there is one. The result is the same, bit for
            bit on CPU, as that of a run that was never stopped.
        on_epoch: function called with the log's line, a dict, after each epoch.

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
    found = datasets.find_scans(Path(data_root) / recipe.data.folder)
    training, validation = datasets.split(found, recipe.data.validate_every)
    if not training:
        raise TrainingError(
            f"expected scans to train on beside every {recipe.data.validate_every}. held out; found {len(found)} in all"
        )
    scans = [read_scan(scan, recipe.input, recipe.labels) for scan in training]

    keras.utils.set_random_seed(recipe.seed)
    model = recipe.network.build(recipe.input.shape, len(recipe.labels), dtype=recipe.schedule.precision)
    _compile(model, steps_per_epoch(len(scans), recipe.schedule), recipe.schedule)
    history = _restore(run_folder / CHECKPOINT, model)
    _write_log(run_folder / LOG, history)
    described = _describe(recipe, model)
    for epoch in range(len(history), recipe.schedule.epochs):
        line = _fit_epoch(model, Examples(scans, recipe, epoch), epoch)
        if (epoch + 1) % recipe.schedule.validate_every == 0 or epoch + 1 == recipe.schedule.epochs:
            line.update(validate(Segmenter(described, model), validation))
            if line["dice"] > max((earlier.get("dice", -1) for earlier in history), default=-1):
                content = zoo_weights.serialize(model)
                volumes.atomic_write(run_folder / BEST, lambda path, content=content: path.write_bytes(content))
        history.append(line)
        save_checkpoint(run_folder / CHECKPOINT, model, history)
        _write_log(run_folder / LOG, history)
        on_epoch(line)
    return _with_score(described, run_folder / BEST, validation, history)


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


def validate(segmenter, scans):
    """Returns the mean Dice over scans: of each structure, of all, and the deviation of the latter between scans.

    Args:
        segmenter: `recalib_keras.inference.Segmenter`.
        scans: list of `recalib_keras.datasets.LabelledScan`.

    Returns:
        Dict of `"dice"`, `"dice_sd"` and `"dice_by_structure"`. A structure that is neither in a scan's truth nor in
        its prediction counts not, and a scan without any structure neither.
    """
    structures = segmenter.weight_set.labels[1:]
    table = np.ma.masked_invalid([_scan_dice(segmenter, scan, structures) for scan in scans])
    by_scan = table.mean(axis=1).compressed()
    by_structure = zip(structures, table.mean(axis=0))
    return {
        "dice": round(float(by_scan.mean()) if by_scan.size else 0.0, 4),
        "dice_sd": round(float(by_scan.std(ddof=1)) if by_scan.size > 1 else 0.0, 4),
        "dice_by_structure": {label.name: round(float(v), 4) for label, v in by_structure if v is not np.ma.masked},
    }


def rescore(preset, weights, data_root):
    """Returns the score of a preset on the validation scans of its own recipe, as training measured it.

    Args:
        preset: name or folder of a preset.
        weights: name of a weight set, or `"default"`.
        data_root: path that the recipe's data folder is relative to.

    Returns:
        Dict as from `validate`, with `"scans"` in words.
    """
    described = zoo.weight_set(preset, weights)
    recipe = Recipe.read(zoo.info(preset).folder / f"{Path(described.file).stem}.toml")
    found = datasets.find_scans(Path(data_root) / recipe.data.folder)
    _, validation = datasets.split(found, recipe.data.validate_every)
    return {"scans": _in_words(validation), **validate(Segmenter.from_preset(preset, weights), validation)}


def _scan_dice(segmenter, scan, structures):
    prediction, truth = segmenter(volumes.read(scan.image)), volumes.read_labels(scan.labels).array
    return [dice(prediction, truth, label.id) for label in structures]


def _compile(model, steps, schedule):
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=steps * max(1, schedule.epochs - 1),
        warmup_target=schedule.learning_rate,
        warmup_steps=steps,
    )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=schedule.clip_norm)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, DiceCrossEntropy())


def _fit_epoch(model, examples, epoch):
    start = time.perf_counter()
    loss = model.fit(examples, verbose=0, shuffle=False).history["loss"][0]
    if not (math.isfinite(loss) and _has_finite_weights(model)):
        raise TrainingError(
            f"the loss or a weight is no longer finite in epoch {epoch + 1} (loss {loss}); lower the learning rate, "
            "then --resume: what the epochs before reached is intact"
        )
    return {"epoch": epoch + 1, "loss": round(loss, 5), "seconds": round(time.perf_counter() - start, 1)}


def _has_finite_weights(model):
    return all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in model.trainable_variables)


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


def _with_score(described, best, validation, history):
    """Returns the description completed by the weights' SHA-256 and their score in float32, as they will be used."""
    content = best.read_bytes()
    model = described.build(dtype="float32")
    zoo_weights.assign(model, zoo_weights.read(best))
    score = {
        "scans": _in_words(validation),
        **validate(Segmenter(described, model), validation),
        "epochs": len(history),
        "training_minutes": round(sum(line["seconds"] for line in history) / 60, 1),
    }
    return dataclasses.replace(described, sha256=zoo_weights.sha256(content), score=score)


def _write_log(path, history):
    text = "".join(json.dumps(line) + "\n" for line in history)
    volumes.atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _in_words(validation):
    return f"{len(validation)} held-out validation scans"

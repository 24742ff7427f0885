"""Publication of a finished run as a preset: weights, description, recipe, log and card in one folder."""

import contextlib
import dataclasses
import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from recalib_keras.core.errors import RecordError, WriteError
from recalib_keras.core.files import atomic_write, write_text
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.run.folder import BEST
from recalib_keras.training.run.log import LOG
from recalib_keras.zoo.pages.card import card
from recalib_keras.zoo.preset import FILE_NAME, Preset, WeightSet

LONGEST_PUBLICATION = 60  # seconds; it takes one


def publish(
    recipe: Recipe,
    recipe_path: str | os.PathLike,
    weight_set: WeightSet,
    run_folder: str | os.PathLike,
    presets_folder: str | os.PathLike,
) -> Path:
    """Adds the weights of a run to a preset; creates the preset if it is new.

    Args:
        recipe: Recipe of the run.
        recipe_path: Its file.
        weight_set: The description that `train` returned.
        run_folder: Folder of the run.
        presets_folder: Folder of presets, in which the preset has a folder of its own.

    Returns:
        The preset's folder, with `preset.json`, `README.md`, and the weight set's `.safetensors`, `.toml` and
        `.jsonl`. Other weight sets of the preset stay as they are; they come after this one if the recipe's `default`
        is true.

    Raises:
        RecordError: The preset's description cannot be read; no file is changed then.
        WriteError: A file cannot be written.
    """
    folder = Path(presets_folder) / recipe.preset
    recipe_file = folder / f"{recipe.weights}.toml"
    with _alone_in(folder):
        # Everything that can fail comes before the first file is replaced.
        text = _recipe_text(recipe, Path(recipe_path), recipe_file)
        preset = _with_weights(folder, recipe, weight_set)
        description, readme = preset.to_json(), card(preset)
        _copy(Path(run_folder) / BEST, folder / weight_set.file)
        write_text(folder / FILE_NAME, description)
        write_text(folder / "README.md", readme)
        _copy(Path(run_folder) / LOG, folder / f"{recipe.weights}.jsonl")
        if text is not None:
            write_text(recipe_file, text)
    return folder


def with_score_of(weight_set: WeightSet, twin: WeightSet) -> WeightSet:
    """Returns the description of weights that learned from all scans, with the score of a training that held scans out.

    Args:
        weight_set: What `train` returned for a recipe that holds no scan out.
        twin: The weights of a training by the same recipe that held scans out: its score and its reference
            ranges are taken, and the description says whose they are.

    Raises:
        ValueError: `weight_set` has a score of its own, `twin` has none, or they differ in network, input or labels.
    """
    if "dice" in weight_set.score:
        raise ValueError(
            f"expected weights that learned from all scans, got some with a score of their own, on "
            f"{weight_set.score['scans']}; leave the twin out"
        )
    if "dice" not in twin.score or not twin.held_out:
        raise ValueError(
            f"expected a twin that held scans out, got {twin.title!r} without a score on such scans; "
            "give a preset that was trained with scans held out"
        )
    for part in ("network", "input", "labels"):
        if getattr(weight_set, part) != getattr(twin, part):
            raise ValueError(
                f"expected a twin by the same recipe, got {twin.title!r}, which differs in {part}; "
                "train both by one recipe"
            )
    learned_from = f"these weights learned from all {weight_set.score['training_scans']}"
    scans = f"{twin.score['scans']}, by the same training without them ({learned_from})"
    return dataclasses.replace(
        weight_set, score={**twin.score, **weight_set.score, "scans": scans}, typical=twin.typical
    )


def publish_score(folder: str | os.PathLike, ensemble: str, score: Mapping[str, Any]) -> None:
    """Adds the cross-validated score of an ensemble of folds to a preset and its card.

    Args:
        folder: The preset's folder.
        ensemble: Name of the ensemble.
        score: See `recalib_keras.training.rescore`.

    Raises:
        RecordError: The preset's description cannot be read, or has no such ensemble.
        WriteError: A file cannot be written.
    """
    folder = Path(folder)
    with _alone_in(folder):
        preset = Preset.read(folder)
        preset = dataclasses.replace(preset, scores={**preset.scores, ensemble: dict(score)})
        write_text(folder / FILE_NAME, preset.to_json())
        write_text(folder / "README.md", card(preset))


@contextlib.contextmanager
def _alone_in(folder):
    """Keeps other trainings, such as those of other folds, from publishing to the same preset at the same time.

    The lock is a file that exists only meanwhile, because it works on disks that several hosts share.
    """
    lock = filelock.SoftFileLock(folder.parent / f".{folder.name}.lock", timeout=LONGEST_PUBLICATION)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout:  # left by a training that was killed while it published
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.acquire()
    except OSError as error:
        raise WriteError(
            file=folder,
            expected="a folder that can be written",
            received=repr(error.strerror),
            remedy="check its permissions, and that its disk has room",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _with_weights(folder, recipe, weight_set):
    """Returns the preset of a folder, or a new one, with a weight set added."""
    preset = Preset.read(folder) if (folder / FILE_NAME).exists() else Preset(recipe.preset, {})
    first = {recipe.weights: weight_set} if recipe.default else {}
    return dataclasses.replace(
        preset,
        weight_sets=first | preset.weight_sets | {recipe.weights: weight_set},
        ensembles=_with_member(preset.ensembles, recipe),
        folder=folder,
    )


def _with_member(ensembles, recipe):
    if recipe.ensemble is None:
        return ensembles
    name = recipe.ensemble.name
    return {**ensembles, name: ensembles.get(name, {}) | {recipe.weights: recipe.ensemble.share}}


def _recipe_text(recipe, path, target):
    """Returns the text to keep of a recipe: its file's if that extends no other file, else the whole recipe's.

    The whole recipe is also kept if its file was changed or lost during training. Returns None if the file lies beside
    the weights already.
    """
    try:
        text, is_same = path.read_text(encoding="utf-8"), Recipe.read(path) == recipe
    except (OSError, RecordError):
        return recipe.to_toml()
    if is_same and path.resolve() == target.resolve():
        return None
    return text if is_same and "extends" not in tomllib.loads(text) else recipe.to_toml()


def _copy(source, target):
    atomic_write(target, lambda temporary: shutil.copyfile(source, temporary))

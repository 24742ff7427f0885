"""Turn a finished run into a preset: weights, description, recipe, log and card in one folder."""

import dataclasses
import shutil
import tomllib
from pathlib import Path

from recalib_keras.core.errors import RecordError
from recalib_keras.core.files import atomic_write, write_text
from recalib_keras.training.card import card
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.run.folder import BEST
from recalib_keras.training.run.log import LOG
from recalib_keras.zoo.preset import FILE_NAME, Preset


def publish(recipe, recipe_path, weight_set, run_folder, presets_folder):
    """Adds the weights of a run to a preset, or makes the preset.

    Args:
        recipe: `Recipe` of the run.
        recipe_path: its file.
        weight_set: `WeightSet` that training returned.
        run_folder: path of the run.
        presets_folder: path of the folder of presets; the preset's own folder is made in it.

    Returns:
        Path of the preset's folder: `preset.json`, `README.md`, and the weight set's `.safetensors`, `.toml` and
        `.jsonl`. Other weight sets of the preset stay as they are, behind this one if the recipe's `default` says so.
    """
    folder = Path(presets_folder) / recipe.preset
    recipe_file = folder / f"{recipe.weights}.toml"
    # All that may fail comes before the first file is replaced.
    text = _recipe_text(recipe, Path(recipe_path), recipe_file)
    preset = Preset.read(folder) if (folder / FILE_NAME).exists() else Preset(recipe.preset, {})
    before = {recipe.weights: weight_set} if recipe.default else {}
    preset = dataclasses.replace(
        preset,
        weight_sets=before | preset.weight_sets | {recipe.weights: weight_set},
        ensembles=_with_member(preset.ensembles, recipe),
    )
    description, readme = preset.to_json(), card(preset)
    folder.mkdir(parents=True, exist_ok=True)
    _copy(Path(run_folder) / BEST, folder / weight_set.file)
    _write(folder / FILE_NAME, description)
    _write(folder / "README.md", readme)
    _copy(Path(run_folder) / LOG, folder / f"{recipe.weights}.jsonl")
    if text is not None:
        _write(recipe_file, text)
    return folder


def _with_member(ensembles, recipe):
    if recipe.ensemble is None:
        return ensembles
    name = recipe.ensemble.name
    return {**ensembles, name: ensembles.get(name, {}) | {recipe.weights: recipe.ensemble.share}}


def _recipe_text(recipe, path, target):
    """Returns what to keep of a recipe: its file if that can stand elsewhere, or else all it says.

    None for a file that lies beside the weights already. One that was changed or lost during training counts not.
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


def _write(path, text):
    write_text(path, text)

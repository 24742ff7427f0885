"""Where presets lie: the folder that holds a `preset.json`, found from what a user may name instead."""

from __future__ import annotations

import os
from pathlib import Path

from recalib_keras.core.messages import listed
from recalib_keras.zoo.places import installed
from recalib_keras.zoo.preset import FILE_NAME
from recalib_keras.zoo.weights import SUFFIX

MODEL_FILES = (".keras", ".h5")


def is_shipped(folder: Path) -> bool:
    """Returns whether a preset's folder is that of an installed preset, which has a name that commands know.

    Args:
        folder: The preset's folder.
    """
    return folder.resolve().parent in [root.resolve() for root in installed.roots()]


def holds_preset(folder: Path) -> bool:
    """Returns whether a folder holds a `preset.json`.

    Args:
        folder: The folder; it may be missing.
    """
    try:
        return (folder / FILE_NAME).is_file()
    except OSError:  # a name that is too long for the file system
        return False


def preset_folder(given: str | os.PathLike) -> Path | None:
    """Returns the folder of a preset, from what a user may give for it.

    Args:
        given: The folder, the path of its `preset.json`, or a folder that holds the folder of a single preset, such as
            that of a run.

    Returns:
        The folder; None if it is a mere name, not a folder here.

    Raises:
        ValueError: There is no preset, or there are several to choose from; or it is a file of weights or a model,
            which says nothing about labels and input. The message names the path or the call that works.
    """
    path = Path(given)
    if holds_preset(path):
        return path
    if path.name == FILE_NAME and holds_preset(path.parent):
        return path.parent
    inside = _presets_in(path)
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise ValueError(f"expected the folder of one preset, got {path}, which holds {listed(inside)}; give one")
    _check_file(path)
    if path.name != str(given) or path.is_dir():
        deeper = _presets_in(*(folder for folder in _sorted(path) if folder.is_dir()))
        remedy = f"give {listed(deeper)}" if deeper else "check the path"
        raise ValueError(f"expected a preset's folder, got {path.absolute()}, which has no {FILE_NAME}; {remedy}")
    return None


def _presets_in(*folders):
    return [inside for folder in folders for inside in _sorted(folder) if holds_preset(inside)]


def _sorted(folder):
    """Returns the paths in a folder."""
    try:
        return sorted(folder.iterdir())
    except OSError:  # no folder, or none that can be read
        return []


def _check_file(path):
    if path.suffix in MODEL_FILES:
        raise ValueError(
            f"expected a preset's folder, got {path}, a model alone, without labels, spacing and normalisation; make a "
            f"preset of it by zoo.save(keras.saving.load_model({str(path)!r}), FOLDER, like=PRESET, labels=[…])"
        )
    if path.suffix == SUFFIX:
        remedy = f"give its folder, {path.parent}" if holds_preset(path.parent) else (
            f"load it by zoo.load(PRESET, weights={str(path)!r}), then make a preset by zoo.save"
        )  # fmt: skip
        raise ValueError(f"expected a preset's folder, got {path}, a file of weights alone; {remedy}")

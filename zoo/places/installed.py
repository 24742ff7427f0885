"""Where presets lie: in this package, in installed packages of data, and in the cache of those from the internet.

A package of data names itself by an entry point of the group `recalib_keras.presets`. The entry point's value is a
module with a folder `presets`, which holds a folder for each preset. One with a `preset.json` is a preset of its own;
one without holds further weights of the preset of that name. No code of such a package runs.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

from recalib_keras.core.errors import RecordError
from recalib_keras.zoo.places import remote

GROUP = "recalib_keras.presets"
DESCRIPTION = "preset.json"
RESTORE = "reinstall the package, or restore the file"


def own() -> Path:
    """Returns the folder of this package's presets."""
    return Path(str(resources.files("recalib_keras.zoo") / "presets"))


def roots() -> list[Path]:
    """Returns the folders of presets, this package's first, then those of installed packages of data by their names."""
    return [own(), *_of_packages(tuple(sys.path))]


def folders() -> dict[str, Path]:
    """Returns the folder of each preset that is installed, by its name; of two of one name the first of `roots`."""
    found: dict[str, Path] = {}
    for root in roots():
        for folder in sorted(root.iterdir()):
            if (folder / DESCRIPTION).is_file():
                found.setdefault(folder.name, folder)
    return found


def weights_file(folder: Path, name: str, sha256: str) -> Path:
    """Returns where a file of weights lies: beside its preset's description, or in a package of data.

    Weights of a preset from the internet are fetched first, if they have not been fetched before.

    Args:
        folder: The preset's folder.
        name: Of the file.
        sha256: Of the file, for one that is fetched.

    Raises:
        WeightsError: The file cannot be fetched.
    """
    places = [folder, *(root / folder.name for root in roots())] if folder.parent in roots() else [folder]
    here = next((place / name for place in places if (place / name).exists()), None)
    if here is None and remote.origin(folder) is not None:
        return remote.fetch_weights(folder, name, sha256)
    return here or folder / name


def remedy(folder: Path, name: str) -> str:
    """Returns how to get weights that are missing.

    Args:
        folder: The preset's folder.
        name: Of the file.

    Example:
        >>> remedy(own() / "unet3d", "whole_brain.safetensors")
        'run: pip install "recalib-keras[brain]"'
    """
    extra = package_of(name) if folder.parent == own() else None
    return RESTORE if extra is None else f'run: pip install "recalib-keras[{extra}]"'


def package_of(name: str) -> str | None:
    """Returns the package of data that a file of weights belongs to, or None.

    Args:
        name: Of the file.
    """
    return next((package for package, facts in packages().items() if name.startswith(facts["weights"])), None)


@functools.cache
def packages() -> dict[str, dict[str, str]]:
    """Returns the packages of data that belong to this one: `weights` and `version` of each, by its name."""
    return tomllib.loads((resources.files("recalib_keras.zoo") / "packages.toml").read_text(encoding="utf-8"))


@functools.cache
def _of_packages(_path):
    entry_points = sorted(metadata.entry_points(group=GROUP), key=lambda one: one.name)
    return [_presets_of(one) for one in entry_points]


def _presets_of(entry_point):
    try:
        spec = importlib.util.find_spec(entry_point.value)
    except (ImportError, ValueError):
        spec = None
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (Path(location) / "presets").is_dir():
            return Path(location) / "presets"
    package = entry_point.dist.name if entry_point.dist else entry_point.name
    raise RecordError(
        expected=f"a folder `presets` in the module {entry_point.value!r}, which the package {package!r} names",
        received="none",
        remedy=f"reinstall it, or run: pip uninstall {package}",
    )

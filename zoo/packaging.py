"""Packages of data: presets, or weights of presets, as wheels of their own that pip installs and mirrors.

    python -m recalib_keras.zoo.packaging -o dist                # those of this package, see packages.toml
    python -m recalib_keras.zoo.packaging -o dist my_presets     # one of your own presets: a folder of preset folders

A wheel of your own is named after its folder, and holds all of it. Once it is installed, its presets are in
`zoo.names()`: they are found through its entry point, see `recalib_keras.zoo.places.installed`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recalib_keras.core.errors import RecalibError, RecordError, WriteError
from recalib_keras.core.files import atomic_write
from recalib_keras.core.messages import listed, one_line
from recalib_keras.zoo.places import installed
from recalib_keras.zoo.preset import Preset

SETUP = """[metadata]
name = {name}
version = {version}
description = {title}
license = {licence}

[options]
python_requires = >=3.11
packages = {module}

[options.package_data]
{module} = presets/*/*

[options.entry_points]
{group} =
    {module} = {module}
"""
PROJECT = '[build-system]\nrequires = ["setuptools>=68"]\nbuild-backend = "setuptools.build_meta"\n'


def build(name: str, output: Path) -> Path:
    """Builds the wheel of one of this package's own packages of data, from a checkout that holds all weights.

    Args:
        name: One of `installed.packages()`.
        output: Folder for the wheel.

    Returns:
        The wheel.

    Raises:
        WeightsError: Weights are missing here, or are not the described ones.
        WriteError: The wheel cannot be built.
    """
    facts = installed.packages()[name]
    found = [one for preset in _presets_in(installed.own()) for one in preset.weight_sets.values()]
    found = [one for one in found if one.file.startswith(facts["weights"])]
    for one in found:
        one.read_weights()
    title = f"Weights {facts['weights']} of recalib-keras"
    return _wheel(f"recalib-keras-{name}", facts["version"], title, found, [one.path for one in found], output)


def build_own(folder: Path, output: Path, version: str = "1") -> Path:
    """Builds a wheel of a folder of presets.

    Args:
        folder: Holds a folder for each preset, as `recalib train --publish` writes it.
        output: Folder for the wheel.
        version: Of the package.

    Returns:
        The wheel.

    Raises:
        RecordError: The folder holds no preset, or one that is not valid.
        WeightsError: Weights are missing, or are not the described ones.
        WriteError: The wheel cannot be built.
    """
    presets = _presets_in(folder)
    if not presets:
        raise RecordError(
            file=folder,
            expected=f"a folder for each preset, with its {installed.DESCRIPTION}",
            received="none",
            remedy="give the folder above them",
        )
    found = [one for preset in presets for one in preset.weight_sets.values()]
    for one in found:
        one.read_weights()
    files = [path for preset in presets for path in sorted(preset.folder.iterdir()) if path.is_file()]
    title = f"Presets for recalib-keras: {listed(preset.name for preset in presets)}"
    return _wheel(re.sub(r"[^A-Za-z0-9.]+", "-", folder.resolve().name), version, title, found, files, output)


def _presets_in(folder):
    return [Preset.read(path.parent) for path in sorted(folder.glob(f"*/{installed.DESCRIPTION}"))]


def _wheel(name, version, title, weight_sets, files, output):
    """Returns the wheel of a package whose folder `presets` holds files, each in a folder named as its own."""
    module = re.sub(r"\W", "_", name)
    licence = "; ".join(dict.fromkeys(one.licence for one in weight_sets))
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "source")
        for file in files:
            target = source / module / "presets" / file.parent.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        setup = SETUP.format(
            name=name, version=version, title=title, licence=licence, module=module, group=installed.GROUP
        )
        (source / "setup.cfg").write_text(setup.replace("%", "%%"), encoding="utf-8")
        (source / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        (source / module / "__init__.py").write_text(f'"""{title}."""\n', encoding="utf-8")
        return _built(source, Path(temporary), output)


def _built(source, temporary, output):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    done = subprocess.run([*command, "-w", temporary, source], capture_output=True, text=True, check=False)
    built = next(temporary.glob("*.whl"), None)
    if built is None:
        reason = one_line(done.stderr[-300:])
        raise WriteError(
            expected="to build a wheel", received=repr(reason), remedy="run: pip install pip setuptools wheel"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        return atomic_write(output / built.name, lambda target: shutil.copyfile(built, target))
    except FileExistsError:
        raise WriteError(file=output, expected="a folder for the wheel", received="a file") from None


def main() -> None:
    """Builds the wheels that the arguments of this process name, and prints their paths."""
    parser = argparse.ArgumentParser(prog="python -m recalib_keras.zoo.packaging", description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="folders of presets of your own")
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), metavar="FOLDER", help="default: dist")
    parser.add_argument("--version", default="1", help="of your own packages (default: 1)")
    arguments = parser.parse_args()
    if arguments.folders:
        wheels = (build_own(folder, arguments.output, arguments.version) for folder in arguments.folders)
    else:
        wheels = (build(name, arguments.output) for name in installed.packages())
    try:
        for wheel in wheels:
            print(wheel)
    except RecalibError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()

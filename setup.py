"""Metadata that `setup.cfg` cannot hold: the README as a package index shows it, and the extras of packages of data."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


def readme() -> str:
    """Returns the README without what only leads somewhere inside a checkout: pictures, and links to files."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


def extras() -> dict[str, list[str]]:
    """Returns the extras of `setup.cfg`, one for each package of data, and `all-weights` for all of those."""
    settings = ConfigParser()
    settings.read(HERE / "setup.cfg", encoding="utf-8")
    found = {name: lines.split("\n") for name, lines in settings["options.extras_require"].items()}
    packages = tomllib.loads((HERE / "zoo" / "packages.toml").read_text(encoding="utf-8"))
    data = {name: [f"recalib-keras-{name}=={facts['version']}"] for name, facts in packages.items()}
    every = [line for lines in data.values() for line in lines]
    return {
        **{name: [line for line in lines if line] for name, lines in found.items()},
        **data,
        "all-weights": every,
    }


setup(long_description=readme(), long_description_content_type="text/markdown", extras_require=extras())

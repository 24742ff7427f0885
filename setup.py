"""Metadata that `setup.cfg` cannot hold: the README as a package index shows it, and the extras of packages of data."""

import re
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent


SOURCE = "Source"  # the name of the repository's address among `project_urls`


def settings() -> ConfigParser:
    """Returns what `setup.cfg` says."""
    found = ConfigParser()
    found.read(HERE / "setup.cfg", encoding="utf-8")
    return found


def readme(metadata: Mapping[str, str]) -> str:
    """Returns the README as a package index shows it.

    Links to files lead into the repository, at the tag of this version, if `project_urls` says where it is. Without an
    address they would lead nowhere: then they are plain text, and pictures with their captions are left out.

    Args:
        metadata: The section of `setup.cfg`.
    """
    text = (HERE / "README.md").read_text(encoding="utf-8")
    urls = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in metadata["project_urls"].split("\n") if line)
    if SOURCE not in urls:
        text = re.sub(r"<!-- picture -->.*?<!-- end of picture -->\n*", "", text, flags=re.DOTALL)
        text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", text)
        return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)
    at = f"v{metadata['version']}"
    text = re.sub(r"(!\[[^\]]*\])\((?!https?:)([^)]*)\)", rf"\1({urls[SOURCE]}/raw/{at}/\2)", text)
    return re.sub(r"(\[[^\]]*\])\((?!https?:)([^)]*)\)", rf"\1({urls[SOURCE]}/blob/{at}/\2)", text)


def extras(required: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the extras of `setup.cfg`, one for each package of data, and `all-weights` for all of those.

    Args:
        required: The section of `setup.cfg`.
    """
    found = {name: lines.split("\n") for name, lines in required.items()}
    packages = tomllib.loads((HERE / "zoo" / "packages.toml").read_text(encoding="utf-8"))
    data = {name: [f"recalib-keras-{name}=={facts['version']}"] for name, facts in packages.items()}
    every = [line for lines in data.values() for line in lines]
    return {
        **{name: [line for line in lines if line] for name, lines in found.items()},
        **data,
        "all-weights": every,
    }


if __name__ == "__main__":
    sections = settings()
    setup(
        long_description=readme(sections["metadata"]),
        long_description_content_type="text/markdown",
        extras_require=extras(sections["options.extras_require"]),
    )

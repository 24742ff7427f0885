"""Metadata that `setup.cfg` cannot hold: the README as a package index shows it."""

import re
from pathlib import Path

from setuptools import setup


def readme() -> str:
    """Returns the README without what only leads somewhere inside a checkout: pictures, and links to files."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


setup(long_description=readme(), long_description_content_type="text/markdown")

"""Write the reference of recipe files from the records that read them: `python -m docs.recipe_keys`."""

import dataclasses
import inspect
import re
import textwrap
import typing
from pathlib import Path

from recalib_keras.training.recipe import Recipe
from recalib_keras.zoo.preset import Label

PAGE = Path(__file__).with_name("recipes.md")
HEAD = """# Recipes

Made by `python -m docs.recipe_keys` from the docstrings of `recalib_keras.training.recipe`.

A recipe is a TOML file for `recalib train`. A key that is unknown, missing or of another type is an error that names
the nearest. `extends = "other.toml"`, a path relative to the file, lays the file's own keys over those of another
recipe, table by table. Examples: [zoo/recipes](../zoo/recipes).
"""
REQUIRED = "required"


def page():
    """Returns the Markdown of the reference: the recipe's own keys, then a section for each of its tables."""
    sections = [HEAD, _section("Keys of the file itself", Recipe, skip_tables=True)]
    tables = {"labels": Label}
    hints = typing.get_type_hints(Recipe)
    tables |= {f.name: hints[f.name] for f in dataclasses.fields(Recipe) if dataclasses.is_dataclass(hints[f.name])}
    for name, record in tables.items():
        title = f"`[[{name}]]`" if record is Label else f"`[{name}]`"
        sections.append(_section(title, record))
    return "\n".join(sections)


def _section(title, record, skip_tables=False):
    text = inspect.getdoc(record)
    meanings = _meanings(text)
    hints = typing.get_type_hints(record)
    lines = [f"## {title}", "", _summary(text), "", "| key | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(record):
        is_table = dataclasses.is_dataclass(hints[field.name]) or field.name == "labels"
        if not (skip_tables and is_table):
            lines.append(f"| `{field.name}` | {_default(field)} | {meanings.get(field.name, '')} |")
    return "\n".join(lines) + "\n"


def _summary(text):
    return " ".join(re.split(r"\n(?:Args:|\s*$)", text, maxsplit=1)[0].split())


def _meanings(text):
    """Returns what a docstring's Args say of each name; one entry may explain several names."""
    found = re.search(r"^Args:\n((?:    .*\n?|\n)*)", text, flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", textwrap.dedent(found.group(1)).strip()) if found else []
    meanings = {}
    for entry in entries:
        names, meaning = entry.split(":", 1)
        meanings |= dict.fromkeys(names.split(", "), " ".join(meaning.split()))
    return meanings


def _default(field):
    if field.default is not dataclasses.MISSING:
        return "" if field.default is None else f"`{_toml(field.default)}`"
    return REQUIRED if field.default_factory is dataclasses.MISSING else f"`{_toml(field.default_factory())}`"


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

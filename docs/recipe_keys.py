"""Writes the reference of recipe files from the records that read them: `python -m docs.recipe_keys`."""

import dataclasses
import inspect
import re
import textwrap
import typing
from pathlib import Path

from recalib_keras.core.checks import ranges_of
from recalib_keras.training.recipe import Recipe

PAGE = Path(__file__).with_name("recipes.md")
HEAD = """# Recipes

Made by `python -m docs.recipe_keys` from the docstrings of `recalib_keras.training.recipe` and `recipe_tables`.

A recipe is a TOML file for `recalib train`. A key that is unknown, missing or of the wrong type is an error that names
the closest known key. `extends = "other.toml"`, a path relative to the file, takes all keys of another recipe; the
file's own keys replace them, table by table. `extends = "zoo:hippocampus/densenet3d_pe"` names a recipe of the
[zoo](../zoo/recipes), which is installed with the package. With `extends = ["one.toml", "two.toml"]`, the later file
wins. A list, such as the labels, replaces the other's as a whole; a key of a table, such as one of `data.merge`, can be
changed but not removed. Examples: [zoo/recipes](../zoo/recipes).

With a table `[synthesis]`, scans are generated from label maps of heads. They vary more from epoch to epoch: from
`[synthesis_start]` to `[synthesis]`, over the `variety_epochs` of the schedule. The data folder then holds the label
maps (NIfTI or MGZ, all of one spacing, with labels for everything in the head, not only the brain) and
`generation.json`, which says what the numbers mean and how bright each tissue is in T1 scans:
`recalib_keras.synthesis.LabelTable` has its keys. The zoo uses label maps of the
[SynthSeg](https://github.com/BBillot/SynthSeg) repository.

With `[mixture]` too, the data folder holds labelled scans as usual, and some of the examples are generated, from the
label maps in a folder of their own:

```toml
[synthesis]
skull_stripping = 1.0  # as in the real scans
random_contrast = 0.3

[mixture]
folder = "generation"
share = 0.25
```
"""
REQUIRED = "required"


def page() -> str:
    """Returns the Markdown of the reference: the recipe's own keys, then a section for each of its tables."""
    sections = [HEAD, _section("Keys of the file itself", Recipe, skip_tables=True)]
    names = {}
    for name, hint in typing.get_type_hints(Recipe).items():
        if _record(hint) is not None:
            heading = f"[[{name}]]" if typing.get_origin(hint) is tuple else f"[{name}]"
            names.setdefault(_record(hint), []).append(heading)
    sections += [_section(" and ".join(f"`{name}`" for name in tables), record) for record, tables in names.items()]
    return "\n".join(sections)


def _record(hint):
    """Returns the record in a type hint (alone, in a tuple, or as an alternative to None), else None."""
    return next((kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)), None)


def _section(title, record, skip_tables=False):
    text = inspect.getdoc(record)
    meanings = _meanings(text)
    hints = typing.get_type_hints(record)
    ranges = ranges_of(record)
    lines = [f"## {title}", "", _summary(text), "", "| key | default | range | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(record):
        is_table = _record(hints[field.name]) is not None
        if not (skip_tables and is_table):
            cells = (f"`{field.name}`", _default(field), str(ranges.get(field.name, "")), meanings.get(field.name, ""))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _summary(text):
    return " ".join(re.split(r"\n(?:Args:|\s*$)", text, maxsplit=1)[0].split())


def _meanings(text):
    """Returns the text of each name in a docstring's Args; one entry may explain several names."""
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

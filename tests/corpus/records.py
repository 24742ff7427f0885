"""Recipes and presets: every key with every absurd value, files that extend others, encodings and half files."""

import copy
import json
from collections.abc import Iterator

import numpy as np
import tomli_w

from .bases import PRESET, RECIPE, RECIPES
from .cases import Case, shuffled

# Absurd values; None removes the key.
ABSURD = (None, 0, -1, 0.0, -0.0, 1e-320, 10**6, 10**9, 2**31, 2**63, 10**30, 10**400, 1e308, float("nan"),
          float("inf"), -float("inf"), True, "", "x", "../../x", "a\nb", "<b>x</b>|", "\x1b[31m", "x" * 10_000, [],
          {}, [[[]]], [1], [0, 0, 0], [10**9] * 3, [float("nan")] * 3, ["a"] * 1000, {"a": {"b": 1}},
          {str(number): number for number in range(2000)}, {"-1": 2}, {"2": -1}, {"02": 17}, {"²": 1},
          {"9" * 400: 1})  # fmt: skip


def places(mapping: dict, above: tuple = ()) -> Iterator[tuple]:
    """Yields the path of each value in tables and lists, the tables themselves included.

    Args:
        mapping: A table.
        above: The path of the table.
    """
    for key, value in mapping.items() if isinstance(mapping, dict) else enumerate(mapping):
        yield (*above, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*above, key))


def changed(mapping: dict, place: tuple, value: object) -> dict:
    """Returns a copy of a table with another value in one place.

    Args:
        mapping: The table.
        place: One of `places`.
        value: The value; None removes the key.
    """
    mapping = copy.deepcopy(mapping)
    inner = mapping
    for key in place[:-1]:
        inner = inner[key]
    if value is None:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return mapping


def recipe_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields recipes with one absurd value, odd files, and recipes that extend too much."""
    cases = [_recipe(what, place, value) for what in RECIPES for place in places(RECIPES[what]) for value in ABSURD]
    texts = [*_texts(tomli_w.dumps(RECIPE).encode(), "TOML"), *EXTENDS.items()]
    files = [Case(f"recipe: {name}", lambda folder, make=make: make(folder), "recipe", must=_must(name))
             for name, make in texts]  # fmt: skip
    files += [_good(what) for what in RECIPES]
    yield from shuffled(rng, files)
    yield from shuffled(rng, cases)


def _must(name):
    return "read" if name == "with a mark" else "refuse"


def _good(what):
    text = tomli_w.dumps(RECIPES[what])
    return Case(f"recipe: good, {what}", lambda folder: _file(folder, text), "recipe", must="read")


def _recipe(what, place, value):
    return Case(
        f"recipe: {what}: {'.'.join(map(str, place))} = {str(value)[:40]!r}",
        lambda folder: _file(folder, tomli_w.dumps(changed(RECIPES[what], place, value))),
        "recipe",
    )


def _file(folder, text, name="recipe.toml"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return folder / name


def _texts(good, language, name="recipe.toml"):
    """Yields names and writers of files that are not in the language, or not in UTF-8."""
    nested = b"x = " + b"[" * 5000 if language == "TOML" else b"[" * 100_000
    for what, content in {
        "empty": b"",
        "half": good[: len(good) // 2],
        "binary": bytes(range(256)),
        "zeros": bytes(1000),
        "UTF-16": good.decode().encode("utf-16"),
        "Latin-1": good.replace(b"made up", "für".encode("latin-1")),
        "nested": nested,
        "a list": b"[1]",
        "null": b"null",
        "a long line": b"x" * 10**6,
        "an integer of 5,000 digits": b"seed = " + b"9" * 5000 if language == "TOML" else b"9" * 5000,
    }.items():
        yield what, lambda folder, content=content: _file(folder, content, name)


def _many(count):
    def make(folder):
        for number in range(count):
            _file(folder, "", f"base_{number}.toml")
        return _extending(folder, [f"base_{number}.toml" for number in range(count)])

    return make


def _chain(depth):
    def make(folder):
        for number in range(depth):
            _file(folder, f'extends = "base_{number + 1}.toml"', f"base_{number}.toml")
        _file(folder, "", f"base_{depth}.toml")
        return _extending(folder, "base_0.toml")

    return make


def _doubling(folder):
    for number in range(40):
        _file(folder, f'extends = ["base_{number + 1}.toml", "base_{number + 1}.toml"]', f"base_{number}.toml")
    _file(folder, "", "base_40.toml")
    return _extending(folder, "base_0.toml")


def _extending(folder, bases):
    return _file(folder, tomli_w.dumps({"extends": bases, **RECIPE}))


def _beside(make, name="base.toml"):
    def extend(folder):
        make(folder / name)
        return _extending(folder, name)

    return extend


def _fifo(path):
    import os

    os.mkfifo(path)


EXTENDS = {
    "extends a pipe": _beside(_fifo),
    "extends a folder": _beside(lambda path: path.mkdir()),
    "extends /dev/zero": lambda folder: _extending(folder, "/dev/zero"),
    "extends nothing": lambda folder: _extending(folder, "none.toml"),
    "extends itself": lambda folder: _extending(folder, "recipe.toml"),
    "extends a link to itself": _beside(lambda path: path.symlink_to(path.name)),
    "extends 4,000 files": _many(4000),
    "extends in a chain of 1,000": _chain(1000),
    "extends twice as many at each step": _doubling,
    "extends a long name": lambda folder: _extending(folder, "x" * 5000),
    "extends a zero byte": lambda folder: _extending(folder, "a\0b"),
    "extends a number": lambda folder: _extending(folder, 7),
    "extends an empty name": lambda folder: _extending(folder, ""),
}


def preset_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields presets with one absurd value, and odd files."""
    yield Case("preset: good", lambda folder: _preset(folder, json.dumps(PRESET)), "preset", must="read")
    for name, make in _texts(json.dumps(PRESET).encode(), "JSON", "preset.json"):
        yield Case(f"preset: {name}", lambda folder, make=make: make(folder).parent, "preset", must="refuse")
    cases = [
        Case(
            f"preset: {'.'.join(map(str, place))} = {str(value)[:40]!r}",
            lambda folder, place=place, value=value: _preset(folder, json.dumps(changed(PRESET, place, value))),
            "preset",
        )
        for place in places(PRESET)
        for value in ABSURD
    ]
    yield from shuffled(rng, cases)


def _preset(folder, text):
    return _file(folder, text, "preset.json").parent

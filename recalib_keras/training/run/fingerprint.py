"""What makes a run the one it is: the recipe, as far as it decides the weights, and the names of the scans."""

import json

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.training.recipe import Recipe
from recalib_keras.training.validation import split

# Keys of a recipe that only say how its weights are described and stored.
DESCRIPTION = ("preset", "weights", "title", "default", "ensemble", "storage")
DESCRIPTION_OF_DATA = ("source", "licence")


def identity(recipe, data_root):
    """Returns what a run by a recipe must have in common with one that it goes on with, as JSON can hold it.

    Args:
        recipe: `Recipe`.
        data_root: path that the folder of its data is relative to.
    """
    training, held_out = split(recipe, data_root)
    found = {
        "recipe": to_mapping(recipe),
        "training scans": [scan.name for scan in training],
        "held-out scans": [scan.name for scan in held_out],
    }
    return json.loads(json.dumps(found, default=repr))  # a network may have a block's class among its arguments


def difference(begun, asked) -> str | None:
    """Returns the first difference between two identities in words, or None.

    Args:
        begun: identity of the run that was begun.
        asked: identity of the run that shall go on with it.
    """
    try:
        before, now = (_deciding(found["recipe"]) for found in (begun, asked))
    except RecordError as error:
        return f"its recipe is none of this version: {error}"
    for key in [*before, *now]:
        if before.get(key) != now.get(key):
            return f"its recipe has {_said(before, key)}, this one {_said(now, key)}"
    for kind in ("training scans", "held-out scans"):
        gone, new = (sorted({*a} - {*b}) for a, b in ((begun[kind], asked[kind]), (asked[kind], begun[kind])))
        if gone or new:
            return f"its {kind} {f'had {gone[0]!r}, which these lack' if gone else f'lacked {new[0]!r}'}"
    return None


def _deciding(mapping):
    """Returns what of a recipe decides the weights: a dict from keys such as `optimizer.name` to values."""
    recipe = from_mapping(Recipe, mapping, "recipe")  # with the defaults of keys that are younger than the run
    mapping = to_mapping(recipe)
    for key in DESCRIPTION:
        mapping.pop(key, None)
    for key in DESCRIPTION_OF_DATA:
        del mapping["data"][key]
    for label in mapping["labels"]:
        del label["color"]
    mapping["labels"] = dict(enumerate(mapping["labels"]))
    del mapping["schedule"]["patience"]  # how long a run goes on changes nothing of what it has done
    if recipe.optimizer.decay != "cosine":
        del mapping["schedule"]["epochs"]  # which no rate depends on
    return dict(_flat(mapping))


def _flat(table, where=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _said(recipe, key):
    return f"{key} = {recipe[key]!r}" if key in recipe else f"no {key}"

"""What identifies a run: the part of its recipe that decides the weights, and its scans, by name and content."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import listed
from recalib_keras.core.records import from_mapping, to_mapping
from recalib_keras.datasets import Contents
from recalib_keras.training.data.split import Split
from recalib_keras.training.recipe import Recipe

# Keys of a recipe that describe the weights or say how they are stored, and do not decide their values.
DESCRIPTION = ("preset", "weights", "title", "default", "ensemble", "storage", "callbacks")
DESCRIPTION_OF_DATA = ("source", "licence", "score_from")
# Keys of the scans in a fingerprint, with their names in messages.
SCANS = {
    "training scans": "training scans",
    "held-out scans": "validation scans",
    "mixed-in label maps": "label maps of generated scans",  # missing in old runs
}
EPOCHS = "schedule.epochs"
CONTENTS = "contents"  # of the scans; missing in old runs
ANNOTATED = "annotated"  # the labels that were looked for, of each scan where these are not all; missing in old runs


def fingerprint(recipe: Recipe, split: Split, use_cache: bool = False) -> dict[str, Any]:
    """Returns what a run must have in common with the one that it resumes, as values that JSON can hold.

    Args:
        recipe: The recipe of the run.
        split: Its scans.
        use_cache: Whether to remember in the cache what the files hold, so that they need not be read again for this.
    """
    found = {
        "recipe": to_mapping(recipe),
        "training scans": [scan.name for scan in split.training],
        "held-out scans": [scan.name for scan in split.validation],
        "mixed-in label maps": [scan.name for scan in split.mixed_in],
    }
    annotated = {scan.name: scan.annotated for scan in [*split.training, *split.validation]}
    found[ANNOTATED] = {name: sorted(labels) for name, labels in annotated.items() if labels is not None}
    found[CONTENTS] = _contents(split, use_cache)
    return json.loads(json.dumps(found, default=repr))  # a network may have a block's class among its arguments


def _contents(split, use_cache):
    """Returns a SHA-256 of each scan; one that cannot be read has none, and is reported when it is read."""
    contents, found = Contents(), {}
    for kind, scans in (("scan", [*split.training, *split.validation]), ("label map", split.mixed_in)):
        for scan in scans:
            with contextlib.suppress(OSError):
                found[f"{kind} {scan.name!r}"] = contents.of(scan)
    if use_cache:
        contents.save()
    return found


def difference(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Returns the first difference between two fingerprints in words, or None if there is none.

    Args:
        begun: Fingerprint of the run as it was begun.
        asked: Fingerprint of the run that is to resume it.
    """
    try:
        before, now = (_deciding(found["recipe"]) for found in (begun, asked))
    except RecordError as error:
        return f"its recipe does not fit this version: {error}"
    for key in sorted([*before, *now], key=lambda key: key == EPOCHS):  # last, since more epochs alone are allowed
        if before.get(key) != now.get(key):
            return f"its recipe has {_in_words(before, key)}, this one {_in_words(now, key)}"
    for key, kind in SCANS.items():
        before, now = ({*found.get(key, ())} for found in (begun, asked))
        missing, new = sorted(before - now), sorted(now - before)
        if missing:
            return f"its {kind} included {missing[0]!r}, which is missing now"
        if new:
            return f"its {kind} did not include {new[0]!r}"
    had, has = (found.get(ANNOTATED, {}) for found in (begun, asked))
    name = next((name for name in sorted({*had, *has}) if had.get(name) != has.get(name)), None)
    if name is not None:
        then, now = (listed(found[name]) if name in found else "all" for found in (had, has))
        return f"of {name!r} the labels looked for were {then}, and are {now} now"
    had, has = (found.get(CONTENTS, {}) for found in (begun, asked))
    changed = next((name for name in sorted({*had} & {*has}) if had[name] != has[name]), None)
    return None if changed is None else f"the {changed} has another content now"


def lengthened(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Returns what it means, in words, that a run continues with more epochs than it began with; else None.

    With cosine decay the learning rate of each epoch depends on their number. The epochs so far keep what they did.

    Args:
        begun: Fingerprint of the run as it was begun.
        asked: Fingerprint of the run that is to resume it.
    """
    if difference(begun, asked) is None:
        return None
    before, now = (found["recipe"]["schedule"]["epochs"] for found in (begun, asked))
    if now <= before or difference(_with_epochs(begun, now), asked):
        return None
    return (
        f"the run began with {before} epochs and continues to {now}; its learning rate so far fell as for {before}, so "
        f"the weights will differ from those of a run of {now} epochs"
    )


def _with_epochs(found, epochs):
    recipe = found["recipe"]
    return {**found, "recipe": {**recipe, "schedule": {**recipe["schedule"], "epochs": epochs}}}


def _deciding(mapping):
    """Returns the part of a recipe that decides the weights: a dict from keys such as `optimizer.name` to values."""
    recipe = from_mapping(Recipe, mapping, "recipe")  # fills in defaults of keys that are newer than the run
    mapping = to_mapping(recipe)
    for key in DESCRIPTION:
        mapping.pop(key, None)
    for key in DESCRIPTION_OF_DATA:
        mapping["data"].pop(key, None)
    for label in mapping["labels"]:
        del label["color"]
    mapping["labels"] = dict(enumerate(mapping["labels"]))
    del mapping["schedule"]["patience"]  # how long a run continues does not change what it has done so far
    if recipe.optimizer.decay != "cosine":
        del mapping["schedule"]["epochs"]  # other learning rates do not depend on it
    return dict(_flat(mapping))


def _flat(table, where=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _in_words(recipe, key):
    return f"{key} = {recipe[key]!r}" if key in recipe else f"no {key}"

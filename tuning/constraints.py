"""Which mixes of a network's arguments can be built, told without building them."""

import inspect
import re

import keras

from recalib_keras.core.errors import RecordError
from recalib_keras.models import POSITIONS, RECALIBRATIONS, EncoderDecoder

NONE = "none"  # what a study calls a network without blocks
LEVELS = inspect.signature(EncoderDecoder).parameters["levels"].default
STAGE = re.compile(r"(encoder|decoder)_([1-9]\d*)")  # a single block


def argument(recipe, name, default=None):
    """Returns an argument of the network of a recipe, a mapping; `default` if it does not say."""
    return recipe["network"].get("arguments", {}).get(name, default)


def block(recipe):
    """Returns the class of the recipe's recalibration block, or None.

    Raises:
        RecordError: for an unknown name.
    """
    name = argument(recipe, "recalibration")
    if name is None or name == NONE:
        return None
    found = RECALIBRATIONS.get(name) or keras.saving.get_registered_object(name)
    if found is None:
        raise RecordError(f"recalibration must be 'none' or one of {', '.join(RECALIBRATIONS)}, not {name!r}")
    return found


def takes(block_class, name):
    """Returns whether a block knows an argument of this name."""
    return block_class is not None and any(
        name in inspect.signature(kind.__init__).parameters
        for kind in block_class.__mro__
        if issubclass(kind, keras.layers.Layer) and kind is not keras.layers.Layer
    )


def block_argument(recipe, name):
    """Returns an argument of the recipe's block, its default if the recipe does not say; None if it takes none."""
    chosen = argument(recipe, "recalibration_args", {})
    if name in chosen:
        return chosen[name]
    for kind in block(recipe).__mro__ if takes(block(recipe), name) else ():
        found = inspect.signature(kind.__init__).parameters.get(name)
        if found is not None:
            return found.default
    return None


def levels(recipe):
    """Returns the number of levels.

    Raises:
        RecordError: if it is none.
    """
    found = argument(recipe, "levels", LEVELS)
    if not isinstance(found, int) or found < 1:
        raise RecordError(f"levels must be an integer of at least 1, not {found!r}")
    return found


def positions(recipe):
    """Returns where the blocks stand, `P5` and its like spelled out.

    Raises:
        RecordError: for an unknown place.
    """
    chosen = argument(recipe, "positions", POSITIONS["P5"])
    chosen = POSITIONS.get(chosen, (chosen,)) if isinstance(chosen, str) else tuple(chosen)
    for place in chosen:
        if place not in POSITIONS["P6"] and not STAGE.fullmatch(str(place)):
            raise RecordError(
                f"positions must be of {', '.join(POSITIONS)}, {', '.join(POSITIONS['P6'])}, or single blocks such as "
                f"'encoder_1', not {place!r}"
            )
    return chosen


def has_encoder_block(recipe):
    """Returns whether a block stands in an encoder."""
    return any(place.startswith("encoder") for place in positions(recipe))


def channels(recipe):
    """Returns the smallest number of channels that a block of the recipe's network sees."""
    filters = argument(recipe, "filters") or (64 if 1 in recipe["input"]["window"] else 32)
    *outer, bottleneck = [filters] * (levels(recipe) + 1) if isinstance(filters, int) else filters
    seen = {"encoder": outer, "decoder": outer, "bottleneck": [bottleneck], "classifier": [len(recipe["labels"])]}
    for part in ("encoder", "decoder"):
        seen |= {f"{part}_{level}": [width] for level, width in enumerate(outer, start=1)}
    return min((width for place in positions(recipe) for width in seen.get(place, ())), default=bottleneck)


def ratio_problem(recipe) -> str | None:
    """Returns why the reduction ratio cannot be, or None."""
    if not takes(block(recipe), "reduction_ratio") or not positions(recipe):
        return None
    ratio, seen = block_argument(recipe, "reduction_ratio"), channels(recipe)
    return None if ratio <= seen else f"the reduction ratio {ratio} is above the {seen} channels of a block"


def aggregation_problem(recipe) -> str | None:
    """Returns why the aggregation cannot be, or None."""
    aggregation = block_argument(recipe, "aggregation") if takes(block(recipe), "aggregation") else None
    if aggregation == "concat" and "classifier" in positions(recipe):
        return "'concat' doubles the channels, and the block after the classifier must keep them"
    if aggregation in ("multiply", "concat") and argument(recipe, "recalibration_args", {}).get("use_identity_start"):
        return f"use_identity_start needs the aggregation 'max' or 'add', not {aggregation!r}"
    return None


def levels_problem(recipe) -> str | None:
    """Returns why the levels cannot be, or None."""
    count, filters = levels(recipe), argument(recipe, "filters")
    sizes = [size for size in recipe["input"]["window"] if size != 1]
    stem = argument(recipe, "stem", 1)
    if any(size % (stem * 2**count) for size in sizes):
        after = f" after a stem of {stem}" if stem > 1 else ""
        return f"{count} levels{after} cannot halve a window of {' × '.join(map(str, sizes))}"
    if isinstance(filters, (list, tuple)) and len(filters) != count + 1:
        return f"{count} levels need {count + 1} numbers of filters, not {len(filters)}"
    for place in positions(recipe) if block(recipe) is not None else ():
        stage = STAGE.fullmatch(place)
        if stage and int(stage[2]) > count:
            return f"{count} levels have no {place!r} for a block to stand at"
    return None


def problem(recipe):
    """Returns why the network of a recipe, a mapping, cannot be built, or None.

    Every rule is one of the networks' own; here it is known before anything is built.
    """
    return levels_problem(recipe) or ratio_problem(recipe) or aggregation_problem(recipe)

"""Which mixes of a network's arguments can be built, told without building them."""

from collections.abc import Callable

from recalib_keras.core.errors import RecordError
from recalib_keras.layers.channel_spatial_se import check_aggregation
from recalib_keras.models import architecture
from recalib_keras.models.architecture import Architecture

NONE = "none"  # what a study calls a network without blocks


def argument(recipe, name, default=None):
    """Returns an argument of the network of a recipe, a mapping; `default` if it does not say."""
    return architecture.with_current_names(recipe["network"].get("arguments", {})).get(name, default)


def block(recipe):
    """Returns the class of the recipe's recalibration block, or None.

    Raises:
        RecordError: for an unknown name.
    """
    name = argument(recipe, "recalibration")
    try:
        return None if name == NONE else architecture.block_class(name)
    except ValueError as error:
        raise RecordError(f"{error}; in a study, {NONE!r} is a network without blocks") from None


def takes(block_class, name):
    """Returns whether a block knows an argument of this name."""
    return block_class is not None and name in architecture.block_arguments(block_class)


def block_argument(recipe, name):
    """Returns an argument of the recipe's block, its default if the recipe does not say; None if it takes none."""
    defaults = architecture.block_arguments(block(recipe)) if block(recipe) is not None else {}
    return {**defaults, **argument(recipe, "recalibration_args", {})}.get(name)


def levels(recipe):
    """Returns the number of levels.

    Raises:
        RecordError: if it is none.
    """
    found = argument(recipe, "levels", Architecture.levels)
    _raise(architecture.check_levels, found)
    return found


def positions(recipe):
    """Returns where the blocks stand, `P5` and its like spelled out.

    Raises:
        RecordError: for an unknown place.
    """
    chosen = argument(recipe, "positions", Architecture.positions)
    _raise(architecture.resolve_positions, chosen)
    return architecture.resolve_positions(chosen)


def has_encoder_block(recipe):
    """Returns whether a block stands in an encoder."""
    return any(place.startswith("encoder") for place in positions(recipe))


def channels(recipe):
    """Returns the smallest number of channels that a block of the recipe's network sees."""
    filters = argument(recipe, "filters") or architecture.DEFAULT_FILTERS[len(_sizes(recipe))]
    widths = architecture.widths(filters, levels(recipe))
    return architecture.smallest_width(positions(recipe), widths, len(recipe["labels"]))


def ratio_problem(recipe) -> str | None:
    """Returns why the reduction ratio cannot be, or None."""
    if block(recipe) is None or not positions(recipe):
        return None
    chosen = argument(recipe, "recalibration_args", {})
    return _problem(architecture.check_reduction_ratio, block(recipe), chosen, channels(recipe))


def aggregation_problem(recipe) -> str | None:
    """Returns why the aggregation cannot be, or None."""
    if not takes(block(recipe), "aggregation"):
        return None
    aggregation, classes = block_argument(recipe, "aggregation"), len(recipe["labels"])
    if aggregation == "concat" and "classifier" in positions(recipe):
        return _problem(architecture.check_classifier_channels, 2 * classes, classes)
    return _problem(check_aggregation, aggregation, bool(block_argument(recipe, "use_identity_start")))


def levels_problem(recipe) -> str | None:
    """Returns why the levels cannot be, or None."""
    count, filters = levels(recipe), argument(recipe, "filters")
    found = _problem(architecture.check_size, _sizes(recipe), count, argument(recipe, "patch_size", 1))
    if found is None and filters is not None:
        found = _problem(architecture.check_filters, filters, count)
    if found is None and block(recipe) is not None:
        found = _problem(architecture.check_positions, positions(recipe), count)
    return found


def problem(recipe):
    """Returns why the network of a recipe, a mapping, cannot be built, or None.

    Every rule is one of the networks' own; here it is known before anything is built.
    """
    return levels_problem(recipe) or ratio_problem(recipe) or aggregation_problem(recipe)


def _sizes(recipe):
    """Returns the window's sizes along the axes of the network."""
    return tuple(size for size in recipe["input"]["window"] if size != 1)


def _problem(check: Callable[..., object], *arguments) -> str | None:
    """Returns the message of the error that a check raises, or None."""
    try:
        check(*arguments)
    except ValueError as error:
        return str(error)
    return None


def _raise(check, *arguments):
    """Raises what a check finds as the error of a recipe."""
    found = _problem(check, *arguments)
    if found is not None:
        raise RecordError(found)

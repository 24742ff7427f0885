"""Decides which mixes of a network's arguments can be built, without building them."""

from collections.abc import Callable, Mapping
from typing import Any

from recalib_keras.core.errors import RecordError
from recalib_keras.layers.channel_spatial_se import check_aggregation
from recalib_keras.models import architecture
from recalib_keras.models.architecture import Architecture

NONE = "none"  # what a study calls a network without blocks
Mix = Mapping[str, Any]  # the mapping of a recipe


def argument(recipe: Mix, name: str, default: Any = None) -> Any:
    """Returns an argument of the recipe's network.

    Args:
        recipe: The mapping of a recipe.
        name: The argument.
        default: What to return if the recipe does not give it.
    """
    return architecture.with_current_names(recipe["network"].get("arguments", {})).get(name, default)


def block(recipe: Mix) -> type | None:
    """Returns the class of the recipe's recalibration block, or None.

    Raises:
        RecordError: The name is unknown.
    """
    name = argument(recipe, "recalibration")
    try:
        return None if name == NONE else architecture.block_class(name)
    except ValueError as error:
        raise RecordError(f"{error}; in a study, {NONE!r} is a network without blocks") from None


def takes(block_class: type | None, name: str) -> bool:
    """Returns whether a block has an argument of this name."""
    return block_class is not None and name in architecture.block_arguments(block_class)


def block_argument(recipe: Mix, name: str) -> Any:
    """Returns an argument of the recipe's block, or its default; None if the block has no such argument."""
    defaults = architecture.block_arguments(block(recipe)) if block(recipe) is not None else {}
    return {**defaults, **argument(recipe, "recalibration_args", {})}.get(name)


def levels(recipe: Mix) -> int:
    """Returns the number of levels.

    Raises:
        RecordError: It is invalid.
    """
    found = argument(recipe, "levels", Architecture.levels)
    _raise(architecture.check_levels, found)
    return found


def positions(recipe: Mix) -> tuple[str, ...]:
    """Returns the positions of the blocks, with `P1` to `P6` resolved.

    Raises:
        RecordError: A position is unknown.
    """
    chosen = argument(recipe, "positions", Architecture.positions)
    _raise(architecture.resolve_positions, chosen)
    return architecture.resolve_positions(chosen)


def has_encoder_block(recipe: Mix) -> bool:
    """Returns whether an encoder has a block."""
    return any(place.startswith("encoder") for place in positions(recipe))


def channels(recipe: Mix) -> int:
    """Returns the smallest number of channels that a block of the recipe's network sees."""
    filters = argument(recipe, "filters") or architecture.DEFAULT_FILTERS[len(_sizes(recipe))]
    widths = architecture.widths(filters, levels(recipe))
    return architecture.smallest_width(positions(recipe), widths, _classes(recipe))


def ratio_problem(recipe: Mix) -> str | None:
    """Returns why the reduction ratio is invalid, or None."""
    if block(recipe) is None or not positions(recipe):
        return None
    chosen = argument(recipe, "recalibration_args", {})
    return _problem(architecture.check_reduction_ratio, block(recipe), chosen, channels(recipe))


def aggregation_problem(recipe: Mix) -> str | None:
    """Returns why the aggregation is invalid, or None."""
    if not takes(block(recipe), "aggregation"):
        return None
    aggregation, classes = block_argument(recipe, "aggregation"), _classes(recipe)
    if aggregation == "concat" and "classifier" in positions(recipe):
        return _problem(architecture.check_classifier_channels, 2 * classes, classes)
    return _problem(check_aggregation, aggregation, bool(block_argument(recipe, "use_identity_start")))


def levels_problem(recipe: Mix) -> str | None:
    """Returns why the levels are invalid, or None."""
    count, filters = levels(recipe), argument(recipe, "filters")
    pool_sizes = architecture.as_tuples(argument(recipe, "pool_sizes"))
    found = _problem(architecture.check_pool_sizes, pool_sizes, count, len(_sizes(recipe)))
    found = found or _problem(
        architecture.check_size, _sizes(recipe), count, argument(recipe, "patch_size", 1), pool_sizes
    )
    if found is None and filters is not None:
        found = _problem(architecture.check_filters, filters, count)
    if found is None and block(recipe) is not None:
        found = _problem(architecture.check_positions, positions(recipe), count)
    return found


def problem(recipe: Mix) -> str | None:
    """Returns why the network of a recipe cannot be built, or None.

    The rules are those of the networks themselves, applied before anything is built.
    """
    return levels_problem(recipe) or ratio_problem(recipe) or aggregation_problem(recipe)


def _classes(recipe):
    """Returns the number of classes: one for each label; with a sigmoid, none for the background."""
    return len(recipe["labels"]) - (argument(recipe, "classifier_activation") == "sigmoid")


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
    """Raises the error of a check as a `RecordError`."""
    found = _problem(check, *arguments)
    if found is not None:
        raise RecordError(found)

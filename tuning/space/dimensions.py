"""One dimension of a search: which key of a recipe varies, and over which values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from recalib_keras.core.errors import RecordError
from recalib_keras.core.messages import did_you_mean
from recalib_keras.core.records import from_mapping
from recalib_keras.training.recipe import Recipe

_ARGUMENTS = "network.arguments"
_BLOCK = f"{_ARGUMENTS}.recalibration_args"
# The keys that are searched most often have a short name. Every other key of a recipe is named in full, table by table.
SHORT_NAMES = {
    "architecture": "network.architecture",
    "recalibration": f"{_ARGUMENTS}.recalibration",
    "filters": f"{_ARGUMENTS}.filters",
    "levels": f"{_ARGUMENTS}.levels",
    "positions": f"{_ARGUMENTS}.positions",
    "skip": f"{_ARGUMENTS}.skip",
    "reduction_ratio": f"{_BLOCK}.reduction_ratio",
    "aggregation": f"{_BLOCK}.aggregation",
    "dropout": f"{_ARGUMENTS}.dropout",
    "normalization": f"{_ARGUMENTS}.normalization",
    "upsampling": f"{_ARGUMENTS}.upsampling",
    "learning_rate": "optimizer.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "batch_size": "schedule.batch_size",
}
# A study has seeds of its own, and scores of other structures cannot be compared.
TABLES = tuple(field.name for field in fields(Recipe) if field.name not in ("seed", "labels", "default"))
# Tables vary key by key, not as a whole.
WHOLE = (
    *("data", "input", "network", "loss", "optimizer", "schedule", "augmentation", "synthesis", "synthesis_start"),
    *("mixture", "fine_tuning", "ensemble", _ARGUMENTS, _BLOCK),
)
# The types of what a space computes with before a recipe checks it.
INTEGERS = ("input.window", *(SHORT_NAMES[name] for name in ("filters", "levels", "reduction_ratio")))
TEXTS = tuple(SHORT_NAMES[name] for name in ("architecture", "recalibration", "positions", "skip", "aggregation"))
MAY_BE_LISTS = ("input.window", SHORT_NAMES["filters"], SHORT_NAMES["positions"])
# Conditions name single values of these dimensions, so their ranges become lists of integers.
LISTED = ("filters", "levels", "reduction_ratio")
LARGEST = 10**15  # of any number: floats hold every integer up to there
SMALLEST = 1e-100  # of a number on a log scale: its ratio to the largest is still a float
MOST_OPTIONS = 500


@dataclass(frozen=True)
class Range:
    """Numbers from `min` to `max`, both included; integers if all are.

    Args:
        min: Smallest value, at least −10¹⁵; above 0 on a log scale.
        max: Largest value, above `min` and at most 10¹⁵.
        step: Distance between two values, or their ratio if the scale is `"log"`; None for any number between.
        scale: `"linear"`, or `"log"` to draw small and large numbers equally often.

    Raises:
        RecordError: The values contradict each other or are too large.
    """

    min: int | float
    max: int | float
    step: int | float | None = None
    scale: str = "linear"

    def __post_init__(self):
        for key in ("min", "max", "step"):
            value = getattr(self, key)
            if value is not None and not _is_bounded(value):
                raise RecordError(expected=f"{key} from -1e15 to 1e15", received=described(value))
        is_log = self.scale == "log"
        if self.scale not in ("linear", "log"):
            hint = did_you_mean(self.scale, ("linear", "log")) or None
            raise RecordError(expected="scale to be 'linear' or 'log'", received=repr(self.scale), remedy=hint)
        if not self.min < self.max:
            raise RecordError(expected="min to be below max", received=f"min {self.min} and max {self.max}")
        if is_log and self.min < SMALLEST:
            raise RecordError(
                expected=f"min to be above 0, at least {SMALLEST}, on a log scale", received=str(self.min)
            )
        if self.step is not None and self.step <= is_log:
            raise RecordError(
                expected=f"step to be above {int(is_log)} on a {self.scale} scale", received=str(self.step)
            )

    @property
    def is_integer(self) -> bool:
        """Whether all its values are integers."""
        return all(isinstance(number, int) for number in (self.min, self.max, self.step or 1))

    @property
    def count(self) -> int | float:
        """How many values `values` would return; infinity for more than floats can count."""
        if self.scale == "linear" or self.step is None:
            steps = (self.max - self.min) / (self.step or 1)
        else:
            steps = math.log(self.max / self.min, self.step)
        return 1 + math.floor(steps + 1e-9) if steps <= LARGEST else math.inf

    def values(self) -> tuple[int | float, ...]:
        """Returns the values of a range of integers, or of one with a step.

        Raises:
            RecordError: There are more than 500 values.

        Example:
            >>> Range(0.1, 0.3, step=0.1).values()
            (0.1, 0.2, 0.3)
        """
        if self.count > MOST_OPTIONS:
            raise RecordError(
                expected=f"at most {MOST_OPTIONS} values from {self.min} to {self.max}",
                received=f"{self.count} by a step of {self.step or 1}",
                remedy="give a larger `step`",
            )
        count = cast("int", self.count)  # infinity is refused
        if self.scale == "linear" or self.step is None:
            return tuple(clean(self.min + index * (self.step or 1)) for index in range(count))
        return tuple(clean(self.min * self.step**index) for index in range(count))


@dataclass(frozen=True)
class Dimension:
    """What a study varies about a recipe.

    Args:
        name: Short name, or the key in full.
        key: Key of the recipe, table by table, such as `"optimizer.learning_rate"`.
        options: The values to choose from, or None for a range.
        range: The range, or None.
    """

    name: str
    key: str
    options: tuple[Any, ...] | None = None
    range: Range | None = None

    @property
    def labels(self) -> tuple[Any, ...]:
        """The options as keras-tuner takes them: all integers, all floats, or all text."""
        kinds = {type(option) for option in self.options}
        if kinds <= {int, float}:
            return self.options if len(kinds) == 1 else tuple(float(option) for option in self.options)
        return tuple(map(label, self.options))

    def option(self, chosen: Any) -> Any:
        """Returns the option of a label, or a number of a range without its rounding error.

        Args:
            chosen: What keras-tuner has chosen.
        """
        return clean(chosen) if self.options is None else self.options[self.labels.index(chosen)]

    def chosen(self, option: Any) -> Any:
        """Returns the label of an option; the inverse of `option`.

        Args:
            option: A value of the dimension.
        """
        return option if self.options is None else self.labels[[*map(label, self.options)].index(label(option))]


def clean(number: Any) -> Any:
    """Returns a number without the rounding error of its computation: 0.3 for 0.1 + 0.2.

    Args:
        number: A number. All but floats are returned as they are.
    """
    return float(f"{number:.10g}") if isinstance(number, float) else number


def label(option: Any) -> str:
    """Returns an option as text: `P5`, `0.01`, `[16, 32]`.

    Args:
        option: A value of a dimension, as JSON can hold it.
    """
    return option if isinstance(option, str) else json.dumps(option, default=str)


def described(value: Any) -> str:
    """Returns a value as a short text; of an integer too long to read, its size.

    Args:
        value: Any value of a study file.
    """
    if isinstance(value, int) and abs(value) > 10**20:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def read_dimensions(table: Mapping[str, Any], where: str) -> tuple[tuple[Dimension, ...], dict[str, Any]]:
    """Returns the dimensions of a study's table, and the keys that it fixes.

    Args:
        table: Dict from names to a value (fixed), a list of values, or a table with `min` and `max`.
        where: What the table is, for messages.

    Returns:
        The dimensions, and a dict from keys of the recipe to their only value.

    Raises:
        RecordError: A name is unknown (the message gives the nearest known one), a key is given twice, or a value is
            none of the three forms, or too large.
    """
    dimensions, fixed = [], {}
    for name, value in table.items():
        dimension = _read(name, value, f"{where}: {name}")
        if dimension.key in fixed or dimension.key in [other.key for other in dimensions]:
            raise RecordError(
                part=where,
                expected=f"{dimension.key} once",
                received="it twice, once by its short name",
                remedy="remove one of the two",
            )
        if dimension.options is not None and len(dimension.options) == 1:
            fixed[dimension.key] = dimension.options[0]
        else:
            dimensions.append(dimension)
    return tuple(dimensions), fixed


def _read(name, value, where):
    key = _key(name, where)
    name = next((short for short, long in SHORT_NAMES.items() if long == key), name)
    if isinstance(value, dict):
        range_ = from_mapping(Range, value, where)
        if name in LISTED if range_.is_integer else range_.step is not None:
            return Dimension(name, key, options=_values(range_, where))
        return Dimension(name, key, range=range_)
    options = _options(value, where)
    _check_shape(key, options, where)
    return Dimension(name, key, options=options)


def _values(range_, where):
    try:
        return range_.values()
    except RecordError as error:
        raise error.at(where) from None


def _options(value, where):
    options = tuple(value) if isinstance(value, list) else (value,)
    if len(options) > MOST_OPTIONS:
        expected = f"at most {MOST_OPTIONS} values"
        raise RecordError(file=where, expected=expected, received=str(len(options)), remedy="list fewer")
    for option in options:
        _check_option(option, where)
    labels = [label(option) for option in options]
    if not options or len(set(labels)) < len(labels):
        expected = "one value, a list of different values, or a range"
        raise RecordError(file=where, expected=expected, received=repr(value))
    return options


def _check_option(option, where):
    """Checks that an option is text, true, false, a finite number that floats can hold, or a list of these."""
    for item in option if isinstance(option, list) else (option,):
        if isinstance(item, list):
            _check_option(item, where)
        elif isinstance(item, (int, float)) and not _is_bounded(item):
            raise RecordError(file=where, expected="numbers from -1e15 to 1e15", received=described(item))
        elif not isinstance(item, (int, float, str)):
            expected = "text, numbers, true, false or lists of them"
            raise RecordError(file=where, expected=expected, received=described(item))


def _check_shape(key, options, where):
    """Checks the options of keys that a `Space` computes with before a recipe checks them."""
    for option in options:
        if key == "input.window" and not isinstance(option, list):
            raise RecordError(file=where, expected="sizes such as [96, 96, 96]", received=described(option))
        items = option if isinstance(option, list) and key in MAY_BE_LISTS else [option]
        if key in INTEGERS and not all(type(item) is int and item > 0 for item in items or [None]):
            raise RecordError(file=where, expected="integers of at least 1", received=described(option))
        if key in TEXTS and not all(isinstance(item, str) for item in items):
            raise RecordError(file=where, expected="text", received=described(option))


def _is_bounded(number):
    return -LARGEST <= number <= LARGEST  # false for NaN


def _key(name, where):
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    if name in WHOLE:
        raise RecordError(
            file=where, expected="a single key of a recipe", received="a whole table", remedy="name a key of it"
        )
    if name.split(".")[0] in TABLES:
        return name
    otherwise = f"short names are {', '.join(SHORT_NAMES)};"
    hint = did_you_mean(name, [*SHORT_NAMES, *TABLES], otherwise=otherwise)
    remedy = f"{hint} other keys are given in full, such as 'optimizer.name'"
    raise RecordError(file=where, expected="a key of a recipe", received=repr(name), remedy=remedy)

"""One dimension of a search: which key of a recipe varies, and over what."""

import difflib
import json
import math
from dataclasses import dataclass, fields

from recalib_keras.core.errors import RecordError
from recalib_keras.core.records import from_mapping
from recalib_keras.training.recipe import Recipe

_ARGUMENTS = "network.arguments"
_BLOCK = f"{_ARGUMENTS}.recalibration_args"
# What is searched most often has a short name; every other key of a recipe is named in full, table by table.
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
# The study has seeds of its own, and what it varies cannot be compared over other structures.
TABLES = tuple(field.name for field in fields(Recipe) if field.name not in ("seed", "labels", "default"))
# Conditions name single values of these, so that their ranges are lists of integers.
LISTED = ("filters", "levels", "reduction_ratio")


@dataclass(frozen=True)
class Range:
    """Numbers from `min` to `max`, both included; integers if all are.

    Args:
        min, max: numbers.
        step: distance between two values, or their ratio if the scale is `"log"`; None for any number between.
        scale: `"linear"`, or `"log"` to draw small and large numbers alike.
    """

    min: int | float
    max: int | float
    step: int | float | None = None
    scale: str = "linear"

    def __post_init__(self):
        if self.scale not in ("linear", "log"):
            raise RecordError(f"scale must be 'linear' or 'log', not {self.scale!r}")
        if not self.min < self.max:
            raise RecordError(f"min must be below max, not {self.min} and {self.max}")
        if self.scale == "log" and self.min <= 0:
            raise RecordError(f"min must be above 0 on a log scale, not {self.min}")
        if self.step is not None and self.step <= (self.scale == "log"):
            raise RecordError(f"step must be above {int(self.scale == 'log')} on a {self.scale} scale, not {self.step}")

    @property
    def is_integer(self):
        """Whether all its values are integers."""
        return all(isinstance(number, int) for number in (self.min, self.max, self.step or 1))

    def values(self):
        """Returns the values of a range of integers, or of one with a step.

        >>> Range(0.1, 0.3, step=0.1).values()
        (0.1, 0.2, 0.3)
        """
        step = self.step or 1
        if self.scale == "linear" or self.step is None:
            count = 1 + math.floor((self.max - self.min) / step + 1e-9)
            return tuple(clean(self.min + index * step) for index in range(count))
        count = 1 + math.floor(math.log(self.max / self.min, step) + 1e-9)
        return tuple(clean(self.min * step**index) for index in range(count))


@dataclass(frozen=True)
class Dimension:
    """What a study varies about a recipe.

    Args:
        name: short name, or the key in full.
        key: of the recipe, table by table, such as `"optimizer.learning_rate"`.
        options: the values to choose from, or None for a range.
        range: `Range`, or None.
    """

    name: str
    key: str
    options: tuple | None = None
    range: Range | None = None

    @property
    def labels(self):
        """The options as keras-tuner takes them: all integers, all numbers, or all text."""
        kinds = {type(option) for option in self.options}
        if kinds <= {int, float}:
            return self.options if len(kinds) == 1 else tuple(float(option) for option in self.options)
        return tuple(map(label, self.options))

    def option(self, chosen):
        """Returns the option of a label, or a number of a range as it is written."""
        return clean(chosen) if self.options is None else self.options[self.labels.index(chosen)]

    def chosen(self, option):
        """Returns the label of an option; the inverse of `option`."""
        return option if self.options is None else self.labels[[*map(label, self.options)].index(label(option))]


def clean(number):
    """Returns a number without the dust of its computation: 0.3 for 0.1 + 0.2."""
    return float(f"{number:.10g}") if isinstance(number, float) else number


def label(option):
    """Returns an option as text: `P5`, `0.01`, `[16, 32]`."""
    return option if isinstance(option, str) else json.dumps(option)


def read_dimensions(table, where):
    """Returns the dimensions of a study's table, and the keys it fixes.

    Args:
        table: dict from names to a value (fixed), a list of values, or a table with `min` and `max`.
        where: what the table is, for messages.

    Returns:
        Tuple of `Dimension`, and a dict from keys of the recipe to their one value.

    Raises:
        RecordError: for an unknown name (the nearest known one is named), a key given twice, or a value that is none
            of the three forms.
    """
    dimensions, fixed = [], {}
    for name, value in table.items():
        dimension = _read(name, value, f"{where}: {name}")
        if dimension.key in fixed or dimension.key in [other.key for other in dimensions]:
            raise RecordError(f"{where} gives {dimension.key} twice, once by its short name; take one away")
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
            return Dimension(name, key, options=range_.values())
        return Dimension(name, key, range=range_)
    options = tuple(value) if isinstance(value, list) else (value,)
    labels = [label(option) for option in options]
    if not options or len(set(labels)) < len(labels):
        raise RecordError(f"{where} must be one value, different ones in a list, or a range, not {value!r}")
    return Dimension(name, key, options=options)


def _key(name, where):
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    if name.split(".")[0] in TABLES:
        return name
    nearest = difflib.get_close_matches(name, [*SHORT_NAMES, *TABLES], n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"short names are {', '.join(SHORT_NAMES)}"
    raise RecordError(f"{where} is no key of a recipe; {hint} Other keys are given in full, such as 'optimizer.name'")

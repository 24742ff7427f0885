"""The recipes that a study chooses among: what varies, what depends on what, and what is impossible."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recalib_keras.core.errors import RecordError
from recalib_keras.models.architecture import with_current_names
from recalib_keras.tuning.space import constraints
from recalib_keras.tuning.space.dimensions import read_dimensions

if TYPE_CHECKING:
    import keras_tuner

_BLOCK_ARGUMENT = "network.arguments.recalibration_args."
# Dimensions that must fit each other, in the order in which they are chosen.
SHAPE = ("input.window", "filters", "levels", "positions")
# Dimensions that are chosen before those that depend on them, in this order.
PARENTS = ("architecture", "recalibration", *SHAPE)
MOST_MIXES = 10_000  # of dimensions that depend on each other: all of them are checked when a study starts


class Space:
    """The recipes that a study chooses among.

    A dimension takes part in a trial only where it matters: the arguments of a block where the block has them,
    `positions` if there is a block, `skip` if an encoder has a block. Reduction ratios above the number
    of channels, aggregations that the network refuses, and levels that do not fit the window, the filters or the
    positions are never chosen.

    Args:
        table: Dict from names to a fixed value, a list of values or a range; see
            `recalib_keras.tuning.space.dimensions.read_dimensions`.
        recipe: Mapping of the recipe to vary.
        where: What the table is, for messages.

    Attributes:
        dimensions: Tuple of `Dimension`; those that others depend on come first.
        base: Mapping of the recipe with everything that is fixed.

    Raises:
        RecordError: `read_dimensions` refuses the table, a dimension can never matter, no mix of values is possible,
            or dimensions that depend on each other have too many values.
    """

    def __init__(self, table: Mapping[str, Any], recipe: Mapping[str, Any], where: str = "space"):
        dimensions, fixed = read_dimensions(table, where)
        order = {name: place for place, name in enumerate(PARENTS)}
        self.dimensions = tuple(sorted(dimensions, key=lambda dimension: order.get(dimension.name, len(order))))
        with _located(where):
            self.base = _with(recipe, fixed)
        network = self.base["network"]
        network["arguments"] = with_current_names(network.get("arguments", {}))
        self._by_name = {dimension.name: dimension for dimension in self.dimensions}
        self._cases = {}
        for dimension in self.dimensions:
            self._check_size(dimension, where)
            with _located(where):
                self._cases[dimension.name] = self._find_cases(dimension)
            if not self._cases[dimension.name]:
                raise RecordError(
                    file=where,
                    expected=f"{dimension.name} to matter",
                    received="a dimension that has no effect, or no possible value, with anything else that the study "
                    "varies",
                    remedy="remove it, or vary what it depends on",
                )
        with _located(where):
            problem = None if self.dimensions else self.problem({})
        if problem:
            raise RecordError(f"{where}: {problem}")

    def recipe(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the mapping of the recipe with some dimensions chosen.

        Args:
            values: Dict from names of dimensions to their values.
        """
        return _tidy(_with(self.base, {self._by_name[name].key: value for name, value in values.items()}))

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Returns why a mix of values is impossible, or None.

        Args:
            values: Dict from names of dimensions to their values.
        """
        recipe = self.recipe(values)
        missing = "reduction_ratio" in self._by_name and "reduction_ratio" not in values
        if missing and constraints.takes(constraints.block(recipe), "reduction_ratio"):
            return f"every reduction ratio of the study is above the {constraints.channels(recipe)} channels of a block"
        return constraints.problem(recipe)

    def values(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of the dimensions from what keras-tuner has chosen.

        Args:
            chosen: Dict from keras-tuner's names to its values.
        """
        values = {}
        for dimension in self.dimensions:
            for name, *_ in self._cases[dimension.name]:
                if name in chosen:
                    values[dimension.name] = dimension.option(chosen[name])
        return values

    def config(self) -> dict[str, Any]:
        """Returns the space as `keras_tuner.HyperParameters.from_config` takes it."""
        space = [
            _hyperparameter(self._by_name[dimension], name, labels, conditions)
            for dimension, cases in self._cases.items()
            for name, conditions, labels in cases
        ]
        return {"space": space, "values": {}}

    def declare(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """Adds the hyperparameters that are missing; values that are already chosen stay.

        Args:
            hyperparameters: What to add them to.
        """
        import keras_tuner

        ours = keras_tuner.HyperParameters.from_config(copy.deepcopy(self.config()))
        hyperparameters.merge(ours, overwrite=False)

    def _check_size(self, dimension, where):
        """Checks that all mixes of a dimension with those it depends on can be looked at."""
        names = {"recalibration", *SHAPE} if dimension.name in SHAPE else {dimension.name, *_parents(dimension)}
        sizes = {name: len(self._by_name[name].options or ()) for name in names & self._by_name.keys()}
        if math.prod(sizes.values()) > MOST_MIXES:
            raise RecordError(
                part=where,
                expected=f"at most {MOST_MIXES} mixes of {', '.join(sorted(sizes))}",
                received=str(math.prod(sizes.values())),
                remedy="give fewer values, or a larger `step`",
            )

    def _find_cases(self, dimension):
        """Returns the cases in which a dimension matters: its name then, conditions, and labels to choose from.

        Where the choice differs from case to case, each case is a hyperparameter of its own for keras-tuner.
        """
        if dimension.options is None:
            return [(dimension.name, {}, None)]
        parents = [self._by_name[name] for name in _parents(dimension) if name in self._by_name]
        boxes = [(conditions, labels) for conditions, labels in self._boxes(dimension, parents, {}) if labels]
        boxes = [(mix, labels) for conditions, labels in boxes for mix in self._by_case(conditions)]
        boxes.sort(key=lambda box: -len(box[1]))
        names = [dimension.name, *(f"{dimension.name} ({number})" for number in range(2, len(boxes) + 1))]
        return [(name, conditions, labels) for name, (conditions, labels) in zip(names, boxes)]

    def _by_case(self, conditions):
        """Yields conditions on dimensions as conditions on their cases: a dict for each mix of cases."""
        cases = [
            [(name, tuple(text for text in texts if text in labels)) for name, _, labels in self._cases[parent]]
            for parent, texts in conditions
        ]
        for mix in itertools.product(*cases):
            if all(texts for _, texts in mix):
                yield dict(mix)

    def _boxes(self, dimension, parents, chosen):
        """Returns pairs of conditions and the labels that they leave; together they cover all cases of the parents."""
        if not parents:
            fitting = zip(dimension.options, dimension.labels)
            return (((), tuple(text for option, text in fitting if self._fits(dimension, {**chosen}, option))),)
        parent, *others = parents
        alike = {}
        for option, text in zip(parent.options, parent.labels):
            below = self._boxes(dimension, others, {**chosen, parent.name: option})
            alike.setdefault(below, []).append(text)
        return tuple(
            (conditions if len(alike) == 1 else ((parent.name, tuple(texts)), *conditions), labels)
            for below, texts in alike.items()
            for conditions, labels in below
        )

    def _fits(self, dimension, chosen, option):
        """Returns whether an option matters and is possible, given what is chosen of its parents."""
        recipe = self.recipe({**chosen, dimension.name: option})
        block = constraints.block(recipe)
        if dimension.name == "positions" and block is None:
            return False
        if dimension.name in SHAPE:
            return self._has_shape({**chosen, dimension.name: option})
        if dimension.name == "skip":
            return block is not None and constraints.has_encoder_block(recipe)
        if not dimension.key.startswith(_BLOCK_ARGUMENT):
            return True
        if not constraints.takes(block, dimension.key.removeprefix(_BLOCK_ARGUMENT)):
            return False
        problems = {"reduction_ratio": constraints.ratio_problem, "aggregation": constraints.aggregation_problem}
        return problems.get(dimension.name, lambda recipe: None)(recipe) is None

    def _has_shape(self, chosen):
        """Returns whether the chosen values fit each other, with some choice of what is not chosen yet."""
        left = [dimension for dimension in self.dimensions if dimension.name in SHAPE and dimension.name not in chosen]
        mixes = itertools.product(*([(dimension.name, option) for option in dimension.options] for dimension in left))
        return any(constraints.levels_problem(self.recipe({**chosen, **dict(mix)})) is None for mix in mixes)


def _parents(dimension):
    """Returns the names of the dimensions that decide whether, and among which options, this one is chosen."""
    if dimension.name in SHAPE:
        return "recalibration", *SHAPE[: SHAPE.index(dimension.name)]
    if dimension.name == "reduction_ratio":
        return "recalibration", "filters", "positions"
    if dimension.name in ("aggregation", "skip"):
        return "recalibration", "positions"
    return ("recalibration",) if dimension.key.startswith(_BLOCK_ARGUMENT) else ()


def _hyperparameter(dimension, name, labels, conditions):
    config = {
        "name": name,
        "conditions": [
            {"class_name": "Parent", "config": {"name": parent, "values": list(values)}}
            for parent, values in conditions.items()
        ],
    }
    if labels is not None:
        choice = {"values": list(labels), "ordered": not isinstance(labels[0], str), "default": labels[0]}
        return {"class_name": "Choice", "config": {**config, **choice}}
    limits = dimension.range
    bounds = {"min_value": limits.min, "max_value": limits.max, "step": limits.step, "default": limits.min}
    kind = "Int" if limits.is_integer else "Float"
    return {"class_name": kind, "config": {**config, **bounds, "sampling": limits.scale}}


@contextlib.contextmanager
def _located(where):
    """Puts where the space is written in front of errors about its values."""
    try:
        yield
    except RecordError as error:
        raise error.at(where) from None


def _with(mapping, changes):
    """Returns a copy of nested tables in which keys such as `"optimizer.name"` have other values."""
    mapping = copy.deepcopy(mapping)
    for key, value in changes.items():
        *tables, last = key.split(".")
        table = mapping
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise RecordError(
                    expected=f"{key} to be a key of a recipe", received=f"one below {name!r}, which is not a table"
                )
        table[last] = list(value) if isinstance(value, tuple) else value
    return mapping


def _tidy(recipe):
    """Removes from a recipe the arguments that its block does not have; without a block, all that is about blocks."""
    arguments = recipe["network"].setdefault("arguments", {})
    block = constraints.block(recipe)
    if block is None:
        for name in ("recalibration", "recalibration_args", "positions", "skip"):
            arguments.pop(name, None)
    elif "recalibration_args" in arguments:
        chosen = arguments["recalibration_args"]
        arguments["recalibration_args"] = {name: chosen[name] for name in chosen if constraints.takes(block, name)}
    return recipe

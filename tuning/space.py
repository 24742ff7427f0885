"""The recipes that a study chooses among: what varies, what depends on what, and what cannot be."""

import copy
import itertools

from recalib_keras.core.errors import RecordError
from recalib_keras.models.architecture import with_current_names
from recalib_keras.tuning import constraints as possible
from recalib_keras.tuning.dimensions import read_dimensions

_BLOCK_ARGUMENT = "network.arguments.recalibration_args."
# What has to fit each other, and is chosen in this order.
SHAPE = ("input.window", "filters", "levels", "positions")
# What has to be chosen before the dimensions that depend on it, in this order.
PARENTS = ("architecture", "recalibration", *SHAPE)


class Space:
    """The recipes that a study chooses among.

    A dimension takes part in a trial only where it matters: the arguments of a block where the block takes them,
    `positions` where there is a block, `skip` where one stands in the encoder. Reduction ratios above the number of
    channels, aggregations that the network refuses, and levels that do not fit the window, the filters or the
    positions, are no options there.

    Args:
        table: dict from names to a fixed value, a list of values or a range; see
            `recalib_keras.tuning.dimensions.read_dimensions`.
        recipe: mapping of the recipe that is varied.
        where: what the table is, for messages.

    Attributes:
        dimensions: tuple of `Dimension`, what others depend on first.
        base: mapping of the recipe with all that is fixed.

    Raises:
        RecordError: for what `read_dimensions` refuses, a dimension that nothing depends on, or if no mix is possible.
    """

    def __init__(self, table, recipe, where="space"):
        dimensions, fixed = read_dimensions(table, where)
        order = {name: place for place, name in enumerate(PARENTS)}
        self.dimensions = tuple(sorted(dimensions, key=lambda dimension: order.get(dimension.name, len(order))))
        self.base = _with(recipe, fixed)
        network = self.base["network"]
        network["arguments"] = with_current_names(network.get("arguments", {}))
        self._by_name = {dimension.name: dimension for dimension in self.dimensions}
        self._cases = {}
        for dimension in self.dimensions:
            self._cases[dimension.name] = self._find_cases(dimension)
            if not self._cases[dimension.name]:
                raise RecordError(
                    f"{where}: {dimension.name} has no effect, or no possible value, with anything else that the study "
                    "varies; take it out or vary what it depends on"
                )
        if not self.dimensions and self.problem({}):
            raise RecordError(f"{where}: {self.problem({})}")

    def recipe(self, values):
        """Returns the mapping of the recipe with some dimensions chosen.

        Args:
            values: dict from names of dimensions to their values.
        """
        return _tidy(_with(self.base, {self._by_name[name].key: value for name, value in values.items()}))

    def problem(self, values):
        """Returns why a mix of values cannot be, or None; arguments as for `recipe`."""
        recipe = self.recipe(values)
        missing = "reduction_ratio" in self._by_name and "reduction_ratio" not in values
        if missing and possible.takes(possible.block(recipe), "reduction_ratio"):
            return f"every reduction ratio of the study is above the {possible.channels(recipe)} channels of a block"
        return possible.problem(recipe)

    def values(self, chosen):
        """Returns the values of the dimensions from what keras-tuner has chosen, a dict."""
        values = {}
        for dimension in self.dimensions:
            for name, *_ in self._cases[dimension.name]:
                if name in chosen:
                    values[dimension.name] = dimension.option(chosen[name])
        return values

    def config(self):
        """Returns the space as `keras_tuner.HyperParameters.from_config` takes it."""
        space = [
            _hyperparameter(self._by_name[dimension], name, labels, conditions)
            for dimension, cases in self._cases.items()
            for name, conditions, labels in cases
        ]
        return {"space": space, "values": {}}

    def declare(self, hyperparameters) -> None:
        """Adds what is not yet there to a `keras_tuner.HyperParameters`; chosen values stay."""
        import keras_tuner

        ours = keras_tuner.HyperParameters.from_config(copy.deepcopy(self.config()))
        hyperparameters.merge(ours, overwrite=False)

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
        """Yields conditions on dimensions as conditions on their cases, a dict for each mix of these."""
        cases = [
            [(name, tuple(text for text in texts if text in labels)) for name, _, labels in self._cases[parent]]
            for parent, texts in conditions
        ]
        for mix in itertools.product(*cases):
            if all(texts for _, texts in mix):
                yield dict(mix)

    def _boxes(self, dimension, parents, chosen):
        """Returns pairs of conditions and the labels that are left under them, all cases of the parents covered."""
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
        """Returns whether an option matters and is possible beside what is chosen of its parents."""
        recipe = self.recipe({**chosen, dimension.name: option})
        block = possible.block(recipe)
        if dimension.name == "positions" and block is None:
            return False
        if dimension.name in SHAPE:
            return self._has_shape({**chosen, dimension.name: option})
        if dimension.name == "skip":
            return block is not None and possible.has_encoder_block(recipe)
        if not dimension.key.startswith(_BLOCK_ARGUMENT):
            return True
        if not possible.takes(block, dimension.key.removeprefix(_BLOCK_ARGUMENT)):
            return False
        problems = {"reduction_ratio": possible.ratio_problem, "aggregation": possible.aggregation_problem}
        return problems.get(dimension.name, lambda recipe: None)(recipe) is None

    def _has_shape(self, chosen):
        """Returns whether what is chosen fits each other, with some choice of what is not chosen yet."""
        left = [dimension for dimension in self.dimensions if dimension.name in SHAPE and dimension.name not in chosen]
        mixes = itertools.product(*([(dimension.name, option) for option in dimension.options] for dimension in left))
        return any(possible.levels_problem(self.recipe({**chosen, **dict(mix)})) is None for mix in mixes)


def _parents(dimension):
    """Returns the names of what decides whether, and among what, a dimension is chosen."""
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


def _with(mapping, changes):
    """Returns a copy of nested tables in which keys such as `"optimizer.name"` have other values."""
    mapping = copy.deepcopy(mapping)
    for key, value in changes.items():
        *tables, last = key.split(".")
        table = mapping
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = list(value) if isinstance(value, tuple) else value
    return mapping


def _tidy(recipe):
    """Takes out of a recipe what its block does not take; a network without blocks says nothing of them."""
    arguments = recipe["network"].setdefault("arguments", {})
    block = possible.block(recipe)
    if block is None:
        for name in ("recalibration", "recalibration_args", "positions", "skip"):
            arguments.pop(name, None)
    elif "recalibration_args" in arguments:
        taken = {name: value for name, value in arguments["recalibration_args"].items() if possible.takes(block, name)}
        arguments["recalibration_args"] = taken
    return recipe

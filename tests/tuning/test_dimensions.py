import dataclasses
import datetime
import time

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.training import Recipe
from recalib_keras.tuning.space.dimensions import SHORT_NAMES, TABLES, Dimension, Range, label, read_dimensions


def read(table):
    return read_dimensions(table, "space")


def test_forms_of_a_dimension():
    dimensions, fixed = read(
        {
            "recalibration": "scse",
            "filters": [[16, 32]],
            "reduction_ratio": [2, 4],
            "learning_rate": {"min": 1e-3, "max": 1e-2, "scale": "log"},
        }
    )
    assert fixed == {"network.arguments.recalibration": "scse", "network.arguments.filters": [16, 32]}
    ratio, rate = dimensions
    assert (ratio.key, ratio.options) == ("network.arguments.recalibration_args.reduction_ratio", (2, 4))
    assert (rate.key, rate.range) == ("optimizer.learning_rate", Range(1e-3, 1e-2, scale="log"))


def test_full_key_gets_its_short_name():
    (dimension, other), _ = read({"network.arguments.positions": ["P1", "P2"], "augmentation.rotation": [0.0, 8.0]})
    assert dimension.name == "positions"
    assert (other.name, other.key) == ("augmentation.rotation", "augmentation.rotation")
    (dimension,), fixed = read({"synthesis.bias_field": [0.1, 0.3], "synthesis_start.bias_field": 0.1})
    assert (dimension.key, fixed) == ("synthesis.bias_field", {"synthesis_start.bias_field": 0.1})


def test_keys_are_those_of_a_recipe():
    known = {field.name for field in dataclasses.fields(Recipe)}
    assert set(TABLES) == known - {"seed", "labels", "default"}
    assert {key.split(".")[0] for key in SHORT_NAMES.values()} <= known


@pytest.mark.parametrize(
    ("limits", "values"),
    [
        ({"min": 2, "max": 5}, (2, 3, 4, 5)),
        ({"min": 2, "max": 9, "step": 3}, (2, 5, 8)),
        ({"min": 2, "max": 17, "step": 2, "scale": "log"}, (2, 4, 8, 16)),
        ({"min": 0.0, "max": 0.3, "step": 0.1}, (0.0, 0.1, 0.2, 0.3)),
    ],
)
def test_values_of_a_range(limits, values):
    assert Range(**limits).values() == values


def test_which_ranges_become_lists():
    assert Range(1, 4).is_integer and not Range(1, 4.0).is_integer and not Range(1, 4, 0.5).is_integer
    limits = {"min": 4, "max": 6}
    (filters, batch, rate), _ = read({"filters": limits, "batch_size": limits, "dropout": {**limits, "step": 0.5}})
    assert filters.options == (4, 5, 6)
    assert rate.options == (4.0, 4.5, 5.0, 5.5, 6.0)
    assert batch.range == Range(4, 6)


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ((2, 4), (2, 4)),
        ((2, 0.5), (2.0, 0.5)),
        (("P1", "P5"), ("P1", "P5")),
        (("P1", ["encoder"]), ("P1", '["encoder"]')),
        ((16, [16, 32]), ("16", "[16, 32]")),
        ((True, False), ("true", "false")),
    ],
)
def test_labels_have_one_type(options, labels):
    dimension = Dimension("x", "x", options)
    assert dimension.labels == labels
    assert [type(text) for text in labels] == [type(labels[0])] * len(labels)
    assert tuple(dimension.option(text) for text in labels) == options
    assert tuple(dimension.chosen(option) for option in options) == labels


def test_removes_rounding_errors():
    dimension = Dimension("x", "x", range=Range(0.0, 1.0))
    assert dimension.option(0.1 + 0.2) == 0.3
    assert dimension.chosen(0.3) == 0.3


def test_label():
    assert [label(option) for option in ("P5", 0.01, 2, True, [16, 32])] == ["P5", "0.01", "2", "true", "[16, 32]"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"reduction_ration": [2, 4]}, "did you mean 'reduction_ratio'"),
        ({"quux": [2, 4]}, "short names are architecture"),
        ({"seed": [1, 2]}, "expected a key of a recipe, got 'seed'"),
        ({"filters": []}, "expected one value, a list of different values, or a range"),
        ({"filters": [4, 4]}, "expected one value, a list of different values, or a range"),
        ({"learning_rate": {"min": 1, "max": 1}}, "expected min to be below max, got min 1 and max 1"),
        (
            {"learning_rate": {"min": 0.0, "max": 1.0, "scale": "log"}},
            "expected min to be above 0, .* on a log scale, got 0.0",
        ),
        (
            {"learning_rate": {"min": 1, "max": 2, "scale": "cubic"}},
            "expected scale to be 'linear' or 'log', got 'cubic'",
        ),
        ({"learning_rate": {"min": 1, "max": 2, "step": 0}}, "expected step to be above 0 on a linear scale, got 0"),
        (
            {"learning_rate": {"min": 1, "max": 2, "step": 1, "scale": "log"}},
            "expected step to be above 1 on a log scale, got 1",
        ),
        ({"learning_rate": {"min": 1, "maximum": 2}}, "did you mean 'max'"),
        ({"filters": 4, "network.arguments.filters": [4, 8]}, "expected network.arguments.filters once, got it twice"),
    ],
)
def test_refuses_what_is_no_dimension(table, message):
    with pytest.raises(RecordError, match=message):
        read(table)


HUGE = 10**400


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"dropout": {"min": 0.0, "max": 1.0, "step": 1e-12}},
            "dropout: expected at most 500 values .*, got 1000000000001",
        ),
        (
            {"dropout": {"min": 0.0, "max": 1.0, "step": 1e-300}},
            "expected at most 500 values from 0.0 to 1.0, got inf",
        ),
        ({"dropout": {"min": 1e-9, "max": 1.0, "step": 1 + 1e-9, "scale": "log"}}, "expected at most 500 values"),
        ({"filters": {"min": 1, "max": 10**9}}, "expected at most 500 values from 1 to 1000000000, got 1000000000"),
        ({"dropout": {"min": 0.0, "max": float("inf")}}, "dropout: expected max from -1e15 to 1e15, got inf"),
        ({"dropout": {"min": float("nan"), "max": 1.0}}, "dropout: expected min from -1e15 to 1e15, got nan"),
        (
            {"batch_size": {"min": 1, "max": HUGE}},
            "batch_size: expected max from -1e15 to 1e15, got an integer of 1329",
        ),
        ({"dropout": {"min": 1e-320, "max": 1.0, "scale": "log"}}, "expected min to be above 0, at least 1e-100"),
        ({"learning_rate": [0.1, HUGE]}, "learning_rate: expected numbers from -1e15 to 1e15, got an integer of 1329"),
        ({"learning_rate": HUGE}, "learning_rate: expected numbers from -1e15 to 1e15"),
        ({"learning_rate": [0.1, float("nan")]}, "learning_rate: expected numbers from -1e15 to 1e15, got nan"),
        ({"input.window": [[12, 12, HUGE]]}, "input.window: expected numbers from -1e15 to 1e15"),
        ({"batch_size": [*range(1, 502)]}, "batch_size: expected at most 500 values, got 501"),
        ({"learning_rate": [datetime.date(2026, 1, 1)]}, "learning_rate: expected text, numbers, true, false or lists"),
        ({"optimizer": ["adam", "sgd"]}, "optimizer: expected a single key of a recipe, got a whole table"),
        ({"network.arguments": 5}, "expected a single key of a recipe, got a whole table"),
        ({"input.window": 5}, r"input.window: expected sizes such as \[96, 96, 96\], got 5"),
        ({"input.window": ["wide", 5]}, r"input.window: expected sizes such as \[96, 96, 96\], got 'wide'"),
        ({"filters": [[], [4, 8]]}, r"filters: expected integers of at least 1, got \[\]"),
        ({"levels": [0, 1]}, "levels: expected integers of at least 1, got 0"),
        ({"reduction_ratio": [2.5, 4]}, "reduction_ratio: expected integers of at least 1, got 2.5"),
        ({"positions": [["encoder", 5], "P1"]}, "positions: expected text"),
        ({"recalibration": [["cse"], "pe"]}, "recalibration: expected text"),
    ],
)
def test_refuses_absurd_values_at_once(table, message):
    start = time.process_time()
    with pytest.raises(RecordError, match=message):
        read(table)
    assert time.process_time() - start < 1

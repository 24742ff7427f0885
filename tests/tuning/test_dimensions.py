import dataclasses

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.training import Recipe
from recalib_keras.tuning.dimensions import SHORT_NAMES, TABLES, Dimension, Range, label, read_dimensions


def read(table):
    return read_dimensions(table, "space")


def test_a_value_is_fixed_a_list_is_a_choice_and_a_table_a_range():
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


def test_a_key_in_full_is_known_by_its_short_name():
    (dimension, other), _ = read({"network.arguments.positions": ["P1", "P2"], "augmentation.rotation": [0.0, 8.0]})
    assert dimension.name == "positions"
    assert (other.name, other.key) == ("augmentation.rotation", "augmentation.rotation")
    (dimension,), fixed = read({"synthesis.bias_field": [0.1, 0.3], "synthesis_start.bias_field": 0.1})
    assert (dimension.key, fixed) == ("synthesis.bias_field", {"synthesis_start.bias_field": 0.1})


def test_every_key_begins_with_a_table_or_key_of_a_recipe():
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


def test_a_range_with_steps_is_listed_and_so_are_ratios_and_filters():
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
def test_labels_are_of_one_kind_and_lead_back_to_the_options(options, labels):
    dimension = Dimension("x", "x", options)
    assert dimension.labels == labels
    assert [type(text) for text in labels] == [type(labels[0])] * len(labels)
    assert tuple(dimension.option(text) for text in labels) == options
    assert tuple(dimension.chosen(option) for option in options) == labels


def test_a_number_of_a_range_is_rid_of_the_dust_of_its_computation():
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
        ({"seed": [1, 2]}, "no key of a recipe"),
        ({"filters": []}, "must be one value, different ones in a list, or a range"),
        ({"filters": [4, 4]}, "must be one value, different ones in a list, or a range"),
        ({"learning_rate": {"min": 1, "max": 1}}, "min must be below max"),
        ({"learning_rate": {"min": 0.0, "max": 1.0, "scale": "log"}}, "min must be above 0 on a log scale"),
        ({"learning_rate": {"min": 1, "max": 2, "scale": "cubic"}}, "scale must be 'linear' or 'log'"),
        ({"learning_rate": {"min": 1, "max": 2, "step": 0}}, "step must be above 0 on a linear scale"),
        ({"learning_rate": {"min": 1, "max": 2, "step": 1, "scale": "log"}}, "step must be above 1 on a log scale"),
        ({"learning_rate": {"min": 1, "maximum": 2}}, "did you mean 'max'"),
        ({"filters": 4, "network.arguments.filters": [4, 8]}, "gives network.arguments.filters twice"),
    ],
)
def test_what_is_no_dimension_is_refused(table, message):
    with pytest.raises(RecordError, match=message):
        read(table)

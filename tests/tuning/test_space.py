import copy
import itertools
import time
import tomllib

import keras_tuner
import pytest
from training.synthetic import RECIPE

from recalib_keras.core.errors import RecordError
from recalib_keras.tuning import Space
from recalib_keras.tuning.space import constraints

BASE = tomllib.loads(RECIPE)  # a U-Net of one level, 4 maps and 3 classes
ALL = {
    "recalibration": ["none", "cse", "sse", "scse", "pe"],
    "reduction_ratio": [2, 4, 8, 16],
    "aggregation": ["max", "add", "multiply", "concat"],
    "positions": ["P1", "P3", "P4", "P5", "P6"],
    "skip": ["recalibrated", "raw"],
    "filters": [2, 4, 16],
}


def mixes(space):
    """Returns all values that the conditions of the space leave, as a plain keras-tuner oracle may draw them."""
    hyperparameters = keras_tuner.HyperParameters()
    space.declare(hyperparameters)
    found = [{}]
    for hp in hyperparameters.space:
        found = [
            {**values, **({hp.name: value} if value is not None else {})}
            for values in found
            for value in (hp.values if all(c.is_active(values) for c in hp.conditions) else [None])
        ]
    return [space.values(values) for values in found]


def test_mixes_are_all_possible_ones_once():
    """Compares with all products, without those that the network refuses and those that differ without effect."""
    space = Space(ALL, BASE)
    drawn = [frozenset(values.items()) for values in mixes(space) if space.problem(values) is None]
    expected = set()
    for block, ratio, aggregation, place, skip, filters in itertools.product(*ALL.values()):
        values = {"recalibration": block, "filters": filters}
        smallest = 3 if place == "P4" else min(filters, 3) if place == "P6" else filters
        if block != "none":
            values["positions"] = place
            values |= {"skip": skip} if place in ("P1", "P5", "P6") else {}
        if block in ("cse", "scse", "pe"):
            values["reduction_ratio"] = ratio
            if ratio > smallest:
                continue
        if block == "scse":
            values["aggregation"] = aggregation
            if aggregation == "concat" and place in ("P4", "P6"):
                continue
        expected.add(frozenset(values.items()))
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == expected


def test_never_offers_a_ratio_above_the_channels():
    space = Space(ALL, BASE)
    with_ratio = [values for values in mixes(space) if "reduction_ratio" in values]
    assert with_ratio and all(constraints.ratio_problem(space.recipe(values)) is None for values in with_ratio)


SHAPES = {
    "recalibration": ["none", "cse"],
    "filters": [4, [4, 8], [2, 4, 8], [2, 4, 8, 8]],
    "levels": [1, 2, 3],
    "positions": ["P5", ["encoder_1"], ["encoder_2", "decoder_1"]],
    "skip": ["recalibrated", "raw"],
    "reduction_ratio": [2, 4],
}


def test_levels_fit_the_window_the_filters_and_the_positions():
    """Compares with all products again; a window of 12 can be halved twice."""
    space = Space(SHAPES, BASE)
    drawn = [repr(sorted(values.items())) for values in mixes(space)]
    expected = set()
    for block, filters, levels, places, skip, ratio in itertools.product(*SHAPES.values()):
        widths = filters if isinstance(filters, list) else [filters] * (levels + 1)
        if levels == 3 or len(widths) != levels + 1 or (block != "none" and "encoder_2" in places and levels == 1):
            continue
        values = {"recalibration": block, "filters": filters, "levels": levels}
        if block != "none":
            values |= {"positions": places, "skip": skip, "reduction_ratio": ratio}
            if ratio > widths[0]:
                continue
        expected.add(repr(sorted(values.items())))
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == expected


def test_a_window_is_chosen_with_levels_that_fit_it():
    space = Space({"input.window": [[8, 8, 8], [12, 12, 12], [9, 9, 9]], "levels": [2, 3]}, BASE)
    assert [(v["input.window"][0], v["levels"]) for v in mixes(space)] == [(8, 2), (8, 3), (12, 2)]


def test_independent_dimension_has_no_conditions():
    space = Space({"reduction_ratio": [2, 4, 8], "recalibration": "cse"}, BASE)
    (only,) = space.config()["space"]
    assert (only["config"]["name"], only["config"]["values"]) == ("reduction_ratio", [2, 4])
    assert only["config"]["conditions"] == []


def test_cases_of_a_dimension_have_names_of_their_own():
    space = Space({"recalibration": "cse", "filters": [2, 8], "reduction_ratio": [2, 4]}, BASE)
    by_name = {item["config"]["name"]: item["config"] for item in space.config()["space"]}
    assert by_name.keys() == {"filters", "reduction_ratio", "reduction_ratio (2)"}
    assert by_name["reduction_ratio"]["values"] == [2, 4]
    assert by_name["reduction_ratio (2)"]["values"] == [2]
    assert space.values({"filters": 2, "reduction_ratio (2)": 2}) == {"filters": 2, "reduction_ratio": 2}


def test_mix_without_a_fitting_ratio_is_impossible():
    space = Space({"recalibration": ["none", "cse"], "filters": [2, 16], "reduction_ratio": [8]}, BASE)
    assert space.problem({"recalibration": "none", "filters": 2}) is None
    assert "the number of channels, 2, got 8" in space.problem({"recalibration": "cse", "filters": 2})


def test_former_names_of_arguments_in_the_recipe():
    base = copy.deepcopy(BASE)
    base["network"]["arguments"]["stem"] = 1
    space = Space({"network.arguments.patch_size": [1, 2]}, base)
    arguments = space.recipe({"network.arguments.patch_size": 2})["network"]["arguments"]
    assert arguments["patch_size"] == 2 and "stem" not in arguments


def test_the_recipe_of_a_mix():
    space = Space({"recalibration": ["none", "cse", "scse"], "aggregation": ["max"], "optimizer.name": "sgd"}, BASE)
    assert space.base["optimizer"]["name"] == "sgd"
    arguments = space.recipe({"recalibration": "scse"})["network"]["arguments"]
    assert arguments["recalibration_args"] == {"aggregation": "max"}
    arguments = space.recipe({"recalibration": "cse"})["network"]["arguments"]
    assert arguments["recalibration_args"] == {}  # cSE has no aggregation
    arguments = space.recipe({"recalibration": "none"})["network"]["arguments"]
    assert not {"recalibration", "recalibration_args", "positions", "skip"} & arguments.keys()
    assert "recalibration" not in BASE["network"]["arguments"]  # the recipe itself does not change


def test_options_may_be_lists():
    space = Space(
        {"recalibration": "cse", "positions": ["P1", ["encoder", "bottleneck"]], "filters": [4, [4, 8]]}, BASE
    )
    drawn = mixes(space)
    assert {"filters": [4, 8], "positions": ["encoder", "bottleneck"]} in drawn and len(drawn) == 4
    assert space.recipe(drawn[-1])["network"]["arguments"]["filters"] == [4, 8]


def test_declaring_again_keeps_chosen_values():
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values["learning_rate"] = 0.02
    space = Space({"learning_rate": [0.01, 0.02]}, BASE)
    for _ in range(2):
        space.declare(hyperparameters)
        assert hyperparameters.values == {"learning_rate": 0.02} and len(hyperparameters.space) == 1


def test_ranges_keep_their_type():
    table = {"learning_rate": {"min": 1e-3, "max": 1e-2, "scale": "log"}, "batch_size": {"min": 2, "max": 8, "step": 2}}
    rate, batch = Space(table, BASE).config()["space"]
    assert (rate["class_name"], rate["config"]["sampling"], rate["config"]["step"]) == ("Float", "log", None)
    assert (batch["class_name"], batch["config"]["min_value"], batch["config"]["step"]) == ("Int", 2, 2)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"recalibration": "sse", "reduction_ratio": [2, 4]},
            "expected reduction_ratio to matter, got a dimension that has no effect",
        ),
        (
            {"recalibration": ["cse", "pe"], "aggregation": ["max", "add"]},
            "expected aggregation to matter, got a dimension that has no effect",
        ),
        (
            {"positions": ["P1", "P2"]},
            "expected positions to matter, got a dimension that has no effect",
        ),  # the recipe has no block
        (
            {"recalibration": "cse", "positions": "P2", "skip": ["raw", "recalibrated"]},
            "expected skip to matter, got a dimension that has no effect",
        ),
        (
            {"recalibration": "cse", "reduction_ratio": [8, 16]},
            "expected reduction_ratio to matter, got a dimension that has no effect, or no possible value",
        ),
        ({"levels": [3, 4]}, "expected levels to matter, got a dimension that has no effect, or no possible value"),
        (
            {"filters": [[4, 8, 16], [4, 8, 16, 16]]},
            "expected filters to matter, got a dimension that has no effect, or no possible value",
        ),
        ({"levels": ["few", "many"]}, "levels: expected integers of at least 1, got 'few'"),
        ({"recalibration": "cse", "reduction_ratio": 8}, "the number of channels, 4, got 8"),
        (
            {"optimizer.learning_rate.first": [1, 2]},
            "to be a key of a recipe, got one below 'learning_rate', which is not",
        ),
        ({"input.window": [["a", 12]], "levels": [1, 2]}, "expected integers of at least 1"),
    ],
)
def test_refuses_a_dimension_that_cannot_matter(table, message):
    with pytest.raises(RecordError, match=message):
        Space(table, BASE)


def test_refuses_too_many_dependent_values_at_once():
    table = {"recalibration": ["cse", "pe"], "filters": {"min": 1, "max": 500}, "reduction_ratio": [*range(1, 20)]}
    start = time.process_time()
    with pytest.raises(RecordError, match="at most 10000 mixes of filters, recalibration, reduction_ratio, got 19000"):
        Space(table, BASE)
    assert time.process_time() - start < 5

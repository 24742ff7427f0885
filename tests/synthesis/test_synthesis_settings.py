import dataclasses
import tomllib

import pytest

from recalib_keras.core.records import from_mapping
from recalib_keras.synthesis import MILD, VARIED, Synthesis
from recalib_keras.zoo import RecordError


def test_settings_come_from_a_table_of_a_recipe():
    table = tomllib.loads("flip = 0.5\nrotation = 10\nmean_range = [10, 200]\npartial_volume = 4\n")
    settings = from_mapping(Synthesis, table, "recipe.toml: synthesis")
    assert settings == Synthesis(flip=0.5, rotation=10.0, mean_range=(10.0, 200.0), partial_volume=4)
    with pytest.raises(RecordError, match="unknown key 'rotate'; did you mean 'rotation'"):
        from_mapping(Synthesis, {"rotate": 1.0}, "recipe.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flip": 1.1}, "expected `flip` from 0 to 1, got 1.1"),
        ({"skull_stripping": -0.1}, "expected `skull_stripping` from 0 to 1, got -0.1"),
        ({"noise": -1.0}, "expected `noise` from 0 to 10,000, got -1.0"),
        ({"crop_depth": float("nan")}, "expected `crop_depth` from 0 to 1,000, got nan"),
        (
            {"mean_range": (9.0, 3.0)},
            r"`mean_range` to be two numbers, the smaller one first, got \(9.0, 3.0\)",
        ),
        ({"deviation_range": (-1.0, 3.0)}, "expected `deviation_range` from 0 to 10,000, got -1.0"),
        ({"partial_volume": 3}, "expected `partial_volume` to be 1, 2, 4 or 8, got 3"),
        ({"elastic_nodes": 3}, "expected `elastic_nodes` from 4 to 16, got 3"),
        ({"elastic_nodes": 17}, "expected `elastic_nodes` from 4 to 16, got 17"),
    ],
)
def test_values_out_of_range_are_errors(values, message):
    with pytest.raises(RecordError, match=message):
        Synthesis(**values)


def test_settings_lie_between_two_others():
    assert MILD.toward(VARIED, 0) == MILD and MILD.toward(VARIED, 1) == VARIED
    few, many = Synthesis(rotation=2.0, mean_range=(0.0, 100.0), elastic_nodes=5), Synthesis(rotation=6.0)
    between = few.toward(many, 0.25)
    assert between.rotation == 3 and between.mean_range == (0, 138.75) and between.elastic_nodes == 5
    assert few.toward(many, 0.75).elastic_nodes == many.elastic_nodes


def test_nothing_of_the_mild_settings_is_beyond_the_varied_ones():
    assert MILD.random_contrast == 0
    for field in dataclasses.fields(Synthesis):
        if field.name != "skull_stripping":
            assert getattr(MILD, field.name) <= getattr(VARIED, field.name), field.name

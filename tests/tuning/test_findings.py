import math

import pytest

from recalib_keras.tuning.reporting.comparison import (
    BETWEEN_TRIALS,
    MIX_BY_MIX,
    SEED_BY_SEED,
    Comparison,
    Difference,
    Level,
)
from recalib_keras.tuning.reporting.findings import meanings, section
from recalib_keras.tuning.trials.trial import Trial

LOWER, EQUAL, UNKNOWN = (-0.2, -0.1), (-0.1, 0.1), (math.nan, math.nan)


def made_up(*differences, by_seed=True, named=True, sizes=(), unscored=None):
    """Returns a comparison of the values `a`, the baseline, `b`, and so on."""
    sizes = sizes or [(9,)] * (1 + len(differences))
    values = zip("abcdef", (None, *differences), sizes)
    levels = [Level(value, [0.7, 0.8], EQUAL, size, difference) for value, difference, size in values]
    return Comparison("filters", by_seed, named, levels, unscored or {})


def text(comparison):
    return "\n".join(section(comparison))


def test_values_by_verdict():
    said = text(
        made_up(
            Difference(-0.15, LOWER, SEED_BY_SEED, 2),
            Difference(0.0, EQUAL, MIX_BY_MIX, 4),
            Difference(-0.1, UNKNOWN, BETWEEN_TRIALS),
        )
    )
    assert "| a | 2 | 0.7500 | -0.1000 to 0.1000 |  |  |  | baseline |" in said
    assert "| -0.1500 | -0.2000 to -0.1000 | seed by seed | lower |" in said
    assert "| +0.0000 | -0.1000 to +0.1000 | mix by mix, 4 pairs | not told apart |" in said
    assert (
        "All intervals of the differences hold together at 95 %: `b` scored lower than `a`; `c` cannot be told apart "
        "from `a`; `d` cannot be compared with `a`: the trials differ in other values too." in said
    )


def test_baseline_chosen_by_the_data():
    said = text(made_up(Difference(-0.15, LOWER, SEED_BY_SEED, 2), named=False))
    assert "The baseline `a` is the value with the highest mean, and was not named before the search;" in said
    assert "hold together for all pairs of values at 95 %: `b` scored lower" in said


def test_no_interval():
    said = text(made_up(Difference(-0.1, UNKNOWN, BETWEEN_TRIALS), by_seed=False))
    assert "\n`b` cannot be compared with `a`: the trials are too few." in said and "hold together" not in said
    assert text(made_up()).endswith("Only one value has a comparable trial, so there is nothing to compare.\n")


def test_difference_shown_elsewhere():
    elsewhere = Difference(elsewhere="positions")
    words = "Whether `positions` takes part depends on this value: see the row `—` there."
    assert text(made_up(elsewhere)) == f"## filters\n\n{words}\n"
    said = text(made_up(elsewhere, Difference(-0.15, LOWER, SEED_BY_SEED, 2)))
    assert "|  |  |  | see positions |" in said and said.endswith(f"`c` scored lower than `a`. {words}\n")


@pytest.mark.parametrize(
    ("sizes", "words"), [([(9, 9), (9, 9)], None), ([(9,), (1200, 3400)], "`a` 9; `b` 1,200 to 3,400")]
)
def test_networks_of_different_sizes(sizes, words):
    said = text(made_up(Difference(0.0, EQUAL, SEED_BY_SEED, 2), sizes=sizes))
    assert ("which may cause a difference" in said) == (words is not None)
    assert words is None or f"Parameters: {words}." in said


def test_values_without_a_score_have_a_row():
    lost = Trial("1", {}, 3, status="failed", message="no memory")
    early = Trial("2", {}, 3, status="completed")
    said = text(made_up(unscored={"x": [lost, lost], "y": [early], "z": []}))
    for row in ("| x | 0 |  |  |  |  |  | 2 failed: no memory |", "| y | 0 |  |  |  |  |  | 1 dropped early |"):
        assert row in said
    assert "| z | 0 |  |  |  |  |  | not tried |" in said


@pytest.mark.parametrize("how", [SEED_BY_SEED, MIX_BY_MIX, BETWEEN_TRIALS])
def test_meaning_of_intervals(how):
    lines = "\n".join(meanings([made_up(Difference(0.0, EQUAL, how, 2), by_seed=how == SEED_BY_SEED)]))
    assert [f"taken {other}" in lines for other in (SEED_BY_SEED, MIX_BY_MIX, BETWEEN_TRIALS)].count(True) == 1
    assert f"taken {how}" in lines and "may still differ" in lines
    assert ("random start and order" in lines) == (how == SEED_BY_SEED)
    assert ("mean over several trials" in lines) == (how != SEED_BY_SEED)


def test_no_meaning_without_intervals():
    assert list(meanings([made_up(Difference(elsewhere="positions"), by_seed=False)])) == []
    assert list(meanings([made_up(Difference(0.1, UNKNOWN, BETWEEN_TRIALS))])) == []

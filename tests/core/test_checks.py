import math
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from recalib_keras.core.checks import Range, check_name, check_range, check_ranges, check_text, shown
from recalib_keras.core.errors import RecordError


@pytest.mark.parametrize("name", ["densenet3d_pe", "a", "-", "_x", "v1.0", "Schädel", "x" * 64])
def test_names(name):
    check_name(name, "preset")


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "a/b", "a\\b", "../x", "a b", "a\n", "a\x00", "<b>", "x" * 65, None, 3, "a\u2028"]
)
def test_no_names(name):
    with pytest.raises(RecordError, match=r"^expected preset to be at most 64 letters, .*; choose another name$"):
        check_name(name, "preset")


@pytest.mark.parametrize("text", ["3rd ventricle", "Schäle (links) & mehr", "x" * 100, "brain-stem", "= 1"])
def test_texts(text):
    check_text(text, "name")


@pytest.mark.parametrize(
    "text", ["", "  ", "a\nb", "a\tb", "\x1b[31m", "a\x00", "<b>", "a|b", "x" * 101, None, 3, "\u202ea"]
)
def test_no_texts(text):
    with pytest.raises(RecordError, match=r"^expected name to be one line of at most 100 printable characters"):
        check_text(text, "name")


def test_a_text_may_have_another_length():
    check_text("x" * 200, "title", 200)


@pytest.mark.parametrize("number", [0, 1, 0.5, 1.0])
def test_numbers_in_a_range(number):
    check_range(number, "share", 0, 1)


@pytest.mark.parametrize("number", [-1e-9, 1.1, math.nan, math.inf, -math.inf, 10**400])
def test_numbers_outside_a_range(number):
    with pytest.raises(RecordError, match=r"^expected share from 0 to 1, got "):
        check_range(number, "share", 0, 1)


@pytest.mark.parametrize("number", [-1, math.nan, math.inf])
def test_a_range_without_an_upper_end(number):
    check_range(10**400, "volume", 0)
    with pytest.raises(RecordError, match=r"^expected volume at least 0, got "):
        check_range(number, "volume", 0)


def test_long_values_are_cut_off():
    assert shown("ab") == "'ab'" and len(shown("x" * 999)) == 83
    assert shown(10**5000) == "an integer of 16610 bits"


@dataclass(frozen=True)
class Bounded:
    sizes: Annotated[tuple[int, ...], Range(1, 4096)] = ()
    rate: Annotated[float, Range(1e-6)] = 1.0
    merge: Annotated[dict, Range(0, 2**31 - 1)] = field(default_factory=dict)
    free: int = 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": (1, 4097)}, "`sizes` from 1 to 4,096, got 4097"),
        ({"sizes": (10**5000,)}, "`sizes` from 1 to 4,096, got an integer of 16610 bits"),
        ({"rate": 0.0}, "`rate` at least 1e-06, got 0.0"),
        ({"rate": float("nan")}, "`rate` at least 1e-06, got nan"),
        ({"rate": float("inf")}, "`rate` at least 1e-06, got inf"),
        ({"merge": {"1": -1}}, "`merge` from 0 to 2,147,483,647, got -1"),
    ],
)
def test_ranges_of_types(values, message):
    check_ranges(Bounded(sizes=(1, 4096), rate=1e300, free=-(10**9)))
    with pytest.raises(RecordError, match=f"^expected {message}; correct this value$"):
        check_ranges(Bounded(**values))

import math

import pytest

from recalib_keras.core.checks import check_name, check_range, check_text, shown
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

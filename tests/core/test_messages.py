import pytest

from recalib_keras.core.messages import counted, did_you_mean, duration, listed, one_line


@pytest.mark.parametrize("message", ["a b", "a\nb", " a\r\n\t b ", ValueError("a\n\n  b")])
def test_one_line(message):
    assert one_line(message) == "a b"


def test_one_line_of_other_things():
    assert one_line(None) == "None" and one_line("") == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zscor", "did you mean 'zscore'?"),
        ("percentiles", "did you mean 'percentile'?"),
        ("xyz", "known: zscore, percentile"),
        (3, "known: zscore, percentile"),
        (None, "known: zscore, percentile"),
    ],
)
def test_did_you_mean(name, expected):
    known = ("zscore", "percentile")
    assert did_you_mean(name, iter(known), otherwise=f"known: {', '.join(known)}") == expected


def test_did_you_mean_without_a_likely_name_is_empty():
    assert did_you_mean("xyz", ["zscore"]) == "" and did_you_mean("xyz", []) == ""


def test_the_cutoff_says_how_alike_names_must_be():
    assert did_you_mean("score", ["zscore"], cutoff=0.95) == ""
    assert did_you_mean("score", ["zscore"], cutoff=0.5) == "did you mean 'zscore'?"


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (1000, "0, 1, 2 and 997 more")],
)
def test_listed(count, expected):
    assert listed(range(count), most=3) == expected


def test_listed_with_another_separator():
    assert listed("abc", separator=" | ") == "a | b | c"


@pytest.mark.parametrize(("count", "expected"), [(0, "0 scans"), (1, "1 scan"), (2, "2 scans")])
def test_counted(count, expected):
    assert counted(count, "scan") == expected


def test_duration():
    assert [duration(seconds) for seconds in (0.4, 89, 91, 5400, 90000)] == [
        "0 s",
        "89 s",
        "2 min",
        "1 h 30 min",
        "25 h 00 min",
    ]

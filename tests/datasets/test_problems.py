import pickle
import zlib
from pathlib import Path

import pytest

from recalib_keras.core.errors import RecalibError
from recalib_keras.datasets import DatasetError, Problem
from recalib_keras.datasets.problems import noted
from recalib_keras.volumes import VolumeError


def test_a_problem_in_words():
    assert str(Problem(Path("a.nii"), "a scan", "none")) == "a.nii: expected a scan, got none"
    assert str(Problem(Path("a.nii"), "a scan", "none", "look")) == "a.nii: expected a scan, got none; look"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            VolumeError(file="a.nii", expected="a scan", received="an empty file (0 bytes)", remedy="export it again"),
            Problem(Path("a.nii"), "a scan", "an empty file (0 bytes)", "export it again"),
        ),
        (
            VolumeError(file="series/IM1", expected="slices", received="none"),
            Problem(Path("series/IM1"), "slices", "none"),
        ),
        (VolumeError(expected="a shape", received="3"), Problem(Path("a.nii"), "a shape", "3")),
        (
            VolumeError(file="x: expected y, got z", expected="1, got 2", received="; 3"),
            Problem(Path("x: expected y, got z"), "1, got 2", "; 3"),
        ),
        (
            ValueError("a.nii: expected a shape, got 3"),
            Problem(Path("a.nii"), "a file that can be read", "expected a shape, got 3"),
        ),
        (ValueError("a.nii: no\nsuch thing"), Problem(Path("a.nii"), "a file that can be read", "no such thing")),
        (
            FileNotFoundError(2, "No such file or directory", "a.nii"),
            Problem(Path("a.nii"), "a file that can be read", "No such file or directory"),
        ),
        (EOFError(), Problem(Path("a.nii"), "a file that can be read", "EOFError")),
    ],
)
def test_an_error_becomes_a_problem(error, expected):
    assert Problem.of("a.nii", error) == expected


def test_the_error_prints_a_line_a_problem_and_survives_a_pickle():
    problems = [Problem(Path(name), "a scan", "none", "look") for name in ("a", "b")]
    error = DatasetError(problems)
    assert str(error) == "a: expected a scan, got none; look\nb: expected a scan, got none; look"
    assert error.problems == tuple(problems) and isinstance(error, VolumeError) and isinstance(error, RecalibError)
    assert pickle.loads(pickle.dumps(error)).problems == tuple(problems)
    assert error.at("c") is error


@pytest.mark.parametrize(("count", "last"), [(10, "9: "), (11, "and 1 more problem"), (200, "and 190 more problems")])
def test_the_first_ten_problems_are_printed_and_the_rest_is_counted(count, last):
    error = DatasetError([Problem(Path(str(number)), "a scan", f"{number}") for number in range(count)])
    lines = str(error).splitlines()
    assert len(lines) == min(count, 11) and lines[-1].startswith(last) and len(error.problems) == count


def test_an_error_of_one_problem_has_its_parts():
    error = DatasetError([Problem(Path("a"), "a scan", "none", "look")])
    assert (error.file, error.expected, error.received, error.remedy) == (Path("a"), "a scan", "none", "look")
    error = DatasetError([Problem(Path(name), "a scan", "none") for name in "ab"])
    assert error.file is error.expected is None


@pytest.mark.parametrize(
    "error", [VolumeError("x"), OSError("x"), EOFError("x"), zlib.error("x"), ValueError("x"), UnicodeDecodeError]
)
def test_reading_continues_after_an_error(error):
    error = UnicodeDecodeError("utf-8", b"x", 0, 1, "x") if error is UnicodeDecodeError else error
    problems = []
    with noted(problems, "a"):
        raise error
    with noted(problems, "b"):
        raise DatasetError([Problem(Path("c"), "a scan", "none"), Problem(Path("d"), "a scan", "none")])
    assert [str(problem.file) for problem in problems] == ["a", "c", "d"]


def test_an_error_in_the_code_is_no_problem_of_a_file():
    with pytest.raises(KeyError), noted([], "a"):
        raise KeyError("x")


def test_a_problem_that_many_files_share_is_one_line():
    shared = [Problem(Path(f"{number}.nii"), "the labels [0, 1]", "[2] too", "add them") for number in range(14)]
    error = DatasetError([Problem(Path("a"), "a scan", "none"), *shared])
    assert str(error).splitlines() == [
        "a: expected a scan, got none",
        "0.nii: expected the labels [0, 1], got [2] too, as in 13 other files; add them",
    ]
    assert len(error.problems) == 15

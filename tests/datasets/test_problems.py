import pickle
from pathlib import Path

import pytest

from recalib_keras.datasets import DatasetError, Problem
from recalib_keras.volumes import VolumeError


def test_a_problem_in_words():
    assert str(Problem(Path("a.nii"), "a scan", "none")) == "a.nii: expected a scan, got none"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "a.nii: expected a scan, got an empty file (0 bytes); export it again",
            Problem(Path("a.nii"), "a scan", "an empty file (0 bytes); export it again"),
        ),
        ("series/IM1: expected slices, got none", Problem(Path("series/IM1"), "slices", "none")),
        ("expected a shape, got 3", Problem(Path("a.nii"), "a shape", "3")),
        ("expected 1, found 2 too", Problem(Path("a.nii"), "1", "2 too")),
        ("a.nii: no\nsuch thing", Problem(Path("a.nii"), "a file that can be read", "no such thing")),
    ],
)
def test_an_error_becomes_a_problem(message, expected):
    assert Problem.of("a.nii", ValueError(message)) == expected


def test_the_error_prints_a_line_a_problem_and_survives_a_pickle():
    problems = [Problem(Path(name), "a scan", "none") for name in ("a", "b")]
    error = DatasetError(problems)
    assert str(error) == "a: expected a scan, got none\nb: expected a scan, got none"
    assert error.problems == tuple(problems) and isinstance(error, VolumeError)
    assert pickle.loads(pickle.dumps(error)).problems == tuple(problems)

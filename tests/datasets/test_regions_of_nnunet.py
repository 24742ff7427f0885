"""Regions of nnU-Net: structures of several label numbers."""

import json
from pathlib import Path

import pytest

from recalib_keras.datasets import survey
from recalib_keras.datasets.regions import read_regions

FILE = Path("dataset.json")
ORDER = "regions_class_order"


@pytest.mark.parametrize(
    ("labels", "order", "names", "includes"),
    [
        (
            {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3},
            [1, 2, 3],
            {"background": 0, "whole": 1, "core": 2, "enhancing": 3},
            {1: (2, 3), 2: (3,)},
        ),
        (  # numbers as in BraTS's files, and an ignored label, which is in no order
            {"background": 0, "enhancing": [4], "core": [1, 4], "whole": [1, 2, 4], "ignore": 5},
            [4, 1, 2],
            {"background": 0, "ignore": 5, "whole": 2, "core": 1, "enhancing": 4},
            {2: (1, 4), 1: (4,)},
        ),
        (  # two structures in one, side by side
            {"background": 0, "both": [1, 2, 3], "left": [2], "right": [3]},
            [1, 2, 3],
            {"background": 0, "both": 1, "left": 2, "right": 3},
            {1: (2, 3)},
        ),
    ],
)
def test_each_region_has_one_number_and_includes_the_others(labels, order, names, includes):
    assert read_regions({"labels": labels, ORDER: order}, FILE) == (names, includes, [])


@pytest.mark.parametrize("content", [{}, {"labels": None}, {"labels": {"1": "liver"}}, {"labels": [1]}])
def test_labels_without_regions_stay_as_they_are(content):
    assert read_regions(content, FILE) == (content.get("labels"), {}, [])


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ({"background": 0, "whole": [1, 2], "core": [2]}, None),  # no order
        ({"background": 0, "whole": [1, 2], "core": [2]}, [1]),  # too short
        ({"background": 0, "whole": [1, 2], "core": [2]}, [3, 2]),  # not of the region
        ({"background": 0, "whole": [1, 2], "core": [2]}, [2, 2]),  # twice
        ({"background": 0, "whole": [1, 2], "core": [2]}, "12"),
        ({"background": 0, "whole": [1, 2], "core": [2]}, 12),
        ({"background": 0, "whole": [1, 2], "core": [2]}, {"1": 2}),
        ({"background": 0, "whole": [1, 2, 3], "core": [2]}, [1, 2]),  # 3 has no region of its own
        ({"background": 0, "a": [1, 2], "b": [2, 3], "c": [3]}, [1, 2, 3]),  # a reaches into b
        ({"background": 0, "whole": [1, "2"], "core": [2]}, [1, 2]),
        ({"background": 0, "whole": [1, [2]], "core": [2]}, [1, 2]),
        ({"background": 0, "whole": [], "core": [2]}, [1, 2]),
        ({"background": 0, "whole": [1, True], "core": [2]}, [1, 2]),
    ],
)
def test_what_is_not_nested_is_reported(labels, order):
    numbered, includes, (problem,) = read_regions({"labels": labels, ORDER: order}, FILE)
    assert numbered is None and not includes
    assert "expected each label a number or a list of numbers" in str(problem) and "background" in str(problem)


def test_a_survey_knows_the_regions(empty_files):
    root = empty_files("imagesTr/a_0000.nii", "labelsTr/a.nii")
    labels = {"background": 0, "tumour": [1, 2], "core": [2]}
    (root / "dataset.json").write_text(json.dumps({"labels": labels, ORDER: [1, 2]}))
    found = survey(root)
    assert found.labels == {0: "background", 1: "tumour", 2: "core"} and found.includes == {1: (2,)}
    assert not found.remarks

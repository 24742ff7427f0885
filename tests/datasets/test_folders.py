import pytest

from recalib_keras.datasets.folders import label_names, read_json


@pytest.mark.parametrize(
    ("mapping", "names"),
    [
        ({"1": "liver", "0": "nothing"}, {0: "nothing", 1: "liver"}),
        ({"1": "liver", "2": "spleen"}, {0: "background", 1: "liver", 2: "spleen"}),
        ({"background": 0, "liver": 3}, {0: "background", 3: "liver"}),
        ({}, None),
        (None, None),
    ],
)
def test_both_ways_of_writing(mapping, names):
    assert label_names(mapping, "labels.json") == (names, [])


@pytest.mark.parametrize(
    "mapping",
    [
        ["liver"],
        {"liver": "1"},
        {"1": 2.5},
        {"whole": [1, 2]},
        {"a": 1, "b": 1},
        {"a": -1},
        {"a": True},
        {"1": None},
        {"²": "a"},
        {"1" * 5000: "a"},
    ],
)
def test_other_ways_are_reported(mapping):
    names, problems = label_names(mapping, "labels.json")
    assert names is None and len(problems) == 1
    assert "labels.json: expected labels as" in str(problems[0])


def test_no_json_file_tells_nothing(tmp_path):
    assert read_json(tmp_path / "dataset.json") == ({}, [])


@pytest.mark.parametrize(
    ("content", "expected"), [(b'{"a": ', "can be read"), (b"\xff\xfe\xff", "can be read"), (b"[1]", "a list")]
)
def test_a_broken_json_file_is_reported(tmp_path, content, expected):
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    mapping, problems = read_json(path)
    assert mapping == {} and problems[0].file == path and expected in str(problems[0])


@pytest.mark.parametrize("name", ["", " ", "a\nb", "<b>", "a|b", "a" * 101, "\x1b[31m"])
def test_a_name_that_breaks_a_table_is_reported(name):
    names, problems = label_names({"1": name}, "labels.json")
    assert names is None and "labels.json: expected the name of a label to be one line of" in str(problems[0])

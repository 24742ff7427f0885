"""Lists of labels as people and FreeSurfer write them."""

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.zoo.label_lists import read_labels


def read(tmp_path, text):
    (tmp_path / "labels.txt").write_text(text, encoding="utf-8")
    return read_labels(tmp_path / "labels.txt")


def test_names_alone(tmp_path):
    assert read(tmp_path, "# ours\nbackground\n\nleft hippocampus  # the anterior half\n") == [
        "background",
        "left hippocampus",
    ]


@pytest.mark.parametrize(
    ("line", "name", "color"),
    [
        ("17 Left-Hippocampus 220 216 20 0", "Left-Hippocampus", (220, 216, 20)),
        ("17  left hippocampus  220 216 20", "left hippocampus", (220, 216, 20)),
        ("17 left hippocampus", "left hippocampus", (0, 0, 0)),
        ("17 layer 4", "layer 4", (0, 0, 0)),
        ("17 area 4 220 216 20 0", "area 4", (220, 216, 20)),
        ('17 220 216 20 1 1 1 "left hippocampus"', "left hippocampus", (220, 216, 20)),
        ("17 1 2 3", "1 2 3", (0, 0, 0)),
    ],
)
def test_numbers_and_colours(line, name, color, tmp_path):
    (label,) = read(tmp_path, line)
    assert (label.id, label.name, label.color) == (17, name, color)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.txt: expected lines of NUMBER NAME, or of names alone, got none"),
        ("0 background\nleft\n", "expected lines of NUMBER NAME, or of names alone, got 'left'"),
        ("0 background 300 0 0\n", "labels.txt: expected .*255.*, got 300"),
    ],
)
def test_errors(text, message, tmp_path):
    with pytest.raises(RecordError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="expected a text in UTF-8, got other bytes"):
        read_labels(tmp_path / "labels.txt")
    with pytest.raises(RecordError, match="got no such file"):
        read_labels(tmp_path / "none.txt")

import json
import os

import pytest

from recalib_keras.core.colors import distinct_color
from recalib_keras.core.errors import RecordError
from recalib_keras.evaluation import Structure, read_structures, unnamed_structures

FREESURFER = """\
#No. Label Name:                            R   G   B   A

0   Unknown                                 0   0   0   0
17  Left-Hippocampus                        220 216 20  0
 53  Right-Hippocampus                      220 216 20  0
"""
ITK_SNAP = """\
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0    0        1  1  1    "left kidney"
    2     0  255    0      0.5  1  1    "liver, right lobe"
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "lut.txt",
            FREESURFER,
            [Structure(17, "Left-Hippocampus", (220, 216, 20)), Structure(53, "Right-Hippocampus", (220, 216, 20))],
        ),
        ("slicer.ctbl", "4 left kidney 185 102 83 255\n", [Structure(4, "left kidney", (185, 102, 83))]),
        (
            "itk.label",
            ITK_SNAP,
            [Structure(1, "left kidney", (255, 0, 0)), Structure(2, "liver, right lobe", (0, 255, 0))],
        ),
        (
            "plain.txt",
            "1 liver\n2 spleen\n",
            [Structure(1, "liver", distinct_color(0)), Structure(2, "spleen", distinct_color(1))],
        ),
        (
            "dataset.json",
            json.dumps({"labels": {"0": "background", "1": "Anterior"}}),
            [Structure(1, "Anterior", distinct_color(0))],
        ),
        (
            "nnunet.json",
            json.dumps({"labels": {"background": 0, "Anterior": 1}}),
            [Structure(1, "Anterior", distinct_color(0))],
        ),
    ],
)
def test_reads_names_and_colours(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_structures(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"# nothing\n", "it is empty"),
        ("prose.txt", b"once upon a time\n", "cannot read the line 'once upon a time'"),
        ("pale.txt", b"1 liver 300 0 0 0\n", "above 255"),
        ("scan.nii.gz", b"\x1f\x8b\xff\xfe", "expected names of labels"),
        ("other.json", b"{}", "expected names of labels"),
        ("list.json", b"[1, 2]", "expected names of labels"),
        ("regions.json", b'{"labels": {"background": 0, "whole": [1, 2]}}', "expected names of labels"),
        ("twice.txt", b"1 liver\n1 spleen\n", "each number once, got 1 twice"),
        ("same.txt", b"1 liver\n2 liver\n", "each name once, got 'liver' twice"),
    ],
)
def test_invalid_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_structures(tmp_path / name)


def test_a_pipe_or_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", tmp_path):
        with pytest.raises(
            ValueError, match=r"expected a file with names of labels, got a (pipe|folder); check the path"
        ):
            read_structures(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(RecordError, match=r"none.txt: expected a file with names of labels, got no such file; check"):
        read_structures(tmp_path / "none.txt")


def test_colours_differ():
    colors = [structure.color for structure in unnamed_structures(range(60))]
    assert len(set(colors)) == 60
    assert all(0 <= channel <= 255 for color in colors for channel in color)
    # The first dozens are far enough apart to be told from one another side by side.
    distances = [
        sum(abs(a - b) for a, b in zip(first, second)) for i, first in enumerate(colors[:24]) for second in colors[:i]
    ]
    assert min(distances) > 30

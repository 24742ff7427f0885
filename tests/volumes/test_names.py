from pathlib import Path

import pytest

from recalib_keras.volumes.names import LABEL_SUFFIXES, SCAN_SUFFIXES, stem
from recalib_keras.volumes.reading import EXTENSIONS


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a.nii.gz", "a"),
        ("a.b.nii", "a.b"),
        ("A.NII.GZ", "A"),
        ("a.mgz", "a"),
        ("series", "series"),
        ("CT.1.2.840", "CT.1.2.840"),
        ("notes.gz", "notes.gz"),
        ("nii.gz", "nii.gz"),
    ],
)
def test_stem(name, expected):
    assert stem(Path("folder") / name) == expected


def test_what_is_a_scan_by_name_can_be_read():
    assert set(SCAN_SUFFIXES) == set(EXTENSIONS) and set(LABEL_SUFFIXES) < set(SCAN_SUFFIXES)

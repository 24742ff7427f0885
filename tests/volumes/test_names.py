from pathlib import Path

import pytest

from recalib_keras.volumes.names import stem


@pytest.mark.parametrize(
    ("name", "expected"),
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

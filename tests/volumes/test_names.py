from pathlib import Path

import pytest

from recalib_keras.volumes.names import one_per_scan, partner, stem


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", "a"),
        ("a.b.nii", "a.b"),
        ("A.NII.GZ", "A"),
        ("a.mgz", "a"),
        ("a.dcm", "a"),
        ("IM1.IMA", "IM1"),
        ("series", "series"),
        ("CT.1.2.840", "CT.1.2.840"),
        ("notes.gz", "notes.gz"),
        ("nii.gz", "nii.gz"),
    ],
)
def test_stem(name, expected):
    assert stem(Path("folder") / name) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x.hdr", "x.img"], ["x.hdr"]),
        (["x.img", "x.hdr"], ["x.img"]),
        (["X.IMG", "X.hdr"], ["X.IMG"]),
        (["a/x.hdr", "b/x.img"], ["a/x.hdr", "b/x.img"]),
        (["x.hdr", "x.hdr", "y.img"], ["x.hdr", "x.hdr", "y.img"]),
        (["x.nii", "x.nii.gz", "x.hdr", "series", "x.img"], ["x.nii", "x.nii.gz", "x.hdr", "series"]),
    ],
)
def test_one_per_scan(names, expected):
    assert one_per_scan(names) == [Path(name) for name in expected]


@pytest.mark.parametrize(
    ("name", "on_disk", "expected"),
    [
        ("x.img", "x.hdr", "x.hdr"),
        ("x.hdr", "x.img", "x.img"),
        ("x.hdr", None, "x.img"),
        ("X.IMG", "X.HDR", "X.HDR"),
        ("X.IMG", "X.hdr", "X.hdr"),
        ("X.IMG", None, "X.HDR"),
        ("x.hdr", "x.IMG", "x.IMG"),
        ("x.Hdr", "x.Img", "x.Img"),
    ],
)
def test_partner(name, on_disk, expected, tmp_path):
    if on_disk is not None:
        (tmp_path / on_disk).touch()
    assert partner(tmp_path / name) == tmp_path / expected

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from recalib_keras.datasets import Contents, DatasetError, contents, find_scans


@pytest.fixture
def scan(msd_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "cache"))
    return find_scans(msd_folder("a", label=2))[0]


def test_the_digest_follows_content_and_merged_labels_alone(scan, tmp_path):
    first = Contents().of(scan)
    copies = [
        shutil.copytree(scan.image.parent, tmp_path / "images"),
        shutil.copytree(scan.labels.parent, tmp_path / "l"),
    ]
    moved = dataclasses.replace(
        scan, name="b", patient="c", image=copies[0] / scan.image.name, labels=copies[1] / scan.labels.name
    )
    assert Contents().of(moved) == first
    assert Contents().of(dataclasses.replace(scan, merge=((1, 2),))) != first
    shutil.copy(scan.labels, scan.image)
    assert Contents().of(scan) != first


def test_a_file_is_read_again_only_if_it_changed(scan, monkeypatch):
    known = Contents()
    first = known.of(scan)
    known.save()

    def refuse(*args):
        raise AssertionError("read again")

    monkeypatch.setattr(contents.hashlib, "file_digest", refuse)
    assert Contents().of(scan) == first
    os.utime(scan.image, (1, 1))
    with pytest.raises(AssertionError, match="read again"):
        Contents().of(scan)


def test_labels_are_read_once(scan, write_nifti, monkeypatch):
    write_nifti(scan.labels, np.resize([0, 1, 2, 5], (5, 4, 3)).astype("uint8"))
    known, merged = Contents(), dataclasses.replace(scan, merge=((5, 1),))
    assert known.labels_in(scan) == {1, 2, 5} and known.labels_in(merged) == {1, 2}
    known.save()
    monkeypatch.setattr(type(scan), "inspect", None)
    assert Contents().labels_in(scan) == {1, 2, 5} and Contents().labels_in(merged) == {1, 2}


def test_labels_of_a_scan_that_cannot_be_read(scan):
    scan.labels.write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"a\.nii\.gz: expected"):
        Contents().labels_in(scan)


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"/labels": 3, "a.nii.gz": [1]}', '{"a.nii.gz": "x"}'])
def test_a_damaged_index_counts_as_missing(damage, scan):
    first = Contents().of(scan)
    index = contents._index(scan.image.parent)
    index.parent.mkdir(parents=True)
    index.write_text(damage)
    again = Contents()
    assert again.of(scan) == first and again.labels_in(scan) == {2}
    again.save()
    assert json.loads(index.read_text()).keys() == {scan.image.name}


def test_a_cache_that_cannot_be_written_is_no_error(scan, tmp_path):
    (tmp_path / "cache").write_text("a file")
    known = Contents()
    known.of(scan)
    known.save()


def test_the_files_of_a_scan(tmp_path, scan):
    (tmp_path / "series").mkdir()
    for name in ("2.dcm", "1.dcm"):
        (tmp_path / "series" / name).touch()
    pair = tmp_path / "x.hdr"
    found = dataclasses.replace(scan, image=tmp_path / "series", labels=pair).files
    assert [path.name for path in found] == ["1.dcm", "2.dcm", "x.hdr", "x.img"]

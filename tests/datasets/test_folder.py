import pytest

from recalib_keras.datasets import LabelledScan, find_scans, split


@pytest.fixture
def folder(tmp_path):
    """Returns a function that makes a folder of empty files in the Decathlon's layout."""

    def make(images, labels):
        for part, names in (("imagesTr", images), ("labelsTr", labels)):
            (tmp_path / part).mkdir()
            for name in names:
                (tmp_path / part / name).touch()
        return tmp_path

    return make


def test_finds_scans_and_labels_by_name_in_order(folder):
    root = folder(["b.nii.gz", "a.nii", "c.v2.mgz"], ["a.nii.gz", "b.nii.gz", "c.v2.nii", "unused.nii.gz"])
    scans = find_scans(root)
    assert [scan.name for scan in scans] == ["a", "b", "c.v2"]
    assert scans[0] == LabelledScan("a", root / "imagesTr" / "a.nii", root / "labelsTr" / "a.nii.gz")
    assert find_scans(str(root)) == scans


def test_other_and_hidden_files_are_no_scans(folder):
    root = folder(["a.nii.gz", "._a.nii.gz", ".b.nii.gz", "dataset.json", "README"], ["a.nii.gz", "._a.nii.gz"])
    assert [scan.name for scan in find_scans(root)] == ["a"]


def test_every_missing_label_map_is_named(folder):
    root = folder(["a.nii", "b.nii", "c.nii"], ["b.nii"])
    with pytest.raises(FileNotFoundError, match=r"labelsTr for each scan; missing: \['a', 'c'\]"):
        find_scans(root)


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_a_missing_folder(part, folder):
    root = folder([], [])
    (root / "imagesTr" / "a.nii").touch()
    (root / "labelsTr" / "a.nii").touch()
    for path in (root / part).iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"expected scans \(.nii.gz, .nii, .mgz\) in .*{part}; there are none"):
        find_scans(root)
    (root / part).rmdir()
    with pytest.raises(FileNotFoundError, match=f"expected a folder of scans at .*{part}; point --data"):
        find_scans(root)


@pytest.mark.parametrize(
    "every, training, validation",
    [(5, "bcdeghij", "afk"), (1, "", "abcdeghijfk"), (2, "bdfhj", "acegik"), (100, "bcdefghijk", "a")],
)
def test_split(every, training, validation):
    scans = list("abcdefghijk")
    assert [set(part) for part in split(scans, every)] == [set(training), set(validation)]
    assert all(part == sorted(part) for part in split(scans, every))


def test_the_hippocampus_set_splits_as_agreed(data_root):
    training, validation = split(find_scans(data_root / "hippocampus"), every=5)
    assert (len(training), len(validation)) == (168, 42)
    assert all(scan.image.name == scan.labels.name for scan in training + validation)


def test_a_scan_in_two_formats_is_refused(folder):
    with pytest.raises(FileExistsError, match=r"one file a scan, found .*a\.nii.* move one away"):
        find_scans(folder(["a.nii", "a.nii.gz"], ["a.nii"]))

import json

import pytest

from recalib_keras.datasets import DatasetError, LabelledScan, describe, find_scans, names, survey
from recalib_keras.datasets.scan import Channel


def test_finds_scans_and_labels_by_name_in_order(empty_files):
    root = empty_files("imagesTr/b.nii.gz", "imagesTr/a.nii", "imagesTr/c.v2.mgz",
                       "labelsTr/a.nii.gz", "labelsTr/b.nii.gz", "labelsTr/c.v2.nii")  # fmt: skip
    scans = find_scans(root)
    assert [scan.name for scan in scans] == ["a", "b", "c.v2"]
    assert scans[0] == LabelledScan("a", root / "imagesTr" / "a.nii", root / "labelsTr" / "a.nii.gz")
    assert find_scans(str(root)) == scans and survey(root)[:4] == (scans, None, [], [])


def test_other_and_hidden_files_are_no_scans(empty_files):
    root = empty_files("imagesTr/a.nii.gz", "imagesTr/._a.nii.gz", "imagesTr/.b.nii.gz", "imagesTr/README",
                       "imagesTs/z.nii.gz", "labelsTr/a.nii.gz", "labelsTr/._a.nii.gz")  # fmt: skip
    (root / "imagesTr" / "folder.nii").mkdir()
    assert [scan.name for scan in find_scans(root)] == ["a"]


def test_every_missing_label_map_is_reported(empty_files):
    root = empty_files("imagesTr/a.nii", "imagesTr/b.nii", "imagesTr/c.nii", "labelsTr/b.nii")
    with pytest.raises(
        DatasetError, match=r"labelsTr/a: expected a label map for the scan .*a.nii, got none"
    ) as caught:
        find_scans(root)
    assert [problem.file.name for problem in caught.value.problems] == ["a", "c"]
    assert [scan.name for scan in survey(root).scans] == ["b"]


def test_a_label_map_without_a_scan_is_reported_but_hinders_nobody(empty_files):
    root = empty_files("imagesTr/a.nii", "labelsTr/a.nii", "labelsTr/b.nii")
    found = survey(root)
    assert find_scans(root) == found.scans and found.problems == []
    assert "labelsTr/b.nii: expected a scan for this label map" in str(found.remarks[0])


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_a_missing_folder(part, empty_files):
    root = empty_files("imagesTr/a.nii", "labelsTr/a.nii")
    (root / part / "a.nii").unlink()
    with pytest.raises(FileNotFoundError, match=rf"expected scans \(.nii.gz, .nii, .mgz, .mgh\) in .*{part}, got none"):
        find_scans(root)
    (root / part).rmdir()
    with pytest.raises(FileNotFoundError, match=f"expected a folder of scans at .*{part}, got none; give the folder"):
        find_scans(root)


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_a_scan_in_two_formats_is_refused(part, empty_files):
    root = empty_files("imagesTr/a.nii", "labelsTr/a.nii", f"{part}/a.nii.gz")
    with pytest.raises(DatasetError, match=rf"{part}/a\.nii.*: expected one file of a name, got .*too; move one away"):
        find_scans(root)


@pytest.fixture
def described(empty_files):
    """Returns a function that makes a folder of one scan, `a`, with a dataset.json."""

    def make(content):
        root = empty_files("imagesTr/a.nii.gz", "labelsTr/a.nii.gz")
        (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
        return root

    return make


def test_dataset_json_names_the_labels(described):
    listing = [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]
    content = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior"}, "training": listing}
    found = survey(described(content))
    assert found.labels == {0: "background", 1: "Anterior"} and found.problems == found.remarks == []


def test_a_scan_that_dataset_json_lists_and_no_file_holds(described):
    root = described({"training": [{"image": f"./imagesTr/{name}.nii.gz"} for name in "abc"]})
    assert [problem.file for problem in survey(root).remarks] == [root / "imagesTr" / f"{name}.nii.gz" for name in "bc"]
    assert len(find_scans(root)) == 1


@pytest.mark.parametrize("content", [{"labels": {"liver": "1"}}, [], {"labels": 3}])
def test_what_is_amiss_in_dataset_json_hinders_nobody(described, content):
    root = described(content)
    assert len(find_scans(root)) == 1
    assert survey(root).remarks[0].file == root / "dataset.json" and survey(root).labels is None


@pytest.mark.parametrize("key", ["modality", "channel_names"])
def test_several_modalities_are_channels_of_each_scan(described, key):
    root = described({key: {"0": "T2", "1": "ADC"}})
    (scan,) = find_scans(root)
    assert scan.channels == (Channel("T2", scan.image, 0), Channel("ADC", scan.image, 1))
    (alone,) = find_scans(root, volume=1)
    assert (alone.volume, alone.channels) == (1, ())


def test_a_folder_of_nnunet_with_one_channel(empty_files):
    root = empty_files("imagesTr/b_0000.nii.gz", "imagesTr/b-2_0000.nii.gz", "imagesTr/c_0000.nii.gz",
                       "labelsTr/b.nii.gz", "labelsTr/b-2.nii.gz", "labelsTr/d.nii.gz")  # fmt: skip
    listing = [{"image": f"./imagesTr/{name}.nii.gz"} for name in ("b", "e")]
    names = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "training": listing}
    (root / "dataset.json").write_text(json.dumps(names), encoding="utf-8")
    found = survey(root)
    assert [scan.name for scan in found.scans] == ["b", "b-2"] and found.labels == {0: "background", 1: "liver"}
    assert found.scans[0].image == root / "imagesTr" / "b_0000.nii.gz"
    assert found.scans[0].labels == root / "labelsTr" / "b.nii.gz"
    assert [problem.file for problem in found.problems] == [root / "labelsTr" / "c"]
    assert [remark.file.name for remark in found.remarks] == ["d.nii.gz", "e.nii.gz"]


def test_a_folder_of_nnunet_without_dataset_json(empty_files):
    root = empty_files("imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz")
    assert [scan.name for scan in find_scans(root)] == ["b"] and survey(root).labels is None


@pytest.fixture
def of_nnunet(empty_files):
    """A folder of two scans of two channels each, whose names dataset.json has."""
    files = [f"imagesTr/{case}_{channel}.nii.gz" for case in "bc" for channel in ("0000", "0001")]
    root = empty_files(*files, "labelsTr/b.nii.gz", "labelsTr/c.nii.gz")
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2"}}), encoding="utf-8")
    return root


def test_several_channels_of_nnunet(of_nnunet):
    scans = find_scans(of_nnunet)
    assert [scan.name for scan in scans] == ["b", "c"]
    files = [of_nnunet / "imagesTr" / f"c_{channel}.nii.gz" for channel in ("0000", "0001")]
    assert scans[1].channels == (Channel("T1", files[0]), Channel("T2", files[1]))
    alone = find_scans(of_nnunet, volume=1)[1]
    assert (alone.image, alone.labels.name, alone.channels) == (files[1], "c.nii.gz", ())


def test_a_missing_channel_names_the_scan(of_nnunet):
    (of_nnunet / "imagesTr" / "c_0001.nii.gz").unlink()
    with pytest.raises(
        DatasetError, match=r"imagesTr: expected the channel _0001 \(T2\) of c, got no such file; add it"
    ):
        find_scans(of_nnunet)
    assert [scan.name for scan in survey(of_nnunet).scans] == ["b"]


def test_four_digits_at_the_end_of_a_name_alone_are_no_channel(empty_files):
    root = empty_files("imagesTr/b_0000.nii", "imagesTr/b_0001.nii", "labelsTr/b_0000.nii", "labelsTr/b_0001.nii")
    assert [scan.name for scan in find_scans(root)] == ["b_0000", "b_0001"]
    root = empty_files("imagesTr/b.nii", "labelsTr/b.nii")
    (root / "labelsTr" / "b_0001.nii").unlink()
    found = survey(root)
    assert [scan.name for scan in found.scans] == ["b", "b_0000"]
    assert [problem.file.name for problem in found.problems] == ["b_0001"]


def test_a_task_is_found_beside_others_or_by_itself(empty_files):
    root = empty_files("Task09_Spleen/imagesTr/a.nii", "Task09_Spleen/labelsTr/a.nii")
    scans = find_scans(root, "msd/Task09_Spleen")
    assert scans == find_scans(root / "Task09_Spleen", "msd/Task09_Spleen") == find_scans(root / "Task09_Spleen")
    assert survey(root, "msd/Task09_Spleen").labels == {0: "background", 1: "spleen"}


def test_a_task_of_several_modalities_has_a_set_for_each(empty_files):
    root = empty_files("imagesTr/a.nii", "labelsTr/a.nii")
    (scan,) = find_scans(root, "msd/Task01_BrainTumour")
    assert [channel.name for channel in scan.channels] == ["FLAIR", "T1w", "T1gd", "T2w"]
    assert find_scans(root, "msd/Task01_BrainTumour_T1gd")[0].volume == 2
    assert find_scans(root, "msd/Task01_BrainTumour", volume=3)[0].volume == 3


def test_there_is_a_set_for_each_of_the_ten_tasks():
    tasks = {name[4:10] for name in names() if name.startswith("msd/")}
    assert tasks == {f"Task{number:02}" for number in range(1, 11)}
    described = describe("msd/Task04_Hippocampus")
    assert described.labels == {0: "background", 1: "Anterior", 2: "Posterior"}
    assert described.licence == "CC BY-SA 4.0" and "Task04_Hippocampus/imagesTr" in described.layout

import subprocess
import sys

import pytest

from recalib_keras.datasets import describe, find_scans, names, survey


def test_all_sets_are_described_in_full():
    assert {"msd", "malc", "visceral", "chaos/ct", "chaos/mr_t1in", "chaos/mr_t1out", "chaos/mr_t2", "duke_dme",
            "nifti_folder"} <= set(names())  # fmt: skip
    for name in names():
        described = describe(name)
        assert described.name == name and described.title and described.licence
        assert described.layout and max(map(len, described.layout.splitlines())) <= 120
        if name != "nifti_folder":
            assert described.citation.startswith("@") and described.homepage.startswith("http")
        if name not in ("msd", "nifti_folder"):
            assert described.labels[0] == "background" and len(set(described.labels.values())) == len(described.labels)


@pytest.mark.parametrize(("name", "count"), [("malc", 28), ("visceral", 11), ("chaos/ct", 2), ("duke_dme", 9)])
def test_numbers_of_labels(name, count):
    assert len(describe(name).labels) == count


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("chaos", "did you mean 'chaos/ct'"),
        ("msd/Task4_Hippocampus", "did you mean 'msd/Task04_Hippocampus'"),
        ("qqq", "known sets: msd, "),
        (None, "got None"),
    ],
)
def test_an_unknown_set_is_refused_with_the_nearest(wrong, expected, tmp_path):
    with pytest.raises(ValueError, match=f"expected the name of a set of scans, got .*{expected}|{expected}"):
        find_scans(tmp_path, wrong)


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder of scans at .*nowhere, got none; check the path"):
        survey(tmp_path / "nowhere", "visceral")


@pytest.mark.parametrize("dataset", ["malc", "chaos/ct", "msd/Task05_Prostate_ADC"])
def test_a_volume_where_there_is_none_to_choose(dataset, tmp_path):
    with pytest.raises(ValueError, match=f"expected no volume for '{dataset}'.* got 1"):
        survey(tmp_path, dataset, volume=1)


def test_the_room_loads_no_backend():
    code = (
        "import sys, recalib_keras.datasets; "
        "print(sorted({'keras', 'tensorflow', 'tensorflow_datasets', 'torch', 'jax', 'scipy.io'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['scipy.io']")  # nibabel reads MATLAB files too

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tensorflow_datasets as tfds

from recalib_keras.cli import main as command_line
from recalib_keras.cli.messages import print_line
from recalib_keras.datasets import DatasetError, Problem, names


@pytest.fixture
def datasets(monkeypatch):
    """Runs `recalib datasets` in this process."""
    monkeypatch.setitem(command_line.COMMANDS, "datasets", "list sets of scans, and check a folder of one")
    return lambda *arguments: command_line.main(["datasets", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    """A folder of three scans in the Decathlon's layout, with two labels."""
    root = tmp_path / "our livers"
    rng = np.random.default_rng(2)
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for name in "abc":
        image = rng.uniform(size=(6, 5, 4)).astype(np.float32)
        write(root / "imagesTr" / f"{name}.nii.gz", image)
        write(root / "labelsTr" / f"{name}.nii.gz", (image > 0.5).astype(np.uint8) * 2)
    return root


def write(path, array, spacing=(1, 1, 2.5)):
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


def test_lists_all_sets(datasets, capsys):
    assert datasets() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names())
    assert re.fullmatch(r"chaos/ct +CHAOS CT, portal venous phase: liver", lines[names().index("chaos/ct")])


def test_describes_a_set(datasets, capsys):
    assert datasets("chaos/mr_t2") == 0
    output = capsys.readouterr().out
    for word in (
        "Train_Sets/MR/N/T2SPIR/Ground/*.png",
        "      4  spleen",
        "CC BY-NC-SA 4.0",
        "@article{kavur2021chaos",
    ):
        assert word in output
    assert datasets("nifti_folder") == 0
    output = capsys.readouterr().out
    assert "each folder's own" in output and "homepage" not in output


def test_a_folder_without_problems(datasets, folder, capsys):
    (folder / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "tumour", "2": "liver"}}))
    assert datasets("msd", folder) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "3 scans of 3 patients",
        "shape: 6 x 5 x 4 (3)",
        "spacing (mm): 1 x 1 x 2.5 (3)",
        "orientation: RAS (3)",
        "labels, and how many scans have each",
        "      0      3  background",
        "      1      0  tumour",
        "      2      3  liver",
    ]
    assert output.err == ""


def test_patients_and_parts_are_counted(datasets, folder, capsys):
    (folder / "scans.csv").write_text("name,patient,part\na,P1,train\nb,P1,train\nc,P2,test\n")
    assert datasets("msd", folder) == 0
    assert capsys.readouterr().out.startswith("3 scans of 2 patients: 2 train, 1 test\n")


def test_many_shapes_are_counted(datasets, folder, capsys):
    for size in range(7):
        for part, dtype in (("imagesTr", np.float32), ("labelsTr", np.uint8)):
            array = np.arange(30 * (size + 5)).reshape(6, 5, size + 5).astype(dtype)
            write(folder / part / f"{size}.nii.gz", array % 2)
    assert datasets("msd", folder) == 0
    shapes = capsys.readouterr().out.splitlines()[1]
    assert shapes.startswith("shape: 6 x 5 x 4 (3), ") and shapes.endswith(" and 2 more")


def test_every_problem_takes_a_line(datasets, folder, capsys):
    write(folder / "labelsTr" / "a.nii.gz", np.zeros((6, 5, 3), np.uint8))
    write(folder / "labelsTr" / "b.nii.gz", np.zeros((6, 5, 4), np.uint8), spacing=(1, 1, 2))
    (folder / "labelsTr" / "c.nii.gz").rename(folder / "labelsTr" / "d.nii.gz")
    assert datasets("msd", folder, "--build", folder / "built") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all(line.startswith("recalib datasets: ") for line in lines)
    expected = [
        "labelsTr/c: expected a label map",
        "d.nii.gz: expected a scan",
        "labelsTr/a.nii.gz: expected the grid of its scan",
        "labelsTr/b.nii.gz: expected the grid of its scan",
    ]
    assert [word in line for word, line in zip(expected, lines)] == [True] * 4
    assert lines[-1] == f"recalib datasets: 4 problems in {folder}"
    assert not (folder / "built").exists()


def test_label_maps_without_structures_are_a_problem(datasets, folder, capsys):
    for path in (folder / "labelsTr").iterdir():
        stored = nib.load(path)
        nib.save(nib.Nifti1Image(np.zeros(stored.shape, "uint8"), stored.affine), path)
    assert datasets("msd", folder) == 1
    assert "labelsTr: expected label maps with structures, got only 0 in all of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["msd", "nowhere"], "expected a folder of scans at nowhere, got none"),
        (["malc", "."], "expected a folder of scans at training-images"),
        (["hippo", "."], "expected the name of a set of scans, got 'hippo'"),
        (["malc", ".", "--volume", "1"], "expected no volume for 'malc'"),
        (["msd", "--build", "here"], "expected the FOLDER of the scans with --build, got none"),
    ],
)
def test_bad_input(arguments, message, datasets, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert datasets(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("recalib datasets: ") and message in error and error.count("\n") == 1


def test_builds_what_tensorflow_datasets_loads(datasets, folder, tmp_path, capsys):
    assert datasets("msd", folder, "--build", tmp_path / "built") == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert lines[-3].endswith("built/msd/our_livers/1.0.0: train (2), validation (1); load it with")
    assert lines[-2] == "  import tensorflow_datasets as tfds"
    scope = {"tfds": tfds}
    exec(lines[-1].strip(), scope)  # the line that was printed for users to copy
    loaded = [example for split in scope["scans"].values() for example in tfds.as_numpy(split)]
    assert sorted(example["name"] for example in loaded) == [b"a", b"b", b"c"]
    assert tfds.builder("msd/our_livers", data_dir=tmp_path / "built").info.metadata["labels"]["2"] == "label 2"


def test_another_folder_of_the_same_name_is_not_passed_off_as_built(datasets, folder, tmp_path, capsys):
    assert datasets("msd", folder, "--build", tmp_path / "built") == 0
    twin = tmp_path / "twin" / folder.name
    twin.parent.mkdir()
    folder.rename(twin)
    assert datasets("msd", twin, "--build", tmp_path / "built") == 2
    assert "which was built from" in capsys.readouterr().err


def test_builds_a_volume_under_a_name_of_its_own(datasets, folder, tmp_path, capsys):
    for name in "abc":
        write(folder / "imagesTr" / f"{name}.nii.gz", np.random.default_rng(1).uniform(size=(6, 5, 4, 2)))
    assert datasets("msd", folder) == 0
    assert "channels: 0, 1" in capsys.readouterr().out
    assert datasets("msd", folder, "--build", tmp_path / "built") == 2
    assert "--volume I" in capsys.readouterr().err
    assert datasets("msd", folder, "--volume", 1, "--build", tmp_path / "built") == 0
    assert (tmp_path / "built" / "msd" / "our_livers_volume1" / "1.0.0" / "features.json").is_file()


def test_builds_a_task_of_the_decathlon(datasets, folder, tmp_path):
    assert datasets("msd/Task03_Liver", folder, "--build", tmp_path / "built") == 0
    info = tfds.builder("msd/Task03_Liver", data_dir=tmp_path / "built").info
    assert info.metadata["labels"] == {"0": "background", "1": "liver", "2": "cancer"}


def test_an_error_of_many_problems_takes_a_line_for_each(capsys):
    print_line("train", DatasetError([Problem(Path(f"{number}.nii"), "a scan", f"a {number}") for number in range(12)]))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "recalib train: 0.nii: expected a scan, got a 0"
    assert len(lines) == 11 and lines[-1] == "recalib train: and 2 more problems"


def test_each_line_of_an_error_says_what_it_is_about(capsys):
    print_line(
        "train", DatasetError([Problem(Path(f"{number}.nii"), "a scan", "none") for number in range(2)]), "a.toml"
    )
    print_line("train", "a.toml: expected x, got y", "a.toml")
    assert capsys.readouterr().err.splitlines() == [
        "recalib train: a.toml: 0.nii: expected a scan, got none",
        "recalib train: a.toml: 1.nii: expected a scan, got none",
        "recalib train: a.toml: expected x, got y",
    ]


def test_the_hippocampus_set(datasets, data_root, capsys):
    assert datasets("msd", data_root / "hippocampus") == 0
    output = capsys.readouterr().out
    assert output.startswith("210 scans of 210 patients\n") and "spacing (mm): 1 x 1 x 1 (210)" in output
    assert "      2    210  label 2" in output

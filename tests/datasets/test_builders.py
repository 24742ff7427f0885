import json
import pickle
import socket
import sys
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds

from recalib_keras.datasets import DatasetError, describe, find_scans
from recalib_keras.datasets.builders import ScansConfig


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Fails any test that goes to the network."""

    def refuse(*arguments):
        raise AssertionError(f"went to the network: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    tfds.disable_progress_bar()


@pytest.fixture
def load(tmp_path):
    """Returns `tfds.load` for a folder, with the data kept in the test's own folder."""

    def load_set(name, folder, config=None, **how):
        download = tfds.download.DownloadConfig(manual_dir=folder, **how)
        return tfds.load(
            name,
            data_dir=tmp_path / "built",
            with_info=True,
            builder_kwargs={"config": config} if config else None,
            download_and_prepare_kwargs={"download_config": download},
        )

    return load_set


def by_name(dataset):
    return {example["name"].decode(): example for example in tfds.as_numpy(dataset)}


def test_examples_are_the_scans(msd_folder, load):
    folder = msd_folder("a", "b", label=2)
    msd_folder("c", folder=folder, shape=(6, 7, 8))
    splits, info = load("msd", folder)
    assert {name: sorted(by_name(split)) for name, split in splits.items()} == {
        "train": ["b", "c"],
        "validation": ["a"],
    }
    found = by_name(splits["train"]) | by_name(splits["validation"])
    for scan in find_scans(folder):
        example, (image, labels) = found[scan.name], scan.read()
        np.testing.assert_array_equal(example["image"], image.array)
        np.testing.assert_array_equal(example["labels"], labels.array)
        np.testing.assert_array_equal(example["affine"], image.grid.affine)
        np.testing.assert_array_equal(example["spacing"], image.grid.spacing)
        assert example["patient"].decode() == scan.patient
        assert (example["image"].dtype, example["labels"].dtype) == (np.float32, np.int32)
    assert info.metadata["labels"] == {"0": "background", "1": "label 1", "2": "label 2"}


def test_label_names_licence_and_citation_are_kept(msd_folder, load, tmp_path):
    folder = msd_folder("a", "b")
    (folder / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "liver"}}), encoding="utf-8")
    _, info = load("msd", folder, ScansConfig(name="our_livers"))
    assert info.metadata["labels"] == {"0": "background", "1": "liver"}
    assert info.citation == describe("msd").citation and info.homepage == describe("msd").homepage
    # As another process finds it, without this package's builders.
    restored = tfds.builder_from_directory(tmp_path / "built" / "msd" / "our_livers" / "1.0.0")
    assert restored.info.metadata["labels"] == {"0": "background", "1": "liver"}
    assert len(list(restored.as_dataset(split="train+validation", as_supervised=True))) == 2


def test_a_task_of_the_decathlon_beside_others(msd_folder, load, tmp_path):
    msd_folder("a", "b", folder=tmp_path / "decathlon" / "Task09_Spleen")
    splits, info = load("msd/Task09_Spleen", tmp_path / "decathlon")
    assert sorted(splits) == ["train", "validation"]
    assert info.metadata["labels"] == {"0": "background", "1": "spleen"} and "Task09" in info.description
    assert "CC BY-SA 4.0" in str(info)


def test_one_modality_of_4d_images(msd_folder, load, write_nifti, rng):
    folder = msd_folder("a", "b")
    image = rng.uniform(size=(5, 4, 3, 2)).astype(np.float32)
    for name in "ab":
        write_nifti(folder / "imagesTr" / f"{name}.nii.gz", image)
    splits, _ = load("msd/Task05_Prostate_ADC", folder)
    np.testing.assert_array_equal(by_name(splits["train"])["b"]["image"], image[..., 1])
    with pytest.raises(
        ValueError, match=r"expected images of one channel, got 2 in each \(0 = T2, 1 = ADC\).*volume=I"
    ):
        load("msd/Task05_Prostate", folder)
    splits, _ = load("msd", folder, ScansConfig(name="second", volume=0))
    np.testing.assert_array_equal(by_name(splits["train"])["b"]["image"], image[..., 0])


def test_patients_are_the_unit_of_every_split(msd_folder, load):
    folder = msd_folder("a1", "a2", "b1", "c1", "c2", "d1")
    lines = [
        "name,patient,part",
        "d1,D,test",
        *(f"{name},{name[0].upper()}," for name in ("a1", "a2", "b1", "c1", "c2")),
    ]
    (folder / "scans.csv").write_text("\n".join(lines), encoding="utf-8")
    splits, _ = load("msd", folder, ScansConfig(name="pairs", validate_every=2))
    assert {name: sorted(by_name(split)) for name, split in splits.items()} == {
        "train": ["b1"],
        "validation": ["a1", "a2", "c1", "c2"],
        "test": ["d1"],
    }


def test_a_single_patient_is_there_to_train_on(msd_folder, load):
    splits, _ = load("msd", msd_folder("a"))
    assert list(splits) == ["train"]


def test_all_problems_are_reported_and_nothing_is_built(msd_folder, load, write_nifti, tmp_path):
    folder = msd_folder("a", "b", "c")
    write_nifti(folder / "labelsTr" / "a.nii.gz", np.zeros((5, 4, 2), np.uint8))
    write_nifti(folder / "labelsTr" / "b.nii.gz", np.ones((5, 4, 3), np.uint8), np.eye(4))
    (folder / "labelsTr" / "c.nii.gz").rename(folder / "labelsTr" / "d.nii.gz")
    with pytest.raises(DatasetError) as caught:
        load("msd", folder)
    reported = [f"{problem.file.parent.name}/{problem.file.name}" for problem in caught.value.problems]
    assert reported == ["labelsTr/c", "labelsTr/d.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz"]
    assert not list((tmp_path / "built").rglob("*tfrecord*"))


def test_unknown_label_numbers_are_refused(msd_folder, load):
    with pytest.raises(DatasetError, match="expected the label numbers 0, 1, got 3 too"):
        load("msd/Task09_Spleen", msd_folder("a", label=3))


def test_no_files_at_all_shows_the_instructions(load, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssertionError, match=r"does not exist or is empty(.|\n)*imagesTr/\*.nii.gz  scans"):
        load("msd", tmp_path / "empty")
    (tmp_path / "empty" / "readme.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"expected a folder of scans at .*imagesTr"):
        load("msd", tmp_path / "empty")


def test_another_folder_is_not_passed_off_as_the_first(msd_folder, load, tmp_path):
    first, second = msd_folder("a"), msd_folder("z", folder=tmp_path / "other")
    load("msd", first)
    builder = tfds.builder("msd", data_dir=tmp_path / "built")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=first))
    download = tfds.download.DownloadConfig(manual_dir=second)
    with pytest.raises(
        ValueError, match=r"expected the scans of .*other, got .*which was built from .*task; build under"
    ):
        builder.download_and_prepare(download_config=download)
    splits, _ = load("msd", second, download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)
    assert list(by_name(splits["train"])) == ["z"]


def test_chaos(load, tmp_path, write_series, write_png, rng):
    for case in ("1", "2"):
        folder = tmp_path / "Train_Sets" / "MR" / case / "T2SPIR"
        pixels = rng.integers(0, 900, (3, 6, 4))
        write_series(folder / "DICOM_anon", pixels, [6, 0, 3], ["IMG-1.dcm", "IMG-2.dcm", "IMG-3.dcm"])
        for number, level in enumerate((63, 126, 252), start=1):
            write_png(folder / "Ground" / f"IMG-{number}.png", np.full((6, 4), level, np.uint8))
    splits, info = load("chaos/mr_t2", tmp_path)
    example = by_name(splits["train"])["MR_02_t2"]
    assert example["labels"][0, 0].tolist() == [2, 4, 1] and example["patient"] == b"MR_02"
    assert example["spacing"].tolist() == [0.5, 0.75, 3] and info.metadata["labels"]["4"] == "spleen"
    assert "CC BY-NC-SA 4.0" in str(info)


@pytest.mark.parametrize("name", ["malc", "visceral", "chaos", "duke_dme", "msd", "nifti_folder"])
def test_every_builder_is_registered_with_instructions(name):
    builder = tfds.builder_cls(name)
    datasets = [f"{name}/{config}" for config in builder.builder_configs if config != "folder"] or [name]
    for dataset in datasets:
        config = dataset.partition("/")[2] or None
        assert builder(config=config, data_dir="/nowhere").dataset == dataset
        assert describe(dataset).layout.splitlines()[-1] in builder.MANUAL_DOWNLOAD_INSTRUCTIONS


def test_nifti_folder(load, tmp_path, write_pair):
    for name in "ab":
        write_pair(tmp_path / "images" / f"{name}.nii", tmp_path / "labels" / f"{name}.nii")
    splits, _ = load("nifti_folder", tmp_path, ScansConfig(name="ours"))
    assert sorted(by_name(splits["train"]) | by_name(splits["validation"])) == ["a", "b"]


def test_the_set_may_be_told_apart_from_the_configs_name(tmp_path):
    config = ScansConfig(name="half", dataset="chaos/ct", validate_every=2)
    assert tfds.builder("chaos", config=config, data_dir=tmp_path).dataset == "chaos/ct"


def test_a_builder_survives_a_pickle(tmp_path):
    builder = tfds.builder("msd/Task09_Spleen", data_dir=tmp_path)
    assert pickle.loads(pickle.dumps(builder)).dataset == "msd/Task09_Spleen"


def test_without_beam_the_error_names_the_command(msd_folder, load, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match="pip install apache-beam, or leave beam_runner"):
        load("msd", msd_folder("a"), beam_runner="DirectRunner")


def test_beam_is_given_scans_to_spread_and_what_to_make_of_each(msd_folder, tmp_path, monkeypatch):
    """Apache Beam itself is not a dependency: the steps that are asked of it, and their order, are checked."""
    beam = types.SimpleNamespace(Create=lambda scans: Steps([scans]), Map=lambda step: Steps([step]))
    monkeypatch.setitem(sys.modules, "apache_beam", beam)
    builder = tfds.builder("msd", data_dir=tmp_path)
    monkeypatch.setattr(tfds.core.GeneratorBasedBuilder, "download_and_prepare", lambda self, **arguments: None)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(beam_options=object()))
    found = find_scans(msd_folder("a", "b"))
    scans, step = builder._generate_examples(found)
    assert pickle.loads(pickle.dumps(scans)) == found
    name, features = pickle.loads(pickle.dumps(step))(scans[0])
    assert name == "a" and features["image"].shape == (5, 4, 3)


class Steps(list):
    """What beam's `|` makes of transforms."""

    def __or__(self, other):
        return Steps([*self, *other])


def test_beam_builds_the_same(msd_folder, load, tmp_path):
    pytest.importorskip("apache_beam")
    folder = msd_folder("a", "b", "c")
    plain, _ = load("msd", folder)
    spread, _ = load("msd", folder, ScansConfig(name="spread"), beam_runner="DirectRunner")
    for split in ("train", "validation"):
        one, other = by_name(plain[split]), by_name(spread[split])
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name]["image"], other[name]["image"])


@pytest.mark.slow
def test_the_hippocampus_set(data_root, load):
    splits, info = load("msd/Task04_Hippocampus", data_root / "hippocampus")
    assert {name: len(split) for name, split in splits.items()} == {"train": 168, "validation": 42}
    example = next(iter(tfds.as_numpy(splits["validation"])))
    assert set(np.unique(example["labels"])) == {0, 1, 2}
    assert info.metadata["labels"] == {"0": "background", "1": "Anterior", "2": "Posterior"}

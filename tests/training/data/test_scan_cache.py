"""Prepared scans on disk: the same windows, made once, complete or not at all."""

import dataclasses
import errno
import os
import shutil
from collections import namedtuple

import keras
import numpy as np
import pytest
from training.runs import assert_same_run
from training.synthetic import FOLDER, changed

from recalib_keras.core import cache
from recalib_keras.core.errors import TrainingError, WriteError
from recalib_keras.training import find_split, train
from recalib_keras.training.data import scan_cache
from recalib_keras.training.data.examples import Scan, count_classes, voxel_number
from recalib_keras.training.data.scan_cache import ScanCache, StoredArray
from recalib_keras.training.data.sources import make_source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of an empty cache."""
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def centred(recipe):
    """A recipe whose windows are centred on voxels of the foreground."""
    return changed(recipe, input={"window": (6, 6, 6)}, schedule={"foreground": 0.7})


def batches(recipe, data, use_cache):
    split = find_split(recipe, data)
    examples = make_source(recipe, split, data, use_cache=use_cache).examples(1, slice(None))
    return [[keras.ops.convert_to_numpy(part) for part in examples[step]] for step in range(len(examples))]


def test_windows_from_the_cache_are_those_from_memory(centred, data, folder):
    in_memory, first, again = (batches(centred, data, use_cache) for use_cache in (False, True, True))
    for parts in zip(in_memory, first, again):
        assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(*parts))
    assert cache.use_of("scans").entries == 4


@pytest.mark.slow
def test_a_training_from_the_cache_is_that_from_memory(recipe, data, run, folder, tmp_path):
    train(recipe, tmp_path / "memory", data, use_cache=False)
    assert not folder.exists()
    assert_same_run(tmp_path / "memory", run.folder)


def test_a_scan_is_prepared_once(recipe, data, folder, monkeypatch):
    batches(recipe, data, use_cache=True)
    monkeypatch.setattr(scan_cache, "read_scan", None)
    batches(changed(recipe, input={"window": (8, 8, 8)}), data, use_cache=True)  # windows are cut afterwards
    with pytest.raises(TypeError):
        batches(changed(recipe, input={"normalization": "percentile"}), data, use_cache=True)


def test_other_preparation_has_another_folder(recipe, data, folder, monkeypatch):
    labelled = find_split(recipe, data).training[0]
    expects, labels = recipe.input, recipe.labels
    folders = {
        ScanCache(expects, labels).folder(labelled),
        ScanCache(dataclasses.replace(expects, spacing=(1.0, 1.0, 1.0)), labels).folder(labelled),
        ScanCache(dataclasses.replace(expects, orientation="LPS"), labels).folder(labelled),
        ScanCache(expects, (labels[0], labels[2], labels[1])).folder(labelled),
        ScanCache(expects, labels).folder(dataclasses.replace(labelled, merge=((53, 17),))),
    }
    monkeypatch.setattr(scan_cache.cache, "source_digest", lambda *places: "other code")
    folders.add(ScanCache(expects, labels).folder(labelled))
    assert len(folders) == 6
    unchanged = dataclasses.replace(labelled, name="renamed", patient="another")
    assert ScanCache(dataclasses.replace(expects, window=(8, 8, 8)), labels).folder(unchanged) in folders


def test_a_changed_file_is_prepared_again(recipe, data, folder, tmp_path):
    shutil.copytree(data / FOLDER, tmp_path / FOLDER)
    before = batches(recipe, tmp_path, use_cache=True)
    files = tmp_path / FOLDER / "imagesTr"
    shutil.copy(files / "ball_0.nii.gz", files / "ball_1.nii.gz")
    after = batches(recipe, tmp_path, use_cache=True)
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(before, after))


def test_an_unfinished_folder_is_no_scan(recipe, data, folder):
    labelled, store = find_split(recipe, data).training[0], ScanCache(recipe.input, recipe.labels)
    store.folder(labelled).mkdir(parents=True)
    assert np.asarray(store.scan(labelled).classes).max() == 2


def test_another_process_may_be_faster(recipe, data, folder, monkeypatch):
    labelled, store = find_split(recipe, data).training[0], ScanCache(recipe.input, recipe.labels)
    read = scan_cache.read_scan

    def read_while_another_process_writes(*args):
        monkeypatch.setattr(scan_cache, "read_scan", read)
        ScanCache(recipe.input, recipe.labels).scan(labelled)
        return read(*args)

    monkeypatch.setattr(scan_cache, "read_scan", read_while_another_process_writes)
    assert store.scan(labelled).image.shape == (14, 12, 13)
    assert [path.name for path in (folder / "scans").iterdir()] == [store.folder(labelled).name]


def test_a_full_disk_is_one_clear_error(recipe, data, folder, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(scan_cache.shutil, "disk_usage", lambda path: Usage(10**6, 0, 12_000))
    with pytest.raises(WriteError, match=r"scans: .* that can be written, got 11.7 KiB free for about 4\d.* KiB"):
        batches(recipe, data, use_cache=True)
    monkeypatch.undo()

    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.environ["RECALIB_CACHE"], before = str(folder), os.environ["RECALIB_CACHE"]
    try:
        monkeypatch.setattr(scan_cache.np, "save", refuse)
        with pytest.raises(WriteError, match="got 'No space left on device'; free some space, empty the cache by"):
            ScanCache(recipe.input, recipe.labels).scan(find_split(recipe, data).training[0])
        assert list((folder / "scans").iterdir()) == []
    finally:
        os.environ["RECALIB_CACHE"] = before


def test_a_cache_that_is_cleared_meanwhile(recipe, data, folder):
    scan = ScanCache(recipe.input, recipe.labels).scan(find_split(recipe, data).training[0])
    cache.clear("scans")
    with pytest.raises(TrainingError, match=r"image.npy: expected a prepared scan in the cache, got No such .*--re"):
        scan.image[0]


def test_a_stored_array_is_copied_part_by_part(tmp_path):
    array = np.arange(24).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", array)
    stored = StoredArray(tmp_path / "a.npy")
    assert stored.shape == (2, 3, 4) and stored.dtype == array.dtype
    assert np.array_equal(stored[1, :, 2:], array[1, :, 2:]) and np.array_equal(np.asarray(stored), array)
    assert stored[1].base is None and stored[1].flags.writeable


def test_the_nth_voxel_is_the_one_of_the_flat_array():
    classes = np.random.default_rng(0).integers(0, 3, (5, 4, 3)).astype("uint8")
    classes[2] = 0
    counts = count_classes(classes, 4)
    assert counts.shape == (5, 4) and counts.sum() == classes.size
    places = np.flatnonzero(classes)
    found = [voxel_number(classes, counts[:, 1:].sum(axis=1), number, np.flatnonzero) for number in range(places.size)]
    assert found == [tuple(map(int, np.unravel_index(place, classes.shape))) for place in places]


@pytest.mark.parametrize("seed", range(5))
def test_a_voxel_is_drawn_as_from_a_list_of_all(seed):
    """Weights that were trained before scans were cached can still be trained again."""
    from recalib_keras.training.data.examples import _foreground_voxel

    classes = np.random.default_rng(seed).integers(0, 3, (5, 4, 3)).astype("uint8")
    ours, listed = (np.random.default_rng(seed) for _ in range(2))
    drawn = [_foreground_voxel(Scan("a", classes, classes), None, ours) for _ in range(20)]
    places = np.flatnonzero(classes)
    assert drawn == [tuple(np.unravel_index(listed.choice(places), classes.shape)) for _ in range(20)]
    assert ours.random() == listed.random()

import csv
import json
import operator
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras import zoo
from recalib_keras.core.errors import RecordError, WriteError
from recalib_keras.core.spreading.pool import Workers
from recalib_keras.inference import Batch, Segmenter, segment_all
from recalib_keras.inference.batch.manifest import read_manifest
from recalib_keras.volumes import VolumeError


@pytest.fixture(scope="module")
def segmenter(bright_preset):
    return Segmenter.from_preset(bright_preset)


@pytest.fixture
def scans(tmp_path):
    return [write_scan(tmp_path / "scans" / f"{name}.nii.gz", (2, 2, size)) for name, size in (("a", 2), ("b", 3))]


def rows(folder):
    return list(csv.DictReader((folder / "volumes.csv").read_text().splitlines()))


def test_labels_and_volumes_of_each_scan(segmenter, scans, tmp_path):
    report = segment_all(scans, tmp_path / "out", segmenter)
    assert [outcome.scan for outcome in report.segmented] == scans and report.found == report.failed == []
    for outcome, voxels in zip(report.outcomes, (8, 12)):
        assert outcome.labels == tmp_path / "out" / f"{outcome.scan.name.removesuffix('.nii.gz')}_labels.nii.gz"
        assert (np.asarray(nib.load(outcome.labels).dataobj) == 7).sum() == outcome.volumes[0].voxels == voxels
    assert [row["voxels"] for row in rows(tmp_path / "out")] == ["8", "12"]
    assert all(float(row["mean_entropy"]) >= 0 for row in rows(tmp_path / "out"))


def test_a_batch_resumes(segmenter, scans, tmp_path):
    segment_all(scans[:1], tmp_path / "out", segmenter)
    times = (tmp_path / "out" / "a_labels.nii.gz").stat().st_mtime_ns
    report = segment_all(scans, tmp_path / "out", segmenter)
    assert [[one.scan for one in some] for some in (report.found, report.segmented)] == [scans[:1], scans[1:]]
    assert report.found[0].volumes[0].voxels == 8
    assert (tmp_path / "out" / "a_labels.nii.gz").stat().st_mtime_ns == times
    assert len(segment_all(scans, tmp_path / "out", segmenter, overwrite=True).segmented) == 2


def test_a_failure_does_not_stop_the_others(segmenter, scans, tmp_path):
    seen = []
    report = segment_all([tmp_path / "missing.nii", *scans], tmp_path / "out", segmenter, on_scan=seen.append)
    (failure,) = report.failed
    assert failure.scan.name == "missing.nii" and isinstance(failure.error, VolumeError)
    assert len(report.segmented) == 2 and seen == report.outcomes


def test_progress_of_each_scan(segmenter, scans, tmp_path):
    lengths = []
    segment_all(scans, tmp_path, segmenter, progress=lambda windows: lengths.append(len(windows)) or windows)
    assert lengths == [4, 4]  # 10 × 9 × 8 voxels in windows of 8³


def test_labels_are_those_of_a_scan_alone(segmenter, scans, tmp_path):
    segment_all(scans, tmp_path, segmenter)
    expected = segmenter(scans[1]).image()
    found = nib.load(tmp_path / "b_labels.nii.gz")
    assert np.array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
    assert np.array_equal(found.affine, expected.affine)


def test_labels_of_another_way_are_not_taken(segmenter, bright_preset, scans, tmp_path):
    segment_all(scans[:1], tmp_path, segmenter)
    flipped = Segmenter.from_preset(bright_preset, flips=True)
    (failure,) = segment_all(scans[:1], tmp_path, flipped).failed
    assert isinstance(failure.error, RecordError) and "averaged with the mirror image" in str(failure.error)


def test_what_is_wrong_is_said_before_anything_is_done(scans, tmp_path):
    with pytest.raises(ValueError, match=r"expected a label map of its own for each scan, got .*a_labels\.nii\.gz for"):
        Batch([scans[0], scans[0]], tmp_path / "out")
    with pytest.raises(ValueError, match="expected a folder for 2 scans, got the file"):
        Batch(scans, tmp_path / "labels.nii.gz")
    with pytest.raises(ValueError, match="expected label maps that replace no scan"):
        Batch(scans[:1], scans[0])
    with pytest.raises(WriteError, match=r"scans/a\.nii\.gz/out: expected a folder to write to"):
        Batch(scans[:1], scans[0] / "out")
    (tmp_path / "volumes.csv").write_text("name;age\n")
    with pytest.raises(RecordError, match=r"volumes\.csv: expected a table of volumes with the columns scan"):
        Batch(scans, tmp_path)


def test_a_folder_of_scans_is_a_batch(segmenter, scans, tmp_path):
    for _ in range(2):  # its own labels are not scans of the second run
        report = segment_all([tmp_path / "scans"], tmp_path / "scans", segmenter)
        assert [outcome.scan for outcome in report.outcomes] == scans and report.failed == []
    with pytest.raises(ValueError, match=r"expected a part I/N with I from 1 to N, got 3/2"):
        Batch(scans, tmp_path, part=(3, 2))


def test_parts_make_a_whole(segmenter, scans, tmp_path):
    for number in (1, 2):
        (outcome,) = segment_all(scans, tmp_path / "out", segmenter, part=(number, 2)).outcomes
        assert outcome.scan == scans[number - 1]
    assert len(rows(tmp_path / "out")) == 2


def test_manifest_says_what_made_the_labels(segmenter, bright_preset, scans, tmp_path):
    segment_all(scans[:1], tmp_path / "out", segmenter)
    manifest = read_manifest(tmp_path / "out" / "a_labels.nii.gz")
    described = zoo.info(bright_preset).weight_sets["bright"]
    (network,) = manifest["networks"]
    assert (network["sha256"], network["engine"], network["precision"]) == (described.sha256, "keras", "float32")
    assert manifest["scan"] == "../scans/a.nii.gz" and manifest["made_by"] == segmenter.name
    assert manifest["structures"][0] | {"mean_entropy": 0} == {
        "name": "bright",
        "label": 7,
        "voxels": 8,
        "mm3": 16.0,
        "mean_entropy": 0,
        "color": [255, 200, 0],
        "mirror": None,
        "includes": [],
    }
    assert manifest["versions"]["keras"] and manifest["hardware"]["cores"] >= 1
    assert manifest["times"]["segment_seconds"] >= 0 and "T" in manifest["times"]["started"]


def test_outputs_carry_a_licence_that_forbids_commercial_use(bright_preset, scans, tmp_path):
    preset = shutil.copytree(bright_preset, tmp_path / "bright")
    described = json.loads((preset / "preset.json").read_text())
    licence = "CC BY-NC 3.0: scans from OASIS, labels by Neuromorphometrics, Inc."
    described["weight_sets"]["bright"]["data"]["licence"] = licence
    (preset / "preset.json").write_text(json.dumps(described))
    for _ in range(2):  # the second time the labels are there already
        report = segment_all(scans[:1], tmp_path / "out", Segmenter.from_preset(preset))
        assert report.outcomes[0].error is None
    manifest = read_manifest(tmp_path / "out" / "a_labels.nii.gz")
    assert manifest["made_by"].endswith(f"; {licence}") and rows(tmp_path / "out")[0]["made_by"] == manifest["made_by"]


def test_manifest_keeps_what_a_lost_table_knew(segmenter, scans, tmp_path):
    segment_all(scans, tmp_path / "out", segmenter)
    before = rows(tmp_path / "out")
    (tmp_path / "out" / "volumes.csv").unlink()
    assert len(segment_all(scans, tmp_path / "out", segmenter).found) == 2
    assert rows(tmp_path / "out") == before
    (tmp_path / "out" / "a_labels.json").write_text("[]")  # a damaged one is as none
    (tmp_path / "out" / "volumes.csv").unlink()
    assert segment_all(scans, tmp_path / "out", segmenter).failed == []


def test_a_moved_project_keeps_its_labels(segmenter, scans, tmp_path):
    segment_all(scans, tmp_path / "out", segmenter)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("scans", "out"):
        (tmp_path / name).rename(moved / name)
    report = segment_all([moved / "scans"], moved / "out", segmenter)
    assert len(report.found) == 2 and report.failed == []


def test_absolute_paths_of_an_earlier_version_are_read(segmenter, scans, tmp_path):
    segment_all(scans, tmp_path / "out", segmenter)
    table = tmp_path / "out" / "volumes.csv"
    table.write_text(table.read_text().replace("../scans", str(tmp_path / "scans")))
    assert len(segment_all(scans, tmp_path / "out", segmenter).found) == 2
    assert [row["scan"] for row in rows(tmp_path / "out")] == ["../scans/a.nii.gz", "../scans/b.nii.gz"]


def test_workers_give_the_same_labels_and_survive_bad_scans(segmenter, scans, tmp_path):
    segment_all(scans, tmp_path / "here", segmenter)
    broken = tmp_path / "scans" / "broken.nii.gz"
    broken.write_bytes(b"no scan")
    report = segment_all([broken, *scans], tmp_path / "out", segmenter, workers=Workers(2, threads=1))
    assert [outcome.scan for outcome in report.outcomes] == [broken, *scans]
    assert [outcome.scan for outcome in report.failed] == [broken] and isinstance(report.failed[0].error, VolumeError)
    key = operator.itemgetter("scan")
    assert sorted(rows(tmp_path / "out"), key=key) == sorted(rows(tmp_path / "here"), key=key)
    for name in ("a_labels.nii.gz", "b_labels.nii.gz"):
        ours, theirs = (np.asarray(nib.load(tmp_path / folder / name).dataobj) for folder in ("out", "here"))
        assert np.array_equal(ours, theirs)


def test_a_segmenter_of_a_model_cannot_be_sent_to_workers(segmenter):
    (predictor, _), *_ = segmenter.members
    with pytest.raises(TypeError, match="expected the segmenter of a preset, which other processes can open, got"):
        pickle.dumps(Segmenter(predictor.weight_set, predictor.engine))
    assert pickle.loads(pickle.dumps(segmenter)).name == segmenter.name


@pytest.mark.slow
def test_a_batch_that_is_killed_leaves_nothing_half_written(bright_preset, tmp_path):
    """Killed at some moment after the first label map; then it resumes."""
    scans = [write_scan(tmp_path / "scans" / f"{index}.nii.gz") for index in range(40)]
    code = f"""
from recalib_keras.inference import Segmenter, segment_all
segment_all({[str(scan) for scan in scans]}, {str(tmp_path / "out")!r}, Segmenter.from_preset({str(bright_preset)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    while process.poll() is None and not list((tmp_path / "out").glob("*_labels.nii.gz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = list((tmp_path / "out").glob("*_labels.nii.gz"))
    assert finished and all((np.asarray(nib.load(path).dataobj) == 7).sum() == 24 for path in finished)
    report = segment_all(scans, tmp_path / "out", Segmenter.from_preset(bright_preset))
    assert len(report.found) == len(finished) and len(report.segmented) == 40 - len(finished)
    assert sorted(row["scan"] for row in rows(tmp_path / "out")) == sorted(f"../scans/{scan.name}" for scan in scans)

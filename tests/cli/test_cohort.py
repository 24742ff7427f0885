"""Cohorts on real worker processes that die: every good scan is done once, every bad one is named, nothing is lost."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bright import write_scan

from recalib_keras.core.tables import read_csv
from recalib_keras.inference.batch.manifest import read_manifest

LONGEST = 240  # seconds that a step may take
# Of the slow cohort; another number by RECALIB_COHORT.
SCANS, EVERY = int(os.environ.get("RECALIB_COHORT", "1000")), 100
OPTIONS = ["--engine", "keras", "--precision", "float32", "--threads", "1", "--workers", "2"]


def no_scan(path):
    path.write_bytes(b"no scan at all")


def cut(path):
    content = write_scan(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path):
    path.touch()


def missing(path):
    path.symlink_to("nowhere.nii.gz")


def folder(path):
    path.mkdir()


def constant(path):
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), "float32"), np.eye(4)), path)


def not_finite(path):
    nib.save(nib.Nifti1Image(np.full((8, 8, 8), np.nan, "float32"), np.eye(4)), path)


def singular(path):
    image = nib.Nifti1Image(np.random.default_rng(0).uniform(size=(8, 8, 8)).astype("float32"), None)
    image.header.set_sform(np.zeros((4, 4)), code=1)
    nib.save(image, path)


def series(path):
    nib.save(nib.Nifti1Image(np.random.default_rng(0).uniform(size=(8, 8, 8, 2)).astype("float32"), np.eye(4)), path)


FAULTS = (no_scan, cut, empty, missing, folder, constant, not_finite, singular, series)


def segment(scans, out, preset, **options):
    command = [
        sys.executable,
        "-m",
        "recalib_keras.cli.main",
        "segment",
        *scans,
        "-o",
        out,
        "--preset",
        preset,
        *OPTIONS,
    ]
    return subprocess.Popen(
        [*map(str, command)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a background job of a shell ignores
        **options,
    )


def workers_of(process):
    children = [
        int(pid)
        for thread in Path(f"/proc/{process.pid}/task").iterdir()
        for pid in (thread / "children").read_text().split()
    ]
    return [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def memory_of(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_for(condition, what):
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
def test_ctrl_c_leaves_no_worker_and_nothing_is_lost(bright_preset, tmp_path):
    pytest.importorskip("distributed")
    scans = [write_scan(tmp_path / "scans" / f"{index:02}.nii.gz") for index in range(60)]
    process = segment([tmp_path / "scans"], tmp_path / "out", bright_preset, stderr=subprocess.PIPE)
    wait_for(lambda: list((tmp_path / "out").glob("*_labels.nii.gz")), "the first label map")
    workers = workers_of(process)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode == 130 and "Traceback" not in said, said
    assert len(workers) == 2 and not any(map(is_alive, workers))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*_labels.nii.gz")}
    assert all(read_manifest(path) for path in before)
    process = segment([tmp_path / "scans"], tmp_path / "out", bright_preset, stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(read_csv(tmp_path / "out" / "volumes.csv").rows) == len(scans)


@pytest.mark.slow
def test_a_large_cohort_with_every_kind_of_fault(bright_preset, tmp_path):
    pytest.importorskip("distributed")
    dice, bad, paths = random.Random(0), {}, []
    (tmp_path / "scans").mkdir()
    for index in range(SCANS):
        path = tmp_path / "scans" / f"{index:04}.nii.gz"
        if index % 20 == 7:
            fault = FAULTS[index // 20 % len(FAULTS)]
            fault(path)
            bad[path.name] = fault.__name__
        else:
            write_scan(path, (2, 3, 1 + index % 6))
        paths.append(path)
    out, killed, memory = tmp_path / "out", 0, []
    process = segment(paths, out, bright_preset, stderr=(tmp_path / "log").open("w"))
    while process.poll() is None:
        time.sleep(0.2)
        done = len(list(out.glob("*_labels.nii.gz"))) if out.exists() else 0
        if done > EVERY * (killed + 1):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                memory.append((memory_of(process.pid), *map(memory_of, workers_of(process))))
                os.kill(dice.choice(workers_of(process)), signal.SIGKILL)
                killed += 1
    said = (tmp_path / "log").read_text()
    assert process.returncode == 1, said
    good = {path.name.removesuffix(".nii.gz") for path in paths if path.name not in bad}
    maps = {path.name.removesuffix("_labels.nii.gz") for path in out.glob("*_labels.nii.gz")}
    # Constant scans may have labels, of nothing; all other bad ones are named and have none.
    must_fail = {name for name, fault in bad.items() if fault not in ("constant", "not_finite")}
    assert good <= maps and not {name.removesuffix(".nii.gz") for name in must_fail} & maps
    assert all(f"{name}: " in said for name in must_fail)
    rows = read_csv(out / "volumes.csv").rows
    assert sorted(row["labels"].removesuffix("_labels.nii.gz") for row in rows) == sorted(maps)
    for row in rows:
        index = int(row["labels"][:4])
        assert f"{index:04}.nii.gz" in bad or int(row["voxels"]) == 6 * (1 + index % 6)
    assert killed >= SCANS // EVERY - 2
    print(json.dumps(memory))
    # The driver must not grow: the last quarter needs hardly more than the second.
    driver = [one[0] for one in memory]
    assert driver[-1] < driver[len(driver) // 4] + 100e6

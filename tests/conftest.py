"""Fixtures shared by all tests: the folder of real scans, a separate cache, a tiny preset, and an oblique affine."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# Backends keep millions of objects, and to look through them again and again takes a twentieth of the time.
gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Gives the tests, their workers and child processes one cache of their own: the user's cache does not change."""
    before = os.environ.get("RECALIB_CACHE")
    session = tmp_path_factory.getbasetemp()
    os.environ["RECALIB_CACHE"] = str((session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "cache")
    yield
    if before is None:
        del os.environ["RECALIB_CACHE"]
    else:
        os.environ["RECALIB_CACHE"] = before


@pytest.fixture(scope="session")
def data_root():
    """The folder of real scans (`RECALIB_DATA`, else `../shared/data`); without it, the test is skipped."""
    root = Path(os.environ.get("RECALIB_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"needs the real scans: {root} does not exist (set RECALIB_DATA)")
    return root


@pytest.fixture(scope="session")
def bright_preset(tmp_path_factory):
    """The folder of a preset whose network calls every voxel above the scan's mean "bright", label 7."""
    from bright import write_preset  # here, because it loads Keras

    return write_preset(tmp_path_factory.mktemp("presets") / "bright")


@pytest.fixture
def oblique_affine():
    """An affine like those of scanners: unequal spacing (1, 1.5 and 2 mm), rotated by 0.3 rad about z."""
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, 1.5, 2.0])
    affine[:3, 3] = (40, -30, 12)
    return affine.astype(np.float32).astype(np.float64)

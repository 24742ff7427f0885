"""Fixtures shared by all tests: where the real scans are, and a cache of their own."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Keeps what engines compile away from the user's own cache, in child processes too."""
    before = os.environ.get("RECALIB_CACHE")
    os.environ["RECALIB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["RECALIB_CACHE"]
    else:
        os.environ["RECALIB_CACHE"] = before


@pytest.fixture(scope="session")
def data_root():
    """The folder of real scans (`RECALIB_DATA`, else `../shared/data`); the test is skipped where there is none."""
    root = Path(os.environ.get("RECALIB_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"needs the real scans: {root} does not exist (set RECALIB_DATA)")
    return root

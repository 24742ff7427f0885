"""Windows of the tiny preset's size, and a cache of each test's own."""

import numpy as np
import pytest


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """An empty cache folder for one test; its path."""
    monkeypatch.setenv("RECALIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def windows():
    """Three windows whose voxels are clearly above or below zero."""
    rng = np.random.default_rng(5)
    return (rng.choice([-1, 1], (3, 8, 8, 8, 1)) * rng.uniform(0.5, 2, (3, 8, 8, 8, 1))).astype("float32")

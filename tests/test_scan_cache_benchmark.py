"""The memory of a training does not grow with its scans: the benchmark's own measurement, in processes of their own."""

import pytest

from benchmarks import scan_cache


@pytest.mark.slow
@pytest.mark.skipif(not scan_cache.STATUS.exists(), reason="needs /proc")
def test_memory_is_flat_in_the_number_of_scans(tmp_path):
    scan_cache.write_scans(tmp_path, 300)
    few, many, in_memory = (
        scan_cache._apart(str(tmp_path), scans, use_cache)["process holds MB"]
        for scans, use_cache in ((20, True), (300, True), (300, False))
    )
    assert many < few + 30 and in_memory > many + 100  # 300 scans take 166 MB


def test_scans_are_read_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("RECALIB_CACHE", "")
    monkeypatch.setattr(scan_cache, "STEPS", 2)
    scan_cache.write_scans(tmp_path, 3)
    row = scan_cache.measure(str(tmp_path), 3, use_cache=True)
    assert tuple(row) == scan_cache.COLUMNS and row["scans"] == 3 and row["prepared MB"] == round(3 * 48**3 * 5 / 1e6)

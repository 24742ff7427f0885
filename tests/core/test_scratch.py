import re
from pathlib import Path

import numpy as np
import pytest

from recalib_keras.core import scratch
from recalib_keras.core.errors import WriteError
from recalib_keras.core.scratch import extremes, lies_in_file, pieces, release, scan_array, scratch_array


@pytest.fixture
def in_file(tmp_path):
    """An array in a file, of 8 slices of 4 MB, the last axis slowest."""
    array = scratch_array((1024, 1024, 8), np.dtype("int32"), tmp_path, large=0, order="F")
    array[:] = np.arange(8)
    return array


def kilobytes_in_memory(array):
    """Returns how much of an array's file is in the memory of this process, from Linux."""
    maps = Path("/proc/self/smaps").read_text()
    return int(re.search(rf"^0*{array.ctypes.data:x}-.*\n(?:.*\n)*?Rss: +(\d+) kB", maps, re.MULTILINE)[1])


def test_small_arrays_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "LARGE", 100)
    small, large = (scratch_array((size,), np.dtype("uint8"), tmp_path) for size in (99, 100))
    assert not lies_in_file(small) and lies_in_file(large) and list(tmp_path.iterdir()) == []
    assert not small.any() and not large.any()
    release(small)


def test_views_lie_in_the_file_too(in_file):
    view = np.asarray(in_file)[::-1, 3:].transpose(2, 0, 1)
    assert lies_in_file(view) and not lies_in_file(view.copy()) and not lies_in_file(view + 1)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what is in memory")
def test_released_pages_are_read_again(in_file):
    assert kilobytes_in_memory(in_file) == in_file.nbytes // 1024
    release(in_file[::2, 1])
    assert kilobytes_in_memory(in_file) == 0
    assert in_file[5, 5].tolist() == list(range(8))


def test_pieces_follow_the_order_of_the_file(in_file):
    """Slices of 4 MB, four of them at once, whichever axis they are of a view."""
    ends = [(index[2].start, index[2].stop) for index in pieces(in_file)]
    assert ends == [(0, 4), (4, 8)]
    view = in_file.transpose(2, 0, 1)[::-1]
    assert [len(index) for index in pieces(view)] == [1, 1]
    assert np.concatenate([view[index] for index in pieces(view)])[:, 0, 0].tolist() == list(range(7, -1, -1))
    # Every second slice: each index of the view spans two slices of the file.
    assert [index[2].stop for index in pieces(in_file[..., ::2])] == [2, 4]


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_extremes(dtype, monkeypatch):
    monkeypatch.setattr(scratch, "AT_ONCE", 64)
    array = np.random.default_rng(0).normal(0, 100, (7, 9, 11)).astype(dtype)
    for one in (array, array.T, array[::-2], np.asfortranarray(array), array[0, 0], array[0, 0, 0]):
        assert extremes(one) == (one.min(), one.max())
    if dtype == "float32":
        array[3, 4, 5] = np.nan
        assert np.isnan(extremes(array)).all()


def test_a_scan_stays_in_memory_where_there_is_no_room_for_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "LARGE_SCAN", 1)
    assert lies_in_file(scan_array((4, 4), np.dtype("uint8"), tmp_path))
    nowhere = tmp_path / "missing"
    assert not lies_in_file(scan_array((4, 4), np.dtype("uint8"), nowhere))
    with pytest.raises(WriteError, match=re.escape(f"{nowhere}: expected room for 16 bytes of maps")):
        scratch_array((4, 4), np.dtype("uint8"), nowhere, large=0)

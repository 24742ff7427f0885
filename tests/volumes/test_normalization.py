import numpy as np
import pytest

from recalib_keras.core import memory
from recalib_keras.volumes import METHODS, VolumeError, normalization, normalize, normalizer


def test_zscore_has_mean_0_and_deviation_1(rng):
    result = normalize(rng.normal(500, 30, (20, 20, 20)), "zscore")
    assert result.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert result.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)


def test_zscore_keeps_digits_on_a_large_offset(rng):
    noise = rng.integers(0, 2, 10**6)
    result = normalize((noise + 10_000_000).astype(np.float32), "zscore")  # float32 sums would be off by whole units
    np.testing.assert_allclose(np.unique(result), [-1, 1], atol=0.01)


def test_percentile_is_robust_to_one_bright_voxel(rng):
    array = rng.uniform(100, 200, 10_000)
    array[0] = 1e9
    result = normalize(array, "percentile")
    assert result.min() == 0 and result.max() == 1
    assert np.median(result) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("air", [0, 3])  # none, and the noise of a scanner
def test_percentile_does_not_depend_on_how_much_air_a_scan_shows(rng, air):
    body = rng.normal(100, 15, (20, 20, 20))
    scan = np.abs(rng.normal(0, air, (60, 60, 60)))
    scan[20:40, 20:40, 20:40] = body
    bright = [np.mean(normalize(part, "percentile")[part > 110]) for part in (scan, scan[15:45, 15:45, 15:45])]
    assert bright[0] == pytest.approx(bright[1], abs=0.01)
    assert np.mean(normalize(scan, "percentile")[20:40, 20:40, 20:40] == 1) == pytest.approx(0.01, abs=0.005)


def test_percentiles_of_a_large_scan_are_those_of_every_few_slices(rng, monkeypatch):
    scan = rng.gamma(2, 30, (40, 50, 60))
    exact = normalize(scan, "percentile")
    monkeypatch.setattr(normalization, "MOST_SORTED", scan.size // 8)
    np.testing.assert_allclose(normalize(scan, "percentile"), exact, atol=0.02)


def test_percentile_takes_the_full_range_of_a_nearly_empty_image():
    array = np.zeros(1000)
    array[:3] = [10, 5, 10]
    np.testing.assert_allclose(normalize(array, "percentile")[:4], [1, 0.5, 1, 0])


@pytest.mark.parametrize("method", ["zscore", "percentile"])
def test_is_independent_of_the_scanners_scale(method, rng):
    array = rng.gamma(2, 100, 5000)
    np.testing.assert_allclose(normalize(array * 37 + 4, method), normalize(array, method), atol=1e-5)


def test_minmax_takes_the_full_range():
    """As the authors of QuickNAT scale scans: no voxel is clipped."""
    assert normalize(np.array([50, 0, 200, 100], np.uint8), "minmax").tolist() == [0.25, 0, 1, 0.5]
    part = np.array([-100.0, 300.0])  # beyond the range of the scan that the scale comes from
    assert normalizer(np.array([0.0, 200.0]), "minmax")(part).tolist() == [-0.5, 1.5]


def test_ct_window():
    result = normalize(np.array([-2000, -1000, -500, 0, 1000, 3000], np.int16), "ct")
    assert result.tolist() == [-1, -1, -0.5, 0, 1, 1]


def test_none_changes_the_dtype_alone():
    assert normalize(np.array([1, 2, 3], np.uint8), "none").tolist() == [1, 2, 3]


@pytest.mark.parametrize("method", ["zscore", "percentile", "minmax"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7, 3e38])
def test_a_constant_becomes_zero(method, value):
    assert np.array_equal(normalize(np.full((3, 3, 3), value, np.float32), method), np.zeros((3, 3, 3)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_gives_float32_and_leaves_the_input_alone(method, dtype):
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    before = array.copy()
    result = normalize(array, method)
    assert result.dtype == np.float32 and result.shape == array.shape
    result += 1
    assert np.array_equal(array, before)


def test_unknown_method_names_the_nearest():
    with pytest.raises(ValueError, match=r"got 'z-score'; did you mean 'zscore'?"):
        normalize(np.zeros(3), "z-score")


def test_unknown_method_far_from_all_lists_them():
    with pytest.raises(ValueError, match=r"out of zscore, percentile, minmax, ct, none, got '\?\?\?'$"):
        normalize(np.zeros(3), "???")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_parts_are_normalised_as_the_whole(method, dtype, rng):
    array = rng.normal(0, 500, (9, 8, 7)).astype(dtype)
    part = (slice(2, 5), slice(None), slice(3, 4))
    assert np.array_equal(normalizer(array, method)(array[part]), normalize(array, method)[part])


@pytest.mark.parametrize("shape", [(1000,), (10, 10, 10), (1, 1000), (1000, 1)])
def test_deviation_does_not_depend_on_the_pieces_it_is_taken_in(shape, rng, monkeypatch):
    array = rng.normal(1000, 3, shape).astype(np.float32)
    whole = normalize(array, "zscore")
    monkeypatch.setattr(normalization, "VALUES_AT_ONCE", 7)
    np.testing.assert_allclose(normalize(array, "zscore"), whole, atol=1e-6)


def test_unknown_method_of_a_normalizer():
    with pytest.raises(ValueError, match="did you mean 'zscore'"):
        normalizer(np.zeros(3), "z-score")


@pytest.mark.parametrize("free", [0, 2**40])
def test_too_little_memory_for_the_statistics_is_one_line(free, monkeypatch):
    def exhausted(_):
        raise MemoryError("Unable to allocate")

    monkeypatch.setattr(memory, "free_memory", lambda: free)
    monkeypatch.setitem(METHODS, "zscore", exhausted)
    expected = (
        "^a.nii: expected room for the statistics of 1,000 voxels, got too little memory .*; crop the scan, or use"
    )
    with pytest.raises(VolumeError, match=expected):
        normalizer(np.arange(1000.0), "zscore", name="a.nii")

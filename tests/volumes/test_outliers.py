import numpy as np
import pytest

from recalib_keras.volumes import Grid, ScanWarning, Volume, normalize, normalizer
from recalib_keras.volumes.outliers import usual_range

METHODS = ("zscore", "percentile")


@pytest.fixture
def head(rng):
    """A head of 40 mm in noise that is never below 0, and which voxels it fills."""
    shape = (48, 48, 48)
    distance = np.linalg.norm(np.indices(shape) - 23.5, axis=0)
    is_head = distance < 20
    scan = np.abs(rng.normal(0, 5, shape))
    scan[is_head] = rng.normal(400, 120, is_head.sum()).clip(20)
    return scan.astype(np.float32), is_head


def usual(method, scan):
    """Return a scan normalised by the plain method."""
    from recalib_keras.volumes.normalization import METHODS

    return METHODS[method](scan)(scan)


@pytest.mark.parametrize("method", METHODS)
def test_an_ordinary_scan_is_normalised_as_ever_to_the_bit(method, head):
    scan, is_head = head
    stripped, vessel, metal = scan.copy(), scan.copy(), scan.copy()
    stripped[~is_head] = 0
    vessel[20:23, 20:23, :30] = 4000
    metal[24, 24, 24] = 15000
    for image in (
        scan,
        stripped,
        -scan,
        scan + 10000,
        (scan - 200) / 100,
        vessel,
        metal,
        scan > 50,
        stripped.astype("i2"),
    ):
        image = np.asarray(image, np.float32 if image.dtype == bool else image.dtype)
        assert usual_range(image, method) is None
        assert np.array_equal(normalize(image, method), usual(method, image))


@pytest.mark.parametrize("method", METHODS)
def test_a_ct_whose_air_is_minus_1024_is_ordinary(method, head, rng):
    _, is_head = head
    scan = np.full(is_head.shape, -1024.0, np.float32)
    scan[is_head] = rng.normal(40, 30, is_head.sum())
    skin = is_head & ~np.roll(is_head, 1, 0) | is_head & ~np.roll(is_head, -1, 1)
    scan[skin] = rng.uniform(-1023, 0, skin.sum())
    scan[22:26, 22:26, 10:40] = rng.normal(-1000, 5, (4, 4, 30))  # an airway
    assert usual_range(scan, method) is None


def test_real_scans_are_ordinary(data_root):
    from recalib_keras.volumes import read

    folders = [data_root / "hippocampus" / "imagesTr", data_root / "head_and_neck" / "imagesTr"]
    for path in [path for folder in folders for path in sorted(folder.glob("*.nii.gz"))[:3]]:
        scan = read(path, keep_integers=True)
        for method in METHODS:
            assert usual_range(scan.array, method) is None
            assert usual_range(scan.conform("RAS", 2.0).array, method) is None


@pytest.mark.parametrize("value", [1e9, -1e9, 3e38])
@pytest.mark.parametrize("count", [1, 5])
def test_wild_voxels_do_not_decide_the_zscore(value, count, head):
    scan, _ = head
    wild = scan.copy()
    wild.ravel()[1000 : 1000 + count] = value
    with pytest.warns(
        ScanWarning, match=r"a.nii: single voxels, such as one of -?[13]e\+\d+, are far outside .* clipped"
    ) as caught:
        rescale = normalizer(wild, "zscore", name="a.nii")
    assert len(caught) == 1 and caught[0].filename == __file__
    found, expected = rescale(wild), normalize(scan, "zscore")
    same = wild == scan
    np.testing.assert_allclose(found[same], expected[same], atol=0.01)
    assert expected.min() - 0.01 <= found.min() and found.max() <= expected.max() + 0.01


def test_wild_voxels_do_not_decide_the_percentiles_either(head):
    scan, _ = head
    wild = scan.copy()
    wild[5, 5, 5] = 1e9
    found, same = normalize(wild, "percentile"), wild == scan
    np.testing.assert_allclose(found[same], normalize(scan, "percentile")[same], atol=1e-3)
    assert found[5, 5, 5] == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("border", [-32768, -1024, -1e6, 65535])
def test_a_far_off_background_counts_as_the_nearest_value_of_the_scan(method, border, head):
    scan, is_head = head
    scan = scan.astype(np.int32)
    scan[:4], scan[-4:], scan[:, :4], scan[:, -4:] = 0, 0, 0, 0
    padded = scan.copy()
    for face in (padded[:4], padded[-4:], padded[:, :4], padded[:, -4:]):
        face[:] = border
    with pytest.warns(
        ScanWarning, match=rf"a constant border of {border:.6g} is far from the other values".replace("+", r"\+")
    ):
        found = normalize(padded, method)
    assert found.std() > 0.1
    if border < 0:
        np.testing.assert_allclose(found[is_head], normalize(scan, method)[is_head], atol=0.05)
    else:
        assert np.corrcoef(found[is_head], scan[is_head])[0, 1] > 0.98


@pytest.mark.parametrize("method", METHODS)
def test_a_background_of_nothing_but_minus_32768(method, head):
    scan, is_head = head
    scan = np.where(is_head, scan, -32768).astype(np.float32)
    with pytest.warns(ScanWarning, match="a constant border of -32768"):
        found = normalize(scan, method)
    values = found[is_head]
    assert values.std() > 0.1 * (found.max() - found.min())  # the head keeps its contrast
    assert found[~is_head].max() <= np.percentile(values, 2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("border", [-32768, -1024])
def test_a_resampled_scan_is_judged_by_the_original(method, border, head):
    scan, is_head = head
    grid = Grid(scan.shape, np.eye(4))
    padded = Volume(np.where(is_head, scan, border).astype(np.float32), grid)
    plain = Volume(np.where(is_head, scan, 0).astype(np.float32), grid)
    target = grid.resampled(1.7)
    inside = Volume(is_head.astype(np.float32), grid).on(target).array > 0.999
    with pytest.warns(ScanWarning, match="a constant border"):
        found = normalizer(padded.on(target).array, method, padded.array)(padded.on(target).array)
    expected = normalize(plain.on(target).array, method)
    spread = expected[inside].std()
    assert abs(found[inside].std() / spread - 1) < 0.35
    assert np.corrcoef(found[inside], expected[inside])[0, 1] > 0.99


def test_wild_voxels_and_a_border_together(head):
    scan, is_head = head
    scan = np.where(is_head, scan, -32768).astype(np.float32)
    scan[24, 24, 24] = 1e9
    with pytest.warns(ScanWarning) as caught:
        found = normalize(scan, "zscore")
    assert ["single voxels" in str(warning.message) for warning in caught] == [True, False]
    assert found[is_head].std() > 0.3


@pytest.mark.parametrize("method", ["ct", "none"])
def test_methods_of_a_fixed_scale_take_all_values(method, head):
    scan, is_head = head
    scan = np.where(is_head, scan, -32768).astype(np.float32)
    assert np.array_equal(normalize(scan, method), usual(method, scan))


@pytest.mark.parametrize("method", METHODS)
def test_sparse_and_flat_arrays_are_ordinary(method, rng):
    sparse, two = np.zeros((30, 30, 30)), np.full((20, 20, 20), -1000.0)
    sparse[10, 10, :5], two[5:15, 5:15, 5:15] = 1e6, 1000
    for array in (sparse, two, np.full((9, 9, 9), -32768.0), np.arange(1000.0), np.array([-30000.0, 1.0])):
        assert usual_range(array, method) is None


def test_a_bright_structure_is_not_wild(head):
    scan, _ = head
    scan[10:18, 10:18, 10:18] = 1e6  # 512 voxels: no accident
    assert usual_range(scan, "zscore") is None

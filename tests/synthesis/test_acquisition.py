import keras
import numpy as np
import pytest

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.acquisition import Acquisition, acquire, draw_acquisition, zero_outside
from recalib_keras.synthesis.geometry import Frame
from recalib_keras.transforms.intensities import BIAS_NODES
from recalib_keras.transforms.separable_operators import b_spline

FRAME = Frame((16, 18, 20), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0), 0)


def tensors(structure):
    return keras.tree.map_structure(lambda x: None if x is None else keras.ops.convert_to_tensor(x), structure)


def scanned(image, scanner, noise=None):
    batched = keras.tree.map_structure(lambda x: None if x is None else np.asarray(x)[None], scanner)
    image, scanner, noise = tensors([image[None], batched, None if noise is None else noise[None]])
    return keras.ops.convert_to_numpy(acquire(image, scanner, noise))[0]


def white(rng):
    return rng.normal(size=FRAME.window).astype("float32")


def test_a_perfect_scanner_changes_nothing(rng):
    scanner = draw_acquisition(Synthesis(), FRAME, rng)
    assert scanner == Acquisition()
    image = np.abs(white(rng))
    assert np.array_equal(scanned(image, scanner), image)


def test_a_bias_field_is_smooth_and_neither_brightens_nor_darkens(rng):
    deviations = []
    for _ in range(200):
        scanner = draw_acquisition(Synthesis(bias_field=0.5), FRAME, rng)
        field = np.log(scanned(np.ones(FRAME.window, "float32"), scanner))
        assert abs(field.mean()) < 0.03 and np.abs(np.diff(field, axis=0)).max() < 0.5
        deviations.append(field.std())
    assert np.mean(deviations) == pytest.approx(0.25, rel=0.2)  # even from 0 to 0.5


def test_a_bias_field_is_a_spline_of_its_nodes(rng):
    nodes = rng.normal(0, 0.3, (BIAS_NODES,) * 3).astype("float32")
    lines = [b_spline(BIAS_NODES, size) for size in FRAME.window]
    expected = 3 * np.exp(np.einsum("abc,ax,by,cz->xyz", nodes, *lines))
    np.testing.assert_allclose(
        scanned(np.full(FRAME.window, 3, "float32"), Acquisition(bias=nodes)), expected, rtol=1e-4
    )


def test_noise_has_its_deviation_and_is_that_of_magnitudes(rng):
    noise = white(rng)
    image = np.full(FRAME.window, 100, "float32")
    np.testing.assert_allclose(scanned(image, Acquisition(noise=np.float32(4)), noise), 100 + 4 * noise, rtol=1e-5)
    np.testing.assert_allclose(
        scanned(image * 0, Acquisition(noise=np.float32(4)), noise), 4 * np.abs(noise), rtol=1e-5
    )
    drawn = np.array([draw_acquisition(Synthesis(noise=12.0), FRAME, rng).noise for _ in range(500)])
    assert drawn.max() <= 12 and drawn.mean() == pytest.approx(6, abs=0.6)


def test_blur_is_gaussian_along_each_axis_in_millimetres(rng):
    widths = []
    for _ in range(100):
        scanner = draw_acquisition(Synthesis(blur=3.0), FRAME, rng)
        assert scanner.to_voxels is None
        impulse = np.zeros(FRAME.window, "float32")
        impulse[8, 9, 10] = 1
        blurred = scanned(impulse, scanner)
        assert blurred.sum() == pytest.approx(1, abs=1e-4)
        line = blurred.sum(axis=(1, 2))
        widths.append(2 * np.sqrt((line * (np.arange(16) - 8) ** 2).sum()))
    assert max(widths) < 3.05 and np.mean(widths) == pytest.approx(1.5, abs=0.25)


def test_thick_slices_make_neighbours_alike_along_one_axis(rng):
    found = set()
    for _ in range(20):
        scanner = draw_acquisition(Synthesis(thick_slices=1.0, slice_thickness=12.0), FRAME, rng)
        axis = next(axis for axis, line in enumerate(scanner.to_voxels) if not np.array_equal(line, np.eye(len(line))))
        found.add(axis)
        image = scanned(rng.normal(size=FRAME.window).astype("float32"), scanner)
        for other in range(3):
            ahead, behind = (np.take(image, range(*ends), other) for ends in ((1, 16), (0, 15)))
            correlation = np.corrcoef(ahead.ravel(), behind.ravel())[0, 1]
            # Slices of 2 voxels and more, joined by lines: neighbours share most; across, voxels stay independent.
            thickness = np.count_nonzero(scanner.to_slices[axis][:, 1] > 1e-6)
            if other != axis:
                assert abs(correlation) < 0.12
            elif thickness >= 3:
                assert correlation > 0.5
    assert found == {0, 1, 2}


def test_noise_of_thick_slices_is_as_thick(rng):
    to_slices = [np.eye(size, dtype="float32") for size in FRAME.window]
    scanner = draw_acquisition(Synthesis(thick_slices=1.0, slice_thickness=40.0), FRAME, np.random.default_rng(8))
    axis = next(axis for axis, line in enumerate(scanner.to_voxels) if not np.array_equal(line, np.eye(len(line))))
    bright = np.full(FRAME.window, 500, "float32")
    noisy = scanned(bright, scanner._replace(to_slices=tuple(to_slices), noise=np.float32(5)), white(rng))
    ahead, behind = (np.take(noisy, range(*ends), axis) for ends in ((1, 16), (0, 15)))
    assert np.corrcoef(ahead.ravel(), behind.ravel())[0, 1] > 0.5


def test_how_often_slices_are_thick(rng):
    settings = Synthesis(thick_slices=0.4, slice_thickness=8.0)
    drawn = [draw_acquisition(settings, FRAME, rng) for _ in range(500)]
    thick = [any(not np.array_equal(line, np.eye(len(line))) for line in scanner.to_voxels) for scanner in drawn]
    assert np.mean(thick) == pytest.approx(0.4, abs=0.07)
    # Slices are not thinner than voxels: that would be another resolution than the network's.
    same = Synthesis(thick_slices=1.0, slice_thickness=1.0)
    for line in draw_acquisition(same, FRAME, rng).to_voxels:
        np.testing.assert_allclose(line, np.eye(len(line)), atol=1e-6)


def test_gamma_leaves_black_and_white():
    image = np.array([[[0, 255, 63.75]]], "float32")
    np.testing.assert_allclose(scanned(image, Acquisition(gammas=np.float32(0.5))).ravel(), [0, 255, 127.5], rtol=1e-5)


def test_gammas_have_their_deviation(rng):
    gammas = [draw_acquisition(Synthesis(gamma=0.2), FRAME, rng).gammas for _ in range(1000)]
    assert np.log(gammas).std() == pytest.approx(0.2, rel=0.08)


def test_a_scan_that_ends_is_continued_or_followed_by_zeros(rng):
    image = np.abs(white(rng)) + 1
    kinds = set()
    for _ in range(12):
        scanner = draw_acquisition(Synthesis(crop=1.0, crop_depth=10.0), FRAME, rng)
        places = [np.flatnonzero(line) for line in scanner.in_view]
        assert all(0 <= where[0] <= 5 and len(line) - where[-1] <= 6 for where, line in zip(places, scanner.in_view))
        box = np.ix_(*(np.arange(where[0], where[-1] + 1) for where in places))
        cropped = scanned(image, scanner)
        np.testing.assert_allclose(cropped[box], image[box], rtol=1e-6)
        lit = keras.ops.convert_to_numpy(
            zero_outside(*tensors([cropped[None], [line[None] for line in scanner.has_signal]]))
        )[0]
        is_continued = all(line.all() for line in scanner.has_signal)
        kinds.add(is_continued)
        ends = [(where[0], size - 1 - where[-1]) for where, size in zip(places, FRAME.window)]
        expected = np.pad(image[box], ends, mode="edge") if is_continued else np.pad(image[box], ends)
        np.testing.assert_allclose(lit, expected, rtol=1e-5)
    assert kinds == {True, False}


def test_how_often_a_side_is_cut_and_that_something_is_left(rng):
    settings = Synthesis(crop=0.3, crop_depth=1000.0)
    cut = []
    for _ in range(300):
        for line in draw_acquisition(settings, FRAME, rng).in_view:
            assert line.any()
            cut += [line[0] == 0, line[-1] == 0]
    assert np.mean(cut) == pytest.approx(0.3, abs=0.05)


def test_zeros_outside_keep_the_type():
    classes = np.ones((1, 3, 2), "uint8")
    ends = [np.array([[0, 1, 1]], "float32"), np.array([[1, 0]], "float32")]
    kept = keras.ops.convert_to_numpy(zero_outside(*tensors([classes, ends])))
    assert kept.dtype == "uint8" and kept[0].tolist() == [[0, 0], [1, 0], [1, 0]]

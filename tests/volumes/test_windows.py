import itertools

import numpy as np
import pytest

from recalib_keras.volumes.windows import Span, WindowGrid, cut


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(20, 8, 0.5), (8, 8, 0.5), (3, 8, 0.5), (30, 7, 0.9), (6, 1, 0.5)]
)
def test_weights_sum_to_1_at_every_voxel(size, window, overlap):
    grid = WindowGrid((size, 5, 5), (window, 5, 5), overlap)
    total = np.zeros(size)
    for place in grid.places():
        span, _, _ = grid.spans(place, ((0, size), (0, 5), (0, 5)))
        assert (span.weights >= 0).all() and span.weights.dtype == np.float32
        total[span.start : span.stop] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_weights_are_gaussian_by_hand():
    # Two windows of 2 voxels on 3 share the middle one, which lies at +½ in the first and at -½ in the second.
    grid = WindowGrid((3, 1, 1), (2, 1, 1))
    first, second = (grid.spans((start, 0, 0), ((0, 3), (0, 1), (0, 1)))[0].weights for start in (0, 1))
    np.testing.assert_allclose(first, [1, 0.5])
    np.testing.assert_allclose(second, [0.5, 1])
    # Three windows of 4 on 6, sigma ½: voxel 2 lies at +½, -½ and -1½ of them, at exp(-½), exp(-½) and exp(-4½).
    grid = WindowGrid((6, 1, 1), (4, 1, 1), overlap=0.75)
    assert grid.starts[0] == [0, 1, 2]
    weights = [grid.spans((start, 0, 0), ((2, 3), (0, 1), (0, 1)))[0].weights[0] for start in (0, 1, 2)]
    gaussians = np.exp([-0.5, -0.5, -4.5])
    np.testing.assert_allclose(weights, gaussians / gaussians.sum(), rtol=1e-6)


def test_a_small_volume_lies_in_the_middle_of_its_window():
    grid = WindowGrid((3, 8, 4), (8, 8, 4))
    assert grid.places() == [(-2, 0, 0)] and grid.reach == (3, 8, 4) and grid.voxels == 256
    span = grid.spans((-2, 0, 0), ((0, 3), (0, 8), (0, 4)))[0]
    assert (span.start, span.stop, span.offset) == (0, 3, 2)


def test_part_of_a_span():
    part = Span(4, 9, 1, np.arange(5)).within(6, 20)
    assert (part.start, part.stop, part.offset, part.weights.tolist()) == (6, 9, 3, [2, 3, 4])


def test_windows_that_reach_into_a_block():
    grid = WindowGrid((20, 8, 8), (8, 8, 8), overlap=0.5)
    assert grid.starts[0] == [0, 4, 8, 12]
    for low, high in itertools.combinations(range(21), 2):
        expected = [start for start in (0, 4, 8, 12) if start < high and start + 8 > low]
        assert grid.starts_within(0, low, high) == expected
        assert grid.count_within(0, low, high) == len(expected)
    assert grid.places(((8, 9), (0, 8), (0, 8))) == [(4, 0, 0), (8, 0, 0)]


def test_central_places():
    grid = WindowGrid((20, 12, 8), (8, 8, 8), overlap=0.5)  # starts 0, 4, 8, 12 and 0, 4
    assert grid.central_places(4) == [(4, 0, 0), (4, 4, 0), (8, 0, 0), (8, 4, 0)]
    assert len(grid.central_places(100)) == 8


def test_cut_continues_the_edge_of_the_image():
    image = np.arange(1, 5, dtype="float32")[:, None, None]
    assert cut(image, (-2, 0, -1), (8, 1, 3))[:, 0, 1].tolist() == [1, 1, 1, 2, 3, 4, 4, 4]
    assert np.array_equal(cut(image, (1, 0, 0), (2, 1, 1)), image[1:3])

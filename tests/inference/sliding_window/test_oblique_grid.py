import itertools

import numpy as np
import pytest
from scipy import ndimage

from recalib_keras.inference import SlidingWindow, View
from recalib_keras.inference.foreground import predict_foreground
from recalib_keras.inference.sliding_window.oblique_grid import ObliqueGrid
from recalib_keras.inference.sliding_window.output_grid import output_grid
from recalib_keras.inference.sliding_window.voxel_maps import VoxelMaps
from recalib_keras.volumes import Grid

CLASSES = 3
IMAGE = (17, 14, 19)


def turned(degrees, axis, spacing=(1.0, 1.0, 1.0), shape=(15, 12, 13), around=(8.0, 6.5, 9.0)):
    """Returns a grid rotated about an axis, its centre at a place in mm."""
    angle, matrix = np.deg2rad(degrees), np.eye(3)
    one, two = (other for other in range(3) if other != axis)
    matrix[one, one] = matrix[two, two] = np.cos(angle)
    matrix[one, two], matrix[two, one] = -np.sin(angle), np.sin(angle)
    affine = np.eye(4)
    affine[:3, :3] = matrix * spacing
    affine[:3, 3] = around - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


GRIDS = {
    "turned": turned(30, 0),
    "turned by 45°": turned(45, 1),
    "turned back": turned(-20, 2),
    "turned far": turned(140, 2),
    "fine": turned(30, 1, (0.4, 0.5, 0.6), (20, 21, 22)),
    "thick": turned(25, 2, (0.7, 0.8, 3.0), (16, 15, 4)),
    "a slice": turned(10, 0, (1.0, 1.0, 4.0), (14, 13, 1)),
}
AVERAGE = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(CLASSES, *IMAGE)), (0, 2, 2, 2))
PROBABILITIES = np.exp(60 * AVERAGE) / np.exp(60 * AVERAGE).sum(axis=0)


def scores(grid):
    """Returns the probabilities `(CLASSES, *shape)` at the voxels of a grid, by SciPy, and which lie in the image."""
    places = (
        np.einsum("ij,jxyz->ixyz", grid.affine[:3, :3], np.indices(grid.shape)) + grid.affine[:3, 3, None, None, None]
    )
    inside = np.all([(place >= -0.5) & (place < size - 0.5) for place, size in zip(places, IMAGE)], axis=0)
    return np.stack([ndimage.map_coordinates(part, places, order=1, mode="nearest") for part in PROBABILITIES]), inside


def predict(windows):
    """Returns the probabilities of the voxels whose flat index is the image's value."""
    return PROBABILITIES.reshape(CLASSES, -1).T[np.rint(windows[..., 0]).astype(int)].astype("float32")


def sliding_window(grid, **settings):
    return SlidingWindow([View(predict, (8, 8, 8))], CLASSES, output_grid=grid, **settings)


INDICES = np.arange(np.prod(IMAGE), dtype="float32").reshape(IMAGE)


def assert_most_probable(labels, wanted):
    """Asserts that labels are the most probable classes, but for ties."""
    values, inside = scores(wanted)
    chosen = np.take_along_axis(values, labels[None].astype(int), 0)[0]
    assert (values.max(axis=0) - chosen)[inside].max() < 1e-5
    assert (labels[~inside] == 0).all()


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("memory", [None, 20_000])
def test_labels_are_those_of_interpolated_probabilities(kind, memory):
    wanted = GRIDS[kind]
    grid = output_grid(Grid(IMAGE, np.eye(4)), wanted)
    assert isinstance(grid, ObliqueGrid) and grid.shape == wanted.shape
    assert_most_probable(sliding_window(grid, memory=memory).predict(INDICES), wanted)


@pytest.mark.parametrize("values", [7, 200])
def test_small_parts_make_the_same_labels(values, monkeypatch):
    grid = output_grid(Grid(IMAGE, np.eye(4)), GRIDS["fine"])
    whole = sliding_window(grid).predict(INDICES)
    monkeypatch.setattr("recalib_keras.inference.sliding_window.oblique_grid.VOXELS_AT_ONCE", values)
    monkeypatch.setattr("recalib_keras.inference.sliding_window.oblique_grid.VALUES_AT_ONCE", values)
    assert np.array_equal(sliding_window(grid).predict(INDICES), whole)


@pytest.mark.parametrize("kind", GRIDS)
def test_parts_of_the_image_make_all_labels_once(kind):
    wanted, whole = GRIDS[kind], output_grid(Grid(IMAGE, np.eye(4)), GRIDS[kind])
    counts = np.zeros(wanted.shape, int)
    for box in itertools.product(((0, 6), (6, 17)), ((0, 9), (9, 14)), ((0, 5), (5, 12), (12, 19))):
        part, shape = whole.part(box), [high - low for low, high in box]
        labels = np.zeros(part.shape, int)
        rows = part.rows(VoxelMaps(labels), [(0, size) for size in shape])
        for row in range(shape[0]):
            rows.take(row, np.broadcast_to([0.0, 1.0, 0.0], (*shape[1:], CLASSES)))
        counts[whole.within(box)] += labels
    assert np.array_equal(counts, scores(wanted)[1])


def test_only_what_the_scan_shows_is_observed():
    wanted, seen = GRIDS["turned"], []
    grid = output_grid(Grid(IMAGE, np.eye(4)), wanted)
    sliding_window(grid, observe=lambda *row: seen.append(row), memory=20_000).predict(INDICES)
    places = np.einsum("ij,jxyz->ixyz", np.linalg.inv(wanted.affine)[:3, :3], np.indices(IMAGE))
    places += np.linalg.inv(wanted.affine)[:3, 3, None, None, None]
    shown = np.all([(place >= -0.5) & (place < size - 0.5) for place, size in zip(places, wanted.shape)], axis=0)
    assert sum(len(classes) for classes, _ in seen) == shown.sum() < shown.size
    found = np.concatenate([sums for _, sums in seen])
    assert np.array_equal(np.concatenate([classes for classes, _ in seen]), found.argmax(axis=-1))
    np.testing.assert_allclose(found.mean(axis=0), PROBABILITIES[:, shown].mean(axis=1), atol=1e-4)


def test_air_around_the_body_is_background():
    body = np.zeros((40, 30, 30), "float32")
    body[12:26, 8:22, 10:20] = 1
    wanted = turned(35, 0, shape=(40, 24, 24), around=(19.5, 14.5, 14.5))
    view = View(lambda windows: np.concatenate([1 - windows, windows], -1), (8, 8, 8))
    labels = predict_foreground(
        SlidingWindow([view], 2, output_grid=output_grid(Grid(body.shape, np.eye(4)), wanted)), body
    )
    places = (
        np.einsum("ij,jxyz->ixyz", wanted.affine[:3, :3], np.indices(wanted.shape))
        + wanted.affine[:3, 3, None, None, None]
    )
    expected = ndimage.map_coordinates(body, places, order=1, mode="nearest")
    sure = np.abs(expected - 0.5) > 1e-4
    assert np.array_equal(labels[sure], (expected > 0.5)[sure]) and labels.any()

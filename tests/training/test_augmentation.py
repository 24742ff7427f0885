import dataclasses

import keras
import numpy as np
import pytest

from recalib_keras.training import augmentation
from recalib_keras.training.augmentation import Change, draw
from recalib_keras.training.recipe import Augmentation

STRONG = Augmentation(
    rotation=20,
    scaling=0.2,
    translation=2,
    elastic=1.5,
    elastic_nodes=4,
    gamma=0.3,
    contrast=0.2,
    brightness=0.2,
    noise=0.2,
)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def change(batch=1, rank=3, **values):
    """Returns a change that does nothing but what is given."""
    nothing = Change(
        matrices=np.tile(np.eye(rank, dtype="float32"), (batch, 1, 1)),
        shifts=np.zeros((batch, rank), "float32"),
        nodes=None,
        gammas=np.ones(batch, "float32"),
        contrasts=np.ones(batch, "float32"),
        brightnesses=np.zeros(batch, "float32"),
        noise=None,
    )
    return dataclasses.replace(nothing, **{name: np.asarray(value, "float32") for name, value in values.items()})


def apply(images, labels, what):
    return tuple(keras.ops.convert_to_numpy(tensor) for tensor in augmentation.apply(images, labels, what))


def marked(window, place):
    """Returns a batch of one image and its labels, zero but at one voxel, whose offset from the centre is given."""
    images, labels = np.zeros((1, *window), "float32"), np.zeros((1, *window), "uint8")
    voxel = (0, *(middle + offset for middle, offset in zip((size // 2 for size in window), place)))
    images[voxel], labels[voxel] = 5, 7
    return images, labels


def spread(values, size):
    """Returns `size` values evenly placed on the line through the given ones."""
    return np.interp(np.linspace(0, len(values) - 1, size), np.arange(len(values)), values)


def offsets_of(array, value):
    """Returns the offsets from the centre of the voxels that have a value."""
    return [tuple(int(i) - size // 2 for i, size in zip(voxel, array.shape)) for voxel in np.argwhere(array == value)]


@pytest.mark.parametrize("window", [(8, 10, 7), (9, 6)])
def test_zeros_change_nothing(window, rng):
    images = rng.normal(3, 2, (2, *window)).astype("float32")
    labels = rng.integers(0, 5, (2, *window)).astype("uint8")
    nothing = draw(Augmentation(), 2, window, rng)
    assert nothing.nodes is None and nothing.noise is None
    moved_images, moved_labels = apply(images, labels, nothing)
    np.testing.assert_allclose(moved_images, images, atol=1e-5)
    assert np.array_equal(moved_labels, labels) and moved_labels.dtype == np.uint8


# A voxel of the result takes what the source has at `matrix @ offset`: what stood at p comes to `inverse @ p`.
@pytest.mark.parametrize(
    "matrix, before, after",
    [
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], (2, 1, -3), (1, -2, -3)),
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], (2, 1, -3), (2, -3, -1)),
        ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], (2, 1, -3), (3, 1, 2)),
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], (4, 3, 2), (-4, -3, 2)),
        ([[0, -1], [1, 0]], (2, 1), (1, -2)),
    ],
)
def test_a_quarter_turn_moves_a_voxel_where_it_should(matrix, before, after):
    rank = len(before)
    images, labels = apply(*marked((9,) * rank, before), change(rank=rank, matrices=[matrix]))
    assert offsets_of(labels[0], 7) == [after]
    assert offsets_of(images[0].round(4), 5) == [after]


def test_a_shift_moves_a_voxel():
    _, labels = apply(*marked((9, 9, 9), (1, -2, 3)), change(shifts=[[2, 0, -1]]))
    assert offsets_of(labels[0], 7) == [(-1, -2, 4)]


def test_a_scale_of_two_halves_distances():
    _, labels = apply(*marked((9, 9, 9), (2, -4, 0)), change(matrices=[np.diag([2, 2, 1])]))
    assert offsets_of(labels[0], 7) == [(1, -2, 0)]


def test_images_are_interpolated_linearly_and_continued_labels_end_in_background():
    ramp = np.broadcast_to(np.arange(6, dtype="float32")[:, None], (6, 4))[None]
    # The gamma of 1 keeps the range; the part beyond the border repeats the edge.
    images, labels = apply(ramp, np.ones((1, 6, 4), "uint8"), change(rank=2, shifts=[[1.75, 0]]))
    np.testing.assert_allclose(images[0, :, 0], [1.75, 2.75, 3.75, 4.75, 5, 5], atol=1e-5)
    assert labels[0, :, 0].tolist() == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("window", [(9, 7, 8), (10, 6)])
def test_elastic_displacements_are_interpolated_linearly_between_the_nodes(window, rng):
    rank, count = len(window), 4
    nodes = rng.normal(0, 0.8, (1, rank) + (count,) * rank)
    expected = nodes[0]
    for axis, size in enumerate(window, start=1):
        expected = np.apply_along_axis(spread, axis, expected, size)
    labels = np.zeros((1, *window), "uint8")
    for axis, voxels in enumerate(np.indices(window)):  # the image of a coordinate tells where each voxel came from
        images, _ = apply(voxels[None].astype("float32"), labels, change(rank=rank, nodes=nodes))
        np.testing.assert_allclose(images[0], np.clip(voxels + expected[axis], 0, window[axis] - 1), atol=1e-4)


def test_each_example_has_its_own_change(rng):
    images = rng.normal(size=(2, 5, 5)).astype("float32")
    labels = rng.integers(0, 3, (2, 5, 5)).astype("uint8")
    half_turn = [np.eye(2), -np.eye(2)]
    moved_images, moved_labels = apply(images, labels, change(batch=2, rank=2, matrices=half_turn))
    assert np.array_equal(moved_labels, [labels[0], labels[1, ::-1, ::-1]])
    np.testing.assert_allclose(moved_images, [images[0], images[1, ::-1, ::-1]], atol=1e-5)


def test_intensities(rng):
    images = rng.normal(2, 3, (2, 6, 5)).astype("float32")
    gammas, contrasts, brightnesses = np.array([0.5, 2.0]), np.array([1.5, 0.8]), np.array([0.3, -1.0])
    noise = rng.normal(size=images.shape)
    what = change(2, 2, gammas=gammas, contrasts=contrasts, brightnesses=brightnesses, noise=noise)
    changed, labels = apply(images, np.ones(images.shape, "uint8"), what)
    for index in range(2):
        low, high = images[index].min(), images[index].max()
        expected = low + (high - low) * ((images[index] - low) / (high - low)) ** gammas[index]
        expected = expected * contrasts[index] + brightnesses[index] + noise[index]
        np.testing.assert_allclose(changed[index], expected, atol=1e-4)
    assert (labels == 1).all()


def test_a_constant_image_stays_finite():
    images, _ = apply(np.full((1, 4, 4), 3, "float32"), np.zeros((1, 4, 4), "uint8"), change(1, 2, gammas=[0.4]))
    np.testing.assert_allclose(images, 3, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_labels_are_never_invented(dtype, rng):
    labels = rng.choice(np.array([0, 2, 7, 200], dtype), (4, 10, 9, 8))
    images = rng.normal(size=labels.shape).astype("float32")
    _, moved = apply(images, labels, draw(STRONG, 4, (10, 9, 8), rng))
    assert moved.dtype == dtype and set(np.unique(moved)) <= {0, 2, 7, 200}
    assert not np.array_equal(moved, labels)


def test_the_same_seed_draws_the_same():
    first, again, other = (vars(draw(STRONG, 2, (6, 6, 6), np.random.default_rng(seed))) for seed in (1, 1, 2))
    for name in first:
        assert np.array_equal(first[name], again[name]), name
        assert not np.array_equal(first[name], other[name]), name
        assert first[name].dtype == np.float32, name


@pytest.mark.parametrize("rank", [2, 3])
def test_rotations_are_rotations(rank, rng):
    matrices = draw(Augmentation(rotation=30), 50, (4,) * rank, rng).matrices
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(rank), (50, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-5)


def test_deviations_are_in_the_units_they_say(rng):
    drawn = draw(Augmentation(rotation=12), 3000, (4, 4), rng)
    angles = np.rad2deg(np.arctan2(drawn.matrices[:, 1, 0], drawn.matrices[:, 0, 0]))
    assert angles.std() == pytest.approx(12, rel=0.05) and abs(angles.mean()) < 1
    scales = draw(Augmentation(scaling=0.1), 3000, (4, 4), rng).matrices[:, [0, 1], [0, 1]]
    assert np.log(scales).std() == pytest.approx(0.1, rel=0.05)
    drawn = draw(Augmentation(translation=3, elastic=2, gamma=0.2, contrast=0.3, brightness=0.4), 3000, (4, 4), rng)
    assert drawn.shifts.std() == pytest.approx(3, rel=0.05)
    assert drawn.nodes.shape == (3000, 2, 5, 5) and drawn.nodes.std() == pytest.approx(2, rel=0.05)
    assert np.log(drawn.gammas).std() == pytest.approx(0.2, rel=0.05)
    assert np.log(drawn.contrasts).std() == pytest.approx(0.3, rel=0.05)
    assert drawn.brightnesses.std() == pytest.approx(0.4, rel=0.05)
    noise = draw(Augmentation(noise=0.5), 300, (20, 20), rng).noise.std(axis=(1, 2))
    assert noise.max() < 0.6 and noise.min() < 0.05 and noise.mean() == pytest.approx(0.25, rel=0.1)

import dataclasses

import keras
import numpy as np
import pytest
from scipy import ndimage
from transforms.fast import fast

from recalib_keras.training.data import augmentation
from recalib_keras.training.data.augmentation import Change, Mirror, draw
from recalib_keras.training.recipe import Augmentation
from recalib_keras.zoo import Input, Label, RecordError

PUBLISHED = Augmentation(
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
STRONG = dataclasses.replace(PUBLISHED, flip=0.5, blur=1.0, bias_field=0.3, low_resolution=3.0)
SIDES = Mirror(axis=0, classes=(0, 2, 1, 3))  # Voxel sizes as headers store them.
NEARLY_CUBES = np.float32([0.9, 0.9, 0.9]) + np.array([0, 2e-7, -1e-7])
PAIRED = (Label(0, "background"), Label(4, "left", mirror=9), Label(9, "right", mirror=4), Label(5, "middle"))


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
    return nothing._replace(**{name: np.asarray(value, "float32") for name, value in values.items()})


run = fast(augmentation.apply)


def apply(images, labels, what, run=run):
    return tuple(keras.ops.convert_to_numpy(tensor) for tensor in run(images, labels, what))


def apply_to_images(images, settings, rng):
    """Returns images after a change drawn for them; what it does to labels is of no interest."""
    images = images.astype("float32")
    return apply(images, np.zeros(images.shape, "uint8"), draw(settings, len(images), images.shape[1:], rng))[0]


def marked(window, place):
    """Returns a batch of one image and its labels, zero but at one voxel, whose offset from the centre is given."""
    images, labels = np.zeros((1, *window), "float32"), np.zeros((1, *window), "uint8")
    voxel = (0, *(middle + offset for middle, offset in zip((size // 2 for size in window), place)))
    images[voxel], labels[voxel] = 5, 7
    return images, labels


def offsets_of(array, value):
    """Returns the offsets from the centre of the voxels that have a value."""
    return [tuple(int(i) - size // 2 for i, size in zip(voxel, array.shape)) for voxel in np.argwhere(array == value)]


@pytest.mark.parametrize("window", [(8, 10, 7), (9, 6)])
def test_zeros_change_nothing(window, rng):
    images = rng.normal(3, 2, (2, *window)).astype("float32")
    labels = rng.integers(0, 5, (2, *window)).astype("uint8")
    nothing = draw(Augmentation(), 2, window, rng, SIDES)
    assert all(getattr(nothing, name) is None for name in ("nodes", "noise", "sides", "bias", "resolutions"))
    moved_images, moved_labels = apply(images, labels, nothing)
    np.testing.assert_allclose(moved_images, images, atol=1e-5)
    assert np.array_equal(moved_labels, labels) and moved_labels.dtype == np.uint8


# A voxel of the result takes what the source has at `matrix @ offset`: what stood at p comes to `inverse @ p`.
@pytest.mark.parametrize(
    ("matrix", "before", "after"),
    [
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], (2, 1, -3), (1, -2, -3)),
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], (3, -4, 2), (3, 2, 4)),
        ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], (2, -4, 3), (-3, -4, 2)),
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


def test_each_example_has_its_own_change(rng):
    images = rng.normal(size=(2, 5, 5)).astype("float32")
    labels = rng.integers(0, 3, (2, 5, 5)).astype("uint8")
    half_turn = [np.eye(2), -np.eye(2)]
    moved_images, moved_labels = apply(images, labels, change(batch=2, rank=2, matrices=half_turn))
    assert np.array_equal(moved_labels, [labels[0], labels[1, ::-1, ::-1]])
    np.testing.assert_allclose(moved_images, [images[0], images[1, ::-1, ::-1]], atol=1e-5)


@pytest.mark.parametrize("window", [(7, 6), (6, 7, 8)])
def test_a_flip_mirrors_the_axis_and_swaps_paired_classes_only(window, rng):
    images = rng.normal(size=(3, *window)).astype("float32")
    labels = rng.integers(0, 4, (3, *window)).astype("uint8")
    for axis in range(len(window)):
        always = draw(Augmentation(flip=1), 3, window, rng, Mirror(axis, SIDES.classes))
        flipped_images, flipped_labels = apply(images, labels, always)
        np.testing.assert_allclose(flipped_images, np.flip(images, axis + 1), atol=1e-5)
        assert np.array_equal(flipped_labels, np.array([0, 2, 1, 3])[np.flip(labels, axis + 1)])
        assert flipped_labels.dtype == np.uint8
        twice_images, twice_labels = apply(flipped_images, flipped_labels, always)
        np.testing.assert_allclose(twice_images, images, atol=1e-5)
        assert np.array_equal(twice_labels, labels)


def test_refuses_to_flip_without_a_mirror(rng):
    with pytest.raises(ValueError, match="expected `mirror` for settings that flip, got None"):
        draw(Augmentation(flip=1), 1, (5, 4), rng)


def test_classes_without_sides_are_only_mirrored(rng):
    images, labels = rng.normal(size=(1, 5, 4)).astype("float32"), rng.integers(0, 3, (1, 5, 4)).astype("uint8")
    always = draw(Augmentation(flip=1), 1, (5, 4), rng, Mirror(axis=1))
    assert always.sides is None
    assert np.array_equal(apply(images, labels, always)[1], labels[:, :, ::-1])


def test_examples_are_flipped_as_often_as_asked_and_classes_with_them(rng):
    drawn = draw(Augmentation(flip=0.3), 2000, (4, 4), rng, SIDES)
    is_flipped = drawn.matrices[:, 0, 0] < 0
    assert is_flipped.mean() == pytest.approx(0.3, abs=0.04)
    assert np.array_equal(drawn.sides, np.where(is_flipped[:, None], [0, 2, 1, 3], [0, 1, 2, 3]))
    np.testing.assert_allclose(drawn.matrices[~is_flipped], np.tile(np.eye(2), ((~is_flipped).sum(), 1, 1)))


@pytest.mark.parametrize("window", [(12, 11), (10, 9, 8)])
def test_blur_is_a_gaussian_of_its_own_for_each_example_and_axis(window, rng):
    images = rng.normal(size=(2, *window)).astype("float32")
    drawn = draw(Augmentation(blur=1.5), 2, window, np.random.default_rng(3))
    blurred, _ = apply(images, np.zeros(images.shape, "uint8"), drawn)
    stream = np.random.default_rng(3)  # what comes before: rotations, scales, shifts, gammas, contrasts, brightnesses
    rank = len(window)
    stream.normal(size=2 * (rank * (rank - 1) // 2 + rank + rank + 3))
    for image, found, deviations in zip(images, blurred, stream.uniform(0, 1.5, (2, rank))):
        np.testing.assert_allclose(found, ndimage.gaussian_filter(image, deviations, mode="nearest"), atol=1e-4)


def test_low_resolution_flattens_one_axis_of_each_example(rng):
    window = (16, 16, 16)
    noise = rng.normal(size=(40, *window))
    coarse = apply_to_images(noise, Augmentation(low_resolution=6.0), rng)
    # Mean squared difference of neighbours along each axis: 2 in the noise, and in the coarse image still twice the
    # variance but along the axis of the thick slices.
    steps = np.stack([np.square(np.diff(coarse, axis=axis)).mean(axis=(1, 2, 3)) for axis in (1, 2, 3)], axis=1)
    smoothness = steps / (2 * coarse.var(axis=(1, 2, 3)))[:, None]
    coarsest = smoothness.argmin(axis=1)
    assert set(coarsest) == {0, 1, 2}
    others = np.sort(smoothness, axis=1)[:, 1:]
    np.testing.assert_allclose(others, 1, atol=0.15)
    assert smoothness.min(axis=1).mean() < 0.6
    np.testing.assert_allclose(coarse.mean(axis=(1, 2, 3)), noise.mean(axis=(1, 2, 3)), atol=0.03)


@pytest.mark.parametrize("window", [(14, 10), (10, 8, 12)])
def test_the_logarithm_of_the_bias_field_deviates_as_asked(window, rng):
    images = np.ones((400, *window))
    images[:, *(0,) * len(window)] = 0  # the darkest voxel, which no field changes
    field = apply_to_images(images, Augmentation(bias_field=0.4), rng)
    logarithm = np.log(field.reshape(400, -1)[:, 1:])
    # The image's contrast stretches between its extremes with gamma 1: it shows the field itself.
    assert np.sqrt(np.square(logarithm).mean()) == pytest.approx(0.4, rel=0.05)
    np.testing.assert_allclose(logarithm.mean(axis=1), 0, atol=0.02)


def test_noise_is_added_last_with_a_deviation_of_its_own_for_each_example(rng):
    images = np.zeros((60, 30, 30))
    noisy = apply_to_images(images, Augmentation(noise=0.5, blur=2.0), rng)
    deviations = noisy.std(axis=(1, 2))
    assert deviations.max() < 0.55 and deviations.min() < 0.1 and deviations.mean() == pytest.approx(0.25, rel=0.2)
    neighbours = np.mean(noisy[:, 1:] * noisy[:, :-1], axis=(1, 2)) / deviations**2
    assert abs(neighbours.mean()) < 0.02  # blurred, it would be correlated


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_labels_are_never_invented(dtype, rng):
    labels = rng.choice(np.array([0, 2, 3], dtype), (4, 10, 9, 8))
    images = rng.normal(size=labels.shape).astype("float32")
    _, moved = apply(images, labels, draw(STRONG, 4, (10, 9, 8), rng, Mirror(0, (0, 1, 3, 2))))
    assert set(np.unique(moved)) <= {0, 2, 3} and not np.array_equal(moved, labels)
    # Keras has no 16-bit unsigned tensors in PyTorch.
    assert moved.dtype == (np.int32 if dtype == "uint16" and keras.backend.backend() == "torch" else dtype)


def leaves(drawn):
    """Returns each array of a change by name."""
    named = {**drawn._asdict(), **{f"resolutions {axis}": array for axis, array in enumerate(drawn.resolutions)}}
    named.pop("resolutions")
    return named


def test_the_same_seed_draws_the_same():
    first, again, other = (leaves(draw(STRONG, 5, (6, 6, 6), np.random.default_rng(seed), SIDES)) for seed in (1, 1, 2))
    for name in first:
        assert np.array_equal(first[name], again[name]), name
        assert not np.array_equal(first[name], other[name]), name
        assert first[name].dtype == (np.int32 if name == "sides" else np.float32), name


def test_recipes_of_published_weights_draw_what_they_were_trained_with():
    drawn = draw(PUBLISHED, 2, (6, 5, 4), np.random.default_rng(1), SIDES)
    sums = {name: array.sum(dtype="float64") for name, array in drawn._asdict().items() if array is not None}
    # As the first release drew them, which knew neither flips, blur, bias fields nor thick slices.
    expected = {
        "matrices": 5.75613052630797,
        "shifts": 5.368521451950073,
        "nodes": -53.9302652675251,
        "gammas": 1.8109143376350403,
        "contrasts": 2.0660508275032043,
        "brightnesses": -0.6573609113693237,
        "noise": 1.5081697337445803,
    }
    assert sums == pytest.approx(expected, rel=1e-6)


def test_what_was_added_later_leaves_the_other_numbers():
    later = dataclasses.replace(PUBLISHED, blur=1.0, bias_field=0.3, low_resolution=3.0)
    plain, with_later = (draw(settings, 2, (6, 6), np.random.default_rng(1)) for settings in (PUBLISHED, later))
    for name in ("matrices", "shifts", "nodes", "gammas", "contrasts", "brightnesses", "noise"):
        assert np.array_equal(getattr(plain, name), getattr(with_later, name)), name


@pytest.mark.parametrize("rank", [2, 3])
def test_rotations_are_rotations(rank, rng):
    matrices = draw(Augmentation(rotation=30), 50, (4,) * rank, rng).matrices
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(rank), (50, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-5)


@pytest.mark.parametrize("spacing", [(1, 1, 4), (0.5, 3, 1.2), (2, 5)])
def test_rotations_keep_distances_whatever_the_voxels(spacing, rng):
    spacings = np.random.default_rng(0).permuted(np.tile(spacing, (50, 1)), axis=1)
    matrices = draw(Augmentation(rotation=30), 50, (4,) * len(spacing), rng, spacings=spacings).matrices
    apart = rng.normal(size=(50, len(spacing), 1))  # two voxels
    before, after = (np.linalg.norm(spacings[..., None] * offsets, axis=1) for offsets in (apart, matrices @ apart))
    np.testing.assert_allclose(after, before, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-4)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.3, 0.3, 0.3), NEARLY_CUBES])
def test_where_voxels_are_cubes_their_size_changes_nothing(spacing):
    plain, sized = (
        leaves(draw(STRONG, 5, (6, 6, 6), np.random.default_rng(1), SIDES, spacings))
        for spacings in (None, [spacing] * 5)
    )
    for name in plain:
        assert np.array_equal(plain[name], sized[name]), name


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotation": -1.0}, "expected `rotation` from 0 to 180, got -1.0"),
        ({"bias_field": float("nan")}, "expected `bias_field` from 0 to 5, got nan"),
        ({"flip": 1.5}, "expected `flip` from 0 to 1, got 1.5"),
        ({"elastic_nodes": 1}, "expected `elastic_nodes` from 2 to 64, got 1"),
        ({"low_resolution": 0.5}, "expected `low_resolution` to be 0, or at least 1 voxel, got 0.5"),
    ],
)
def test_refuses_settings_that_mean_nothing(values, message):
    with pytest.raises(RecordError, match=message):
        Augmentation(**values)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_stacked_slices_change_alike_but_for_their_noise(flip, rng):
    settings = dataclasses.replace(STRONG, flip=flip)
    noisy = draw(settings, 3, (12, 10), rng, SIDES, depth=5)
    assert noisy.noise.shape == (3, 12, 10, 5) and len(np.unique(noisy.noise[0, 0, 0])) == 5
    settings = dataclasses.replace(settings, noise=0.0)
    alone, stacked = (draw(settings, 3, (12, 10), np.random.default_rng(2), SIDES, depth=depth) for depth in (1, 5))
    images = rng.normal(3, 2, (3, 12, 10)).astype("float32")
    labels = rng.integers(0, 4, images.shape).astype("uint8")
    stacks = (np.repeat(array[..., None], 5, axis=-1) for array in (images, labels))
    # Compiled as a whole, each of the two would round otherwise; a gamma magnifies that near the darkest voxel.
    of_slices, of_stacks = apply(images, labels, alone, augmentation.apply), apply(*stacks, stacked, augmentation.apply)
    for one, many in zip(of_slices, of_stacks):
        np.testing.assert_allclose(many, np.repeat(one[..., None], 5, axis=-1), atol=1e-4)


@pytest.mark.parametrize(
    ("window", "orientation", "axis"),
    [
        ((8, 8, 8), "RAS", 0),
        ((8, 8, 8), "PIL", 2),
        ((8, 8, 1), "RAS", 0),
        ((8, 1, 8), "RAS", 0),
        ((8, 1, 8), "SAL", 1),
        ((1, 8, 8), "ASL", 1),
        ((1, 8, 8), "SRA", 0),
    ],
)
def test_a_mirror_turns_the_axis_of_left_and_right(window, orientation, axis):
    assert Mirror.of(Input(window, orientation), PAIRED) == Mirror(axis, (0, 2, 1, 3))


def test_without_pairs_a_mirror_leaves_the_classes():
    assert Mirror.of(Input((8, 8, 8)), (PAIRED[0], PAIRED[3])) == Mirror(0, None)


@pytest.mark.parametrize(("window", "orientation"), [((1, 8, 8), "RAS"), ((8, 1, 8), "SLA")])
def test_sagittal_slices_have_no_mirror(window, orientation):
    assert Mirror.of(Input(window, orientation), PAIRED) is None

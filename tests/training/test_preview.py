from dataclasses import replace

import numpy as np
import pytest
from training.synthetic import changed

from recalib_keras.evaluation.figures.slices import VIEWS
from recalib_keras.training.data.examples import Scan
from recalib_keras.training.data.preview import make_samples, view_of, voxel_size
from recalib_keras.training.recipe import Augmentation
from recalib_keras.zoo import Input

SAGITTAL, CORONAL, AXIAL = VIEWS
SHAPE = (12, 12, 12)


@pytest.fixture
def plain(recipe):
    """The tiny recipe without any change of examples; its labels are 0, 17 and 53, its scans stored as RAS."""
    return changed(recipe, augmentation=vars(Augmentation()))


@pytest.fixture
def scan():
    """A scan in which each voxel has a value of its own, and a few voxels a class."""
    classes = np.zeros(SHAPE, "uint8")
    classes[2:5, 3:6, 8] = 1
    classes[2:4, 7, 7:9] = 2
    return Scan("numbered", np.arange(np.prod(SHAPE), dtype="float32").reshape(SHAPE), classes)


def samples_of(scan, recipe, view=AXIAL, count=2, seed=0):
    return make_samples(scan, recipe, view, count, np.random.default_rng(seed))


def test_the_first_is_the_window_as_it_is_where_most_foreground_is(plain, scan):
    samples = samples_of(scan, plain)
    assert samples.name == "numbered" and samples.images.shape == samples.labels.shape == (3, 12, 12)
    assert np.array_equal(samples.images[0], scan.image[:, :, 8])
    assert np.array_equal(samples.labels[0], np.array([0, 17, 53])[scan.classes[:, :, 8]])


def test_without_changes_the_others_are_like_the_first(plain, scan):
    samples = samples_of(scan, plain)
    np.testing.assert_allclose(samples.images[1:], np.tile(samples.images[0], (2, 1, 1)), rtol=1e-4)
    assert np.array_equal(samples.labels[1:], np.tile(samples.labels[0], (2, 1, 1)))


def test_the_others_are_changed_each_by_its_own(recipe, scan):
    samples = samples_of(scan, changed(recipe, augmentation={"rotation": 20.0}))
    assert np.array_equal(samples.images[0], scan.image[:, :, 8])
    assert len({image.tobytes() for image in samples.images}) == 3
    assert set(np.unique(samples.labels)) <= {0, 17, 53}


def test_a_turn_is_one_of_space_whatever_the_voxels(plain, scan):
    turning = changed(plain, augmentation={"rotation": 20.0})
    cubes, flat = (samples_of(replace(scan, spacing=size), turning).images for size in ((3, 3, 3), (1, 1, 4)))
    assert np.array_equal(cubes, samples_of(scan, turning).images) and not np.array_equal(cubes[1:], flat[1:])


def test_a_seed_makes_the_same_again_and_another_others(recipe, scan):
    first, again, other = (samples_of(scan, recipe, seed=seed).images for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first[1:], other[1:])


def test_a_flip_turns_left_and_right(plain, scan):
    samples = samples_of(scan, changed(plain, augmentation={"flip": 1.0}), CORONAL)
    place = int((scan.classes > 0).sum(axis=(0, 2)).argmax())
    np.testing.assert_allclose(samples.images[1], scan.image[::-1, place], rtol=1e-4)


def test_without_foreground_the_slice_is_the_middle_one(plain, scan):
    samples = samples_of(Scan("empty", scan.image, np.zeros(SHAPE, "uint8")), plain, SAGITTAL)
    assert np.array_equal(samples.images[0], scan.image[6])


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_slices_look_the_same_however_the_network_sees_the_scan(view, plain, scan):
    # Stored as SPR: axes are the former z, the former y backwards, and the former x.
    turned = Scan("turned", scan.image.transpose(2, 1, 0)[:, ::-1], scan.classes.transpose(2, 1, 0)[:, ::-1])
    samples = samples_of(turned, changed(plain, input={"orientation": "SPR"}), view)
    expected = samples_of(scan, plain, view)
    assert np.array_equal(samples.images[0], expected.images[0])
    assert np.array_equal(samples.labels[0], expected.labels[0])


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize(
    ("orientation", "window", "view"), [("RAS", (1, 12, 12), SAGITTAL), ("SAR", (12, 1, 12), CORONAL)]
)
def test_a_2d_network_shows_its_slices(orientation, window, view, context, plain, scan):
    recipe = changed(plain, input={"orientation": orientation, "window": window, "context": context})
    stored = scan if orientation == "RAS" else Scan("s", scan.image.T, scan.classes.T)
    samples = samples_of(stored, recipe, view_of(recipe.input), count=1)
    assert view_of(recipe.input) == view and samples.labels[0].any()
    places = [place for place in range(12) if np.array_equal(samples.images[0], scan.image.take(place, view.axis))]
    assert len(places) == 1
    np.testing.assert_allclose(samples.images[1], samples.images[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("window", "name", "expected"),
    [
        ((8, 8, 8), None, AXIAL),
        ((8, 8, 8), "sagittal", SAGITTAL),
        ((8, 8, 1), None, AXIAL),
        ((8, 1, 8), "coronal", CORONAL),
    ],
)
def test_views(window, name, expected):
    assert view_of(Input(window), name) == expected


def test_refuses_a_view_that_a_2d_network_does_not_see():
    with pytest.raises(ValueError, match="expected the view 'sagittal', as the recipe's network sees .* got 'axial'"):
        view_of(Input((1, 8, 8)), "axial")


def test_refuses_a_view_that_is_none():
    with pytest.raises(ValueError, match="expected a view of sagittal, coronal, axial, got 'oblique'"):
        view_of(Input((8, 8, 8)), "oblique")


def test_voxel_sizes_are_those_along_x_y_and_z():
    assert voxel_size(Input((8, 8, 8), "SRA", (1.0, 2.0, 3.0))).tolist() == [2, 3, 1]
    assert voxel_size(Input((8, 8, 8), "SRA")).tolist() == [1, 1, 1]

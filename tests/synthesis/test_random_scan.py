import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from synthesis.heads import LEFT, RIGHT, TABLE, head, scan_by_numpy

from recalib_keras import volumes, zoo
from recalib_keras.synthesis import MILD, VARIED, RandomScan, Synthesis

CENTRE = [(11.5, 11.5, 11.5)]
EVERYTHING = dataclasses.replace(
    VARIED, elastic=1.5, translation=1.0, crop=0.4, crop_depth=6.0, thick_slices=0.7, slice_thickness=4.0
)


@functools.cache  # compiling one takes seconds
def make(settings=MILD, window=(24, 24, 24), normalization="none", **arguments):
    return RandomScan(TABLE, window, settings, normalization=normalization, **arguments)


def run(random_scan, maps, draw):
    # On JAX a call that is not compiled as a whole compiles each operation.
    scan = random_scan.compiled() if keras.backend.backend() == "jax" else random_scan
    images, classes = scan(maps, draw)
    return keras.ops.convert_to_numpy(images)[..., 0], keras.ops.convert_to_numpy(classes)[..., 0]


def test_without_variety_tissues_are_constant_and_stay_where_they_are(phantom):
    random_scan = make(Synthesis())
    images, classes = run(random_scan, phantom[None], random_scan.draw(CENTRE, seed=0))
    assert np.array_equal(images[0], np.array([7, 150, 150, 90, 120, 40], "float32")[phantom])
    assert np.array_equal(classes[0], TABLE.classes()[phantom]) and classes.dtype == "uint8"
    assert images.dtype == "float32"


@pytest.mark.parametrize("partial_volume", [1, 2, 4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_scans_are_what_numpy_and_scipy_make_of_the_same_draw(partial_volume, seed, phantom):
    settings = dataclasses.replace(EVERYTHING, partial_volume=partial_volume)
    random_scan = make(settings, window=(13, 12, 11), spacing=2.0)
    draw = random_scan.draw(CENTRE, seed)
    images, classes = run(random_scan, phantom[None], draw)
    image, truth = scan_by_numpy(random_scan, phantom, draw)
    # A place half-way between two voxels may be rounded to either, and slices spread what comes of it.
    assert (classes[0] == truth).mean() > 0.999
    assert (np.abs(images[0] - image) < 0.05).mean() > 0.97
    assert np.median(np.abs(images[0] - image)) < 1e-3


def test_examples_of_a_batch_are_those_of_their_own_draws(phantom):
    random_scan = make(EVERYTHING)
    draw = random_scan.draw(CENTRE * 3, seed=4)
    maps = np.stack([phantom, phantom[::-1], phantom])
    images, classes = run(random_scan, maps, draw)
    for place in range(3):
        alone = keras.tree.map_structure(lambda x, place=place: None if x is None else x[place : place + 1], draw)
        image, truth = run(random_scan, maps[place : place + 1], alone)
        np.testing.assert_allclose(images[place], image[0], atol=2e-2)
        assert np.array_equal(classes[place], truth[0])
    assert not np.allclose(images[0], images[2], atol=1)


def test_the_same_seed_makes_the_same_scan_and_another_another(phantom):
    random_scan = make(EVERYTHING)
    scans = [
        run(random_scan, phantom[None], random_scan.draw(CENTRE, seed)) for seed in ([1, 0, 7], [1, 0, 7], [1, 0, 8])
    ]
    for first, again, other in zip(*scans):
        assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_labels_stay_labels(phantom):
    settings = dataclasses.replace(MILD, rotation=5.0, scaling=0.03, translation=0.5, elastic=0.5)
    random_scan = make(settings, window=(32, 32, 32))
    before = np.bincount(TABLE.classes()[phantom].ravel(), minlength=4)
    for seed in range(8):
        _, classes = run(random_scan, phantom[None], random_scan.draw(CENTRE, seed))
        assert set(np.unique(classes)) <= {0, 1, 2, 3}
        after = np.bincount(classes.ravel(), minlength=4)
        # Three scales with a deviation of 3 % change volumes by 5 %; structures are some thousand voxels.
        assert (np.abs(after[1:] / before[1:] - 1) < 0.25).all()


def test_a_flip_mirrors_the_head_and_its_structures_keep_their_sides(phantom):
    marked = phantom.copy()
    marked[(phantom == LEFT) & (np.indices(phantom.shape)[2] > 14)] = 0  # a piece of the left half is missing
    flipped, plain = (make(Synthesis(flip=flip)) for flip in (1.0, 0.0))
    images, classes = run(flipped, marked[None], flipped.draw(CENTRE, seed=0))
    images_before, classes_before = run(plain, marked[None], plain.draw(CENTRE, seed=0))
    assert np.array_equal(images[0], images_before[0, ::-1])
    ids = [label.id for label in TABLE.structures]
    left, right = ids.index(2), ids.index(41)
    swapped = np.where(classes_before == left, right, np.where(classes_before == right, left, classes_before))
    assert np.array_equal(classes[0], swapped[0, ::-1])
    assert (classes[0, :12] != right).all() and (classes[0, 12:] != left).all()  # left is left still
    assert (classes == right).sum() < (classes == left).sum()  # and what is missing, is missing on the right now


def test_a_flip_takes_the_looks_along(phantom):
    random_scan = make(Synthesis(flip=1.0, random_contrast=1.0, asymmetry=1.0, texture=1.0))
    draw = random_scan.draw(CENTRE, seed=1)
    still = make(Synthesis(random_contrast=1.0, asymmetry=1.0, texture=1.0)).draw(CENTRE, seed=1)
    assert draw.tissues.means[0, LEFT] == still.tissues.means[0, RIGHT] != still.tissues.means[0, LEFT]
    assert draw.tissues.deviations[0, RIGHT] == still.tissues.deviations[0, LEFT]


def test_a_stripped_scan_is_black_around_the_brain(phantom):
    settings = dataclasses.replace(MILD, skull_stripping=1.0, translation=0.0)
    random_scan = make(settings, spacing=5.0, map_spacing=5.0)  # a head of 11 cm
    for seed in range(4):
        images, classes = run(random_scan, phantom[None], random_scan.draw(CENTRE, seed))
        outside = 5.0 * distance_transform_edt(classes[0] == 0)  # mm
        assert not images[0, outside > 10].any() and (images[classes > 0] > 0).mean() > 0.97


def test_beyond_the_label_map_is_background(phantom):
    cut = phantom[:, :, 12:]  # the head extends to the map's border
    random_scan = make(Synthesis(), window=(24, 24, 24))
    images, classes = run(random_scan, cut[None], random_scan.draw([(11.5, 11.5, -0.5)], seed=0))
    assert (images[0, :, :, :12] == 7).all() and not classes[0, :, :, :12].any()
    assert np.array_equal(classes[0, :, :, 12:], TABLE.classes()[cut])


@pytest.mark.parametrize("axis", range(3))
def test_windows_of_one_slice(axis, phantom):
    window = [12, 12, 12]
    window[axis] = 1
    random_scan = make(EVERYTHING, tuple(window), spacing=2.0)
    images, classes = run(random_scan, phantom[None], random_scan.draw(CENTRE, seed=2))
    assert images.shape == classes.shape == (1, *window) and np.isfinite(images).all() and classes.any()


def test_label_maps_of_two_axes(phantom):
    random_scan = make(EVERYTHING, (20, 22))
    images, classes = run(random_scan, phantom[None, :, :, 12], random_scan.draw([(11.5, 11.5)], seed=2))
    assert images.shape == (1, 20, 22) and np.isfinite(images).all() and classes.any()


@pytest.mark.parametrize("normalization", ["zscore", "percentile"])
def test_scans_are_normalised_as_the_network_expects(normalization, phantom):
    random_scan = make(EVERYTHING, normalization=normalization)
    images, _ = run(random_scan, phantom[None], random_scan.draw(CENTRE, seed=2))
    if normalization == "zscore":
        assert abs(images.mean()) < 1e-4 and images.std() == pytest.approx(1, abs=1e-3)
    else:
        assert images.min() == 0 and images.max() == 1


def test_precision_does_not_follow_the_global_policy(phantom):
    draw = make(EVERYTHING).draw(CENTRE, seed=0)
    expected = run(make(EVERYTHING), phantom[None], draw)[0]
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        found = run(make.__wrapped__(EVERYTHING), phantom[None], draw)[0]
    finally:
        keras.mixed_precision.set_global_policy(before)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_layer_comes_back_from_its_config(phantom):
    random_scan = make(EVERYTHING, (10, 12, 14), "percentile", spacing=(2.0, 2.0, 1.5), map_spacing=1.1, lateral_axis=2)
    again = keras.layers.deserialize(keras.layers.serialize(random_scan))
    assert isinstance(again, RandomScan) and again.get_config() == random_scan.get_config()
    draws = [layer.draw(CENTRE, seed=6) for layer in (random_scan, again)]
    for first, second in zip(*(run(random_scan, phantom[None], draw) for draw in draws)):
        assert np.array_equal(first, second)


def test_other_settings_for_a_draw(phantom):
    random_scan = make(Synthesis())
    varied = random_scan.draw(CENTRE, 1, dataclasses.replace(MILD, flip=0.0))
    assert varied.geometry.nodes is not None and random_scan.draw(CENTRE, 1).geometry.nodes is None


def test_the_layer_for_a_network():
    expects = zoo.Input((20, 22, 24), "SLP", (2.0, 2.0, 2.0), "percentile")
    wanted = [zoo.Label(0, "background"), zoo.Label(2, "white matter"), zoo.Label(16, "stem")]
    random_scan = RandomScan.for_input(expects, TABLE, MILD, 1.5, wanted, {"41": 2}, name="scans")
    assert random_scan.frame == ((20, 22, 24), (2, 2, 2), (1.5, 1.5, 1.5), 1) and random_scan.name == "scans"
    assert random_scan.classes.tolist() == [0, 1, 1, 2, 0, 0] and random_scan.normalization == "percentile"
    as_it_is = RandomScan.for_input(zoo.Input((8, 8, 8)), TABLE, MILD, (1.0, 1.0, 2.0))
    assert as_it_is.frame.spacing == (1, 1, 2) and as_it_is.normalization == "zscore"
    with pytest.raises(zoo.RecordError, match=r"got a recipe without \[41\]; add them to its labels"):
        RandomScan.for_input(expects, TABLE, MILD, labels=wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"spacing": (1.0, 1.0)},
            r"expected `spacing` to be one number above 0, or 3, one for each axis, got \(1.0, 1.0\)",
        ),
        ({"map_spacing": 0.0}, "expected `map_spacing` to be one number above 0"),
        (
            {"lateral_axis": None},
            "expected `flip` to be 0 without an axis from left to right, got 0.5; give",
        ),
        ({"classes": [0, 1]}, "expected `classes` to have one class for each of the table's 6 labels, got 2"),
        ({"normalization": "ct"}, "expected `normalization` to be one of zscore, percentile, none, got 'ct'"),
    ],
)
def test_arguments_that_do_not_fit_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomScan(**{"table": TABLE, "window": (24, 24, 24), "settings": MILD, **arguments})


def test_label_maps_have_the_axes_of_the_window(phantom):
    random_scan = make()
    with pytest.raises(ValueError, match=r"a batch axis and the window\'s 3 axes, got shape \(24, 24, 24\)"):
        random_scan(phantom, random_scan.draw(CENTRE, 0))


def test_a_flip_drawn_later_needs_an_axis_too():
    with pytest.raises(ValueError, match="expected `flip` to be 0 without an axis"):
        make(Synthesis(), lateral_axis=None).draw(CENTRE, 0, MILD)


def test_tissues_of_t1_scans_are_as_bright_as_those_of_a_real_template(brains, brain_table):
    """On the scale that a network sees; without noise, as templates are."""
    datasets = pytest.importorskip("nilearn.datasets")
    template, gm, wm = (
        getattr(datasets, f"load_mni152_{name}")(resolution=1).get_fdata()
        for name in ("template", "gm_template", "wm_template")
    )
    brain = template > 0
    template = volumes.normalize(template, "percentile")
    real = [template[where].mean() for where in (brain & (gm + wm < 0.05), gm > 0.8, wm > 0.8)]

    settings = Synthesis(prior_spread=1.0, skull_stripping=1.0)
    random_scan = RandomScan(brain_table, (98, 116, 94), settings, 2.0, brains.spacing, normalization="percentile")
    structures = np.array([label.id for label in brain_table.structures])
    means = []
    for seed in range(12):
        one = slice(seed % 2, seed % 2 + 1)
        image, classes = run(random_scan, brains.arrays[one], random_scan.draw(brains.centres[one], seed))
        ids = structures[classes]
        means.append([image[np.isin(ids, numbers)].mean() for numbers in ((4, 43), (3, 42), (2, 41))])
    # The template is the mean of many brains, whose white matter shines through its grey: by 0.15 of this scale.
    assert np.all(np.abs(np.mean(means, axis=0) - real) < (0.08, 0.17, 0.08))
    assert np.all(np.diff(np.mean(means, axis=0)) > 0.1)


SCAN = """
import sys
import keras, numpy as np
from synthesis.test_random_scan import scan_for_other_backends
np.savez(sys.argv[1], *scan_for_other_backends())
"""


def scan_for_other_backends():
    """Returns the scans of two examples under whichever backend is in use."""
    random_scan = RandomScan(TABLE, (40, 44, 40), EVERYTHING, 1.2)
    draw = random_scan.draw([(23.5, 23.5, 23.5)] * 2, seed=[3, 1, 4])
    return run(random_scan, np.stack([head(48)] * 2), draw)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_same_draw_makes_the_same_scan_under_another_backend(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip("this is the backend that is compared to")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": tests}
    path = tmp_path / "scan.npz"
    subprocess.run([sys.executable, "-c", SCAN, str(path)], check=True, env=environment, capture_output=True)
    with np.load(path) as other:
        images, classes = other["arr_0"], other["arr_1"]
    expected_images, expected_classes = scan_for_other_backends()
    # A place half-way between two voxels may be rounded to either: of 140,800 voxels, some.
    assert (classes == expected_classes).mean() > 0.9998
    assert (np.abs(images - expected_images) < 1e-3).mean() > 0.999

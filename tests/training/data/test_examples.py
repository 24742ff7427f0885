import dataclasses

import keras
import nibabel as nib
import numpy as np
import pytest
from training.synthetic import changed

from recalib_keras.datasets import DatasetError, LabelledScan
from recalib_keras.inference.preprocessing import PreprocessedScan
from recalib_keras.training.data.examples import Examples, Scan, read_scan
from recalib_keras.training.recipe_tables import Augmentation
from recalib_keras.zoo import Input, Label

LABELS = (Label(0, "background"), Label(53, "core"), Label(17, "shell"))


def numpy(batch):
    return tuple(keras.ops.convert_to_numpy(tensor) for tensor in batch)


def numbered_scan(shape, first=0):
    """Returns a scan in which each voxel has a value of its own, with classes that follow from it."""
    image = first + np.arange(np.prod(shape), dtype="float32").reshape(shape)
    return Scan(f"scan {first}", image, (image % 3).astype("uint8"))


@pytest.fixture
def plain(recipe):
    """The recipe without any change of examples."""
    return changed(recipe, augmentation=vars(Augmentation()))


@pytest.fixture
def scans():
    return [numbered_scan((14, 12, 16), first=10_000 * index) for index in range(3)]


def test_the_same_seed_epoch_and_step_give_the_same_batch(recipe, scans):
    once, again = numpy(Examples(scans, recipe, epoch=2)[3]), numpy(Examples(scans, recipe, epoch=2)[3])
    assert all(np.array_equal(a, b) for a, b in zip(once, again))


@pytest.mark.parametrize(("seed", "epoch", "step"), [(4, 2, 3), (3, 1, 3), (3, 2, 2)])
def test_another_seed_epoch_or_step_gives_another_batch(seed, epoch, step, recipe, scans):
    first = numpy(Examples(scans, recipe, epoch=2)[3])
    other = numpy(Examples(scans, dataclasses.replace(recipe, seed=seed), epoch)[step])
    assert not np.array_equal(first[0], other[0])


def test_batches_hold_images_and_classes_of_the_window(recipe, scans):
    images, classes = numpy(Examples(scans, recipe, epoch=0)[0])
    assert images.shape == classes.shape == (2, 12, 12, 12, 1)
    assert images.dtype == np.float32 and classes.dtype == np.uint8
    assert set(np.unique(classes)) <= {0, 1, 2}


def test_windows_are_cut_from_image_and_classes_alike(plain, scans):
    images, classes = numpy(Examples(scans, plain, epoch=0)[0])
    assert np.array_equal(np.rint(images) % 3, classes)
    corner = np.rint(images[0, 0, 0, 0, 0]) % 10_000
    start = np.array(np.unravel_index(int(corner), (14, 12, 16)))
    scan = scans[int(images[0, 0, 0, 0, 0] // 10_000)]
    cut = tuple(slice(begin, begin + 12) for begin in start)
    np.testing.assert_allclose(images[0, ..., 0], scan.image[cut], rtol=1e-5)


def test_an_epoch_draws_each_scan_as_often_as_asked(plain, scans):
    examples = Examples(scans, changed(plain, schedule={"examples_per_scan": 4, "batch_size": 5}), epoch=1)
    assert len(examples) == 3  # 12 windows in batches of 5; the last is filled up with the first ones' scans
    drawn = [int(image.flat[0] // 10_000) for step in range(3) for image in numpy(examples[step])[0]]
    assert [drawn[:12].count(index) for index in range(3)] == [4, 4, 4]
    assert drawn[12:] == drawn[:3]


def test_windows_reach_every_place(plain):
    examples = Examples([numbered_scan((14, 12, 12))], changed(plain, schedule={"examples_per_scan": 40}), epoch=0)
    starts = {int(np.rint(image.flat[0])) // 144 for step in range(len(examples)) for image in numpy(examples[step])[0]}
    assert starts == {0, 1, 2}


def test_a_scan_smaller_than_the_window_is_padded_with_its_edge_and_background(plain):
    scan = Scan("small", np.full((8, 12, 11), 5, "float32"), np.ones((8, 12, 11), "uint8"))
    images, classes = numpy(Examples([scan], plain, epoch=0)[0])
    np.testing.assert_allclose(images, 5, atol=1e-5)
    inside = np.zeros((12, 12, 12), bool)
    inside[2:10, :, :11] = True
    assert np.array_equal(classes[0, ..., 0] == 1, inside) and set(np.unique(classes)) == {0, 1}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_gets_slices_along_its_axis(axis, plain):
    window = tuple(1 if index == axis else 12 for index in range(3))
    shape = tuple(5 if index == axis else 12 for index in range(3))
    scan = numbered_scan(shape)
    examples = Examples([scan], changed(plain, input={"window": window}, schedule={"examples_per_scan": 30}), epoch=0)
    seen = set()
    for step in range(len(examples)):
        images, classes = numpy(examples[step])
        assert images.shape == classes.shape == (2, 12, 12, 1)
        for image in images[..., 0]:
            matching = [i for i in range(5) if np.allclose(image, scan.image.take(i, axis), atol=0.01)]
            assert len(matching) == 1
            seen.update(matching)
    assert seen == set(range(5))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_2d_network_may_see_the_slices_beside_its_own(axis, plain):
    """Beyond the scan its outermost slice is continued; the classes are those of the slice in the middle."""
    window = tuple(1 if index == axis else 12 for index in range(3))
    scan = numbered_scan(tuple(5 if index == axis else 12 for index in range(3)))
    recipe = changed(plain, input={"window": window, "context": 2}, schedule={"examples_per_scan": 30})
    seen = set()
    for step in range(len(Examples([scan], recipe, epoch=0))):
        for image, classes in zip(*numpy(Examples([scan], recipe, epoch=0)[step])):
            assert image.shape == (12, 12, 5) and classes.shape == (12, 12, 1)
            middle = next(i for i in range(5) if np.allclose(image[..., 2], scan.image.take(i, axis), atol=0.01))
            beside = scan.image.take(np.clip(np.arange(middle - 2, middle + 3), 0, 4), axis)
            np.testing.assert_allclose(image, np.moveaxis(beside, axis, -1), atol=0.01)
            assert np.array_equal(classes[..., 0], scan.classes.take(middle, axis))
            seen.add(middle)
    assert seen == set(range(5))


def test_recipes_of_other_shapes_follow_each_other_in_one_process(recipe, scans):
    for window, batch_size in [((12, 12, 12), 2), ((8, 8, 8), 2), ((8, 8, 8), 3), ((8, 1, 8), 3)]:
        tables = {"input": {"window": window}, "schedule": {"batch_size": batch_size}}
        images, _ = numpy(Examples(scans, changed(recipe, **tables), epoch=0)[0])
        assert images.shape == (batch_size, *(size for size in window if size > 1), 1)


@pytest.mark.parametrize("window", [(33, 1, 9), (33, 33, 9)])
def test_a_ball_in_flat_voxels_stays_a_ball_when_it_is_turned(window, plain):
    spacing = np.array([1.0, 1.0, 4.0])
    places = np.moveaxis(np.indices((33, 33, 9)), 0, -1) - [16, 16, 4]
    image = np.exp(-np.square(places * spacing).sum(axis=-1) / 50).astype("float32")
    slab = image[:, 16:17] if window[1] == 1 else image
    scan = Scan("ball", slab, np.zeros(slab.shape, "uint8"), spacing=tuple(spacing))
    recipe = changed(plain, input={"window": window}, augmentation={"rotation": 30.0})
    turned, _ = numpy(Examples([scan], recipe, epoch=0)[0])
    np.testing.assert_allclose(turned[..., 0], [slab.squeeze()] * 2, atol=0.1)


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes image and labels and returns them as a labelled scan."""

    def write_both(image, labels, affine=None, label_affine=None):
        affine = np.eye(4) if affine is None else affine
        nib.save(nib.Nifti1Image(image, affine), tmp_path / "image.nii")
        nib.save(nib.Nifti1Image(labels, affine if label_affine is None else label_affine), tmp_path / "labels.nii")
        return LabelledScan("scan", tmp_path / "image.nii", tmp_path / "labels.nii")

    return write_both


@pytest.fixture
def image():
    return np.arange(8 * 6 * 4, dtype="float32").reshape(8, 6, 4)


def test_scans_are_turned_resampled_and_normalised(write, image):
    labels = np.zeros(image.shape, "int16")
    labels[:4], labels[4:] = 53, 17
    affine = np.diag([-2.0, 1, 1, 1])  # the first axis grows to the left, in steps of 2 mm
    scan = read_scan(write(image, labels, affine), Input((8, 8, 8), "RAS", (1.0, 1.0, 1.0)), LABELS)
    assert scan.image.shape == scan.classes.shape == (16, 6, 4)
    assert scan.image.dtype == np.float32 and scan.classes.dtype == np.uint8 and scan.spacing == (1, 1, 1)
    assert scan.image.mean() == pytest.approx(0, abs=1e-5) and scan.image.std() == pytest.approx(1, abs=1e-5)
    assert scan.image[0, 0, 0] > scan.image[-1, 0, 0]
    assert (scan.classes[:8] == 2).all() and (scan.classes[8:] == 1).all()  # 17 is the third label, 53 the second


def test_no_spacing_leaves_the_voxels(write, image):
    labels = (image > 90).astype("uint8") * 17
    scan = read_scan(write(image, labels, np.diag([2, 1, 1, 1])), Input((8, 8, 8), normalization="none"), LABELS)
    assert np.array_equal(scan.image, image) and np.array_equal(scan.classes, 2 * (image > 90))
    assert scan.spacing == (2, 1, 1)


@pytest.mark.parametrize(
    "label_affine", [np.diag([-1.0, 1, 1, 1]), np.array([[1.0, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])]
)
def test_refuses_labels_that_stand_elsewhere(label_affine, write, image):
    labelled = write(image, np.zeros(image.shape, "uint8"), label_affine=label_affine)
    with pytest.raises(DatasetError, match=r"labels\.nii: expected the grid of its scan, "):
        read_scan(labelled, Input((8, 8, 8)), LABELS)


def test_refuses_labels_of_another_shape(write, image):
    with pytest.raises(DatasetError, match=r"expected the grid of its scan, 8 x 6 x 4 .*, got one of 4 x 6 x 8"):
        read_scan(write(image, np.zeros((4, 6, 8), "uint8")), Input((8, 8, 8)), LABELS)


def test_refuses_a_number_that_is_no_label(write, image):
    labels = np.zeros(image.shape, "uint8")
    labels[0, 0, :3] = (18, 17, 3)
    with pytest.raises(DatasetError, match=r"expected the labels \[0, 53, 17\], got \[3, 18\] too; add them to the"):
        read_scan(write(image, labels), Input((8, 8, 8)), LABELS)


def test_beyond_an_oblique_scan_its_edge_and_no_structure_continue(write):
    """The network sees it straight, as in use: see `recalib_keras.inference.preprocessing`."""
    affine = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    image = np.random.default_rng(0).normal(50, 10, (10, 12, 6)).astype("float32")
    expects = Input((8, 8, 8), "SAR", (1.0, 1.0, 1.0), "zscore")
    labelled = write(image, np.full(image.shape, 53, "uint8"), affine)
    scan = read_scan(labelled, expects, (Label(9, "background"), *LABELS[1:]))
    seen = PreprocessedScan(labelled.read()[0], expects)
    assert np.array_equal(scan.image, seen[:, :, :]) and scan.image.shape[0] == 6
    places = np.einsum("ij,jxyz->ixyz", np.linalg.solve(affine, seen.grid.affine)[:3, :3], np.indices(seen.shape))
    places += np.linalg.solve(affine, seen.grid.affine)[:3, 3, None, None, None]
    inside = np.all([(place > -0.5) & (place < size - 0.5) for place, size in zip(places, image.shape)], axis=0)
    assert np.array_equal(scan.classes, inside.astype("uint8")) and not inside.all()

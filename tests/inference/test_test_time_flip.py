import numpy as np
import pytest

from recalib_keras.inference import Segmenter
from recalib_keras.inference.test_time_flip import with_flip
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, WeightSet

LABELS = (Label(0, "background"), Label(17, "left", mirror=53), Label(53, "right", mirror=17), Label(4, "ventricle"))


def test_average_by_hand():
    """On two voxels beside each other, the network says "left" with the probability that the first one's value is."""

    def predict(windows):
        left = np.broadcast_to(windows[:, :1], windows.shape)
        return np.concatenate([np.zeros_like(left), left, 1 - left, np.zeros_like(left)], axis=-1)

    windows = np.array([0.75, 0.25], "float32").reshape(1, 2, 1, 1, 1)
    result = with_flip(predict, LABELS, 0)(windows)[0, :, 0, 0]
    # Of the scan: left 0.75, right 0.25. Of its mirror image: left 0.25, right 0.75, that is, mirrored back, the same.
    np.testing.assert_allclose(result, [[0, 0.75, 0.25, 0]] * 2)
    # On the sum of both voxels, of which the mirror image has the same, the sides cannot be told apart.
    same = with_flip(lambda x: predict(np.broadcast_to(x.mean(1, keepdims=True), x.shape)), LABELS, 0)(3 * windows / 2)
    np.testing.assert_allclose(same[0, :, 0, 0], [[0, 0.5, 0.5, 0]] * 2)


def test_the_network_may_write_over_its_last_result():
    written, windows = np.empty((3, 4, 4, 4, 4), "float32"), np.random.default_rng(0).uniform(size=(3, 4, 4, 4, 1))

    def writing(windows):
        written[...] = one_sided(windows)
        return written

    assert np.array_equal(with_flip(writing, LABELS, 0)(windows), with_flip(one_sided, LABELS, 0)(windows))


def one_sided(windows):
    """A network that calls what is bright "left" in the first half of a window and "right" in the other, and errs:
    where two bright voxels follow each other along the axis, it calls the second one a ventricle."""
    half = windows.shape[1] // 2
    bright = windows[..., 0] > 0.5
    side = np.arange(windows.shape[1])[None, :, None, None] < half
    after = np.zeros_like(bright)
    after[:, 1:] = bright[:, :-1]
    score = np.stack([0.3 * ~bright, 0.6 * (bright & side), 0.6 * (bright & ~side), 1.0 * (bright & after)], -1)
    return score.astype("float32")


@pytest.mark.parametrize(("orientation", "axis"), [("RAS", 0), ("LIA", 0), ("PSR", 2), ("ALS", 1)])
def test_the_mirrored_scan_has_the_mirrored_labels(orientation, axis):
    window = tuple(8 if index == axis else 6 for index in range(3))

    def predict(windows):  # the network looks along its own left-right axis
        return np.moveaxis(one_sided(np.moveaxis(windows, axis + 1, 1)), 1, axis + 1)

    described = WeightSet("", Network("UNet"), Input(window, orientation, None, "none"), LABELS, "a.safetensors", "", 0)
    array = (np.random.default_rng(0).uniform(size=(12, 9, 7)) > 0.6).astype("float32")
    affine = np.eye(4)
    affine[0, 3] = -(12 - 1) / 2  # the plane of symmetry is in the middle
    scan, mirror_image = (Volume(values, Grid(array.shape, affine)) for values in (array, array[::-1].copy()))

    def swap(labels):
        return np.where(labels == 17, 53, np.where(labels == 53, 17, labels))

    plain, both = (Segmenter(described, predict, flips=flips) for flips in (False, True))
    assert set(np.unique(both(scan).labels)) == {0, 4, 17, 53}
    assert np.array_equal(both(mirror_image).labels, swap(both(scan).labels)[::-1])
    assert not np.array_equal(plain(mirror_image).labels, swap(plain(scan).labels)[::-1])


def test_a_sagittal_slice_has_no_mirror_image():
    """Left and right would tie, if it were averaged with itself under exchanged labels."""

    def predict(windows):
        return np.broadcast_to(np.float32([0.1, 0.2, 0.4, 0.3]), (*windows.shape[:-1], 4))

    described = WeightSet("", Network("UNet"), Input((1, 8, 8)), LABELS, "a.safetensors", "", 0)
    scan = Volume(np.random.default_rng(0).normal(size=(3, 8, 8)).astype("float32"), Grid((3, 8, 8), np.eye(4)))
    assert (Segmenter(described, predict, flips=True)(scan).labels == 53).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((Label(0, "background"), Label(17, "left", mirror=53)), "17 \\('left'\\), whose mirror 53 is not a label"),
        (
            (Label(0, "background"), Label(17, "left", mirror=53), Label(53, "right")),
            "17 \\('left'\\), whose mirror 53 has the mirror 53",
        ),
    ],
)
def test_sides_that_do_not_name_each_other(labels, message):
    described = WeightSet("", Network("UNet"), Input((4, 4, 4)), labels, "a.safetensors", "", 0)
    with pytest.raises(ValueError, match=message):
        Segmenter(described, one_sided, flips=True)

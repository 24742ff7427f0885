import dataclasses
import functools
from pathlib import Path

import keras
import numpy as np
import pytest
from synthesis.heads import TABLE, head

from recalib_keras.synthesis import MILD, GeneratedExamples, LabelMaps, RandomScan, Synthesis
from recalib_keras.synthesis.geometry import whole_slices
from recalib_keras.synthesis.label_maps import bounds
from recalib_keras.zoo import Input

MAPS = LabelMaps(
    files=(Path("first.nii"), Path("second.nii"), Path("third.nii")),
    arrays=np.stack([head(), head()[::-1], np.where(head() == 3, 1, head())]),
    spacing=(1.0, 1.0, 1.0),
    brains=np.array([bounds(TABLE.is_segmented[head()])] * 3),
    heads=np.array([[24, 24, 24]] * 3),
)


@functools.cache  # compiling one takes seconds
def random_scan(settings, window):
    return RandomScan(TABLE, window, settings)


def examples(settings=MILD, window=(16, 16, 16), steps=4, **arguments):
    return GeneratedExamples(MAPS, random_scan(settings, window), steps, **arguments)


def arrays(batch):
    return [keras.ops.convert_to_numpy(tensor) for tensor in batch]


def test_batches_are_images_and_classes():
    batches = examples(batch_size=2)
    assert len(batches) == 4
    for step in range(4):
        images, classes = arrays(batches[step])
        assert images.shape == classes.shape == (2, 16, 16, 16, 1)
        assert images.dtype == "float32" and classes.dtype == "uint8" and set(np.unique(classes)) <= {0, 1, 2, 3}


def test_label_maps_take_turns():
    batches = examples(batch_size=2, steps=6)
    files = [file for step in range(6) for file in batches.files(step)]
    assert {file: files.count(file) for file in files} == {"first.nii": 4, "second.nii": 4, "third.nii": 4}
    assert sorted(files[:3]) == sorted(files[3:6]) == ["first.nii", "second.nii", "third.nii"]
    orders = {tuple(examples(steps=3, epoch=epoch).order) for epoch in range(12)}
    assert len(orders) > 2


def test_examples_follow_from_seed_epoch_and_step():
    first, again = examples(seed=1), examples(seed=1)
    for step in (0, 3):
        for one, other in zip(arrays(first[step]), arrays(again[step])):
            assert np.array_equal(one, other)
    images = [arrays(batches[1])[0] for batches in (first, examples(seed=2), examples(seed=1, epoch=1))]
    assert not np.array_equal(images[0], images[1]) and not np.array_equal(images[0], images[2])
    assert not np.array_equal(arrays(first[0])[0], arrays(first[1])[0])


def test_batches_made_ahead_are_the_same():
    batches = examples()
    expected = [arrays(batches[step]) for step in range(4)]
    batches.on_epoch_begin()
    try:
        for step in range(4):
            for one, other in zip(arrays(batches[step]), expected[step]):
                assert np.array_equal(one, other)
    finally:
        batches.on_epoch_end()


def test_a_share_of_a_batch_is_that_of_the_whole():
    whole, part = examples(batch_size=4), examples(batch_size=4, share=slice(1, 3))
    for one, other in zip(arrays(whole[0]), arrays(part[0])):
        np.testing.assert_allclose(other, one[1:3], atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_networks_of_slices_get_slices_of_one_scan(axis):
    slices, whole = examples(slice_axis=axis, batch_size=16), examples()
    assert len(slices.files(0)) == 1 and len(slices) == 4
    for found, scan in zip(arrays(slices[1]), arrays(whole[1])):
        assert found.shape == (16, 16, 16, 1) and found.dtype == scan.dtype
        expected = [part.tobytes() for part in np.moveaxis(scan[0], axis, 0)]
        assert sorted(part.tobytes() for part in found) == sorted(expected)
        assert [part.tobytes() for part in found] != expected
    few = arrays(examples(slice_axis=axis, batch_size=3)[1])[1]
    many = arrays(examples(slice_axis=axis, batch_size=40)[1])[1]
    assert few.shape == (3, 16, 16, 1) and many.shape == (40, 16, 16, 1)
    shared = arrays(examples(slice_axis=axis, batch_size=16, share=slice(4, 9))[1])
    assert all(np.array_equal(one, other[4:9]) for one, other in zip(shared, arrays(slices[1])))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_networks_of_slices_may_see_those_beside(axis):
    alone, among = (arrays(examples(slice_axis=axis, batch_size=16, context=context)[1]) for context in (0, 2))
    assert among[0].shape == (16, 16, 16, 5) and np.array_equal(among[1], alone[1])
    scan = np.moveaxis(arrays(examples()[1])[0][0, ..., 0], axis, 0)
    for image, middle in zip(among[0], alone[0]):
        place = next(place for place in range(16) if np.array_equal(scan[place], middle[..., 0]))
        beside = np.clip(np.arange(place - 2, place + 3), 0, 15)  # beyond the scan its outermost slice is continued
        assert np.array_equal(np.moveaxis(image, -1, 0), scan[beside])


@pytest.mark.parametrize(
    ("window", "orientation", "whole"),
    [((8, 9, 7), "RAS", (8, 9, 7)), ((1, 9, 7), "RAS", (96, 9, 7)), ((8, 9, 1), "SLP", (8, 9, 112))],
)
def test_slices_come_from_all_of_the_head(window, orientation, whole):
    assert whole_slices(window, orientation, (2.0, 2.0, 2.0)) == whole
    expects = Input(window, orientation, (2.0, 2.0, 2.0))
    assert RandomScan.for_input(expects, TABLE, MILD, 1.0).frame.window == whole


def test_windows_lie_around_the_brain_or_anywhere():
    around = examples(Synthesis(), steps=40, window=(6, 6, 6))
    anywhere = examples(Synthesis(anywhere=1.0), steps=40, window=(6, 6, 6))
    assert all(arrays(around[step])[1].all() for step in range(6))
    shares = [(arrays(anywhere[step])[1] > 0).mean() for step in range(40)]
    assert min(shares) == 0 and max(shares) > 0.5


def test_small_windows_lie_all_over_the_brain():
    within = examples(Synthesis(within_brain=1.0), steps=40, window=(6, 6, 6))
    shares = [(arrays(within[step])[1] > 0).mean() for step in range(40)]
    assert 0 < min(shares) < 0.5 and max(shares) == 1
    middles = np.array([within._centre(0, rng) for rng in map(np.random.default_rng, range(200))])
    first, last = MAPS.brains[0].T
    assert (middles >= first).all() and (middles <= last).all()
    np.testing.assert_allclose([middles.min(axis=0), middles.max(axis=0)], [first, last], atol=1)


def test_settings_may_change_without_another_layer():
    random_scan = RandomScan(TABLE, (16, 16, 16), MILD)
    other = dataclasses.replace(MILD, rotation=40.0)
    batches = [GeneratedExamples(MAPS, random_scan, 1, settings=settings) for settings in (None, MILD, other)]
    classes = [arrays(one[0])[1] for one in batches]
    assert np.array_equal(classes[0], classes[1]) and not np.array_equal(classes[0], classes[2])


def test_a_network_learns_from_them():
    model = keras.Sequential(
        [keras.Input((16, 16, 16, 1)), keras.layers.Conv3D(4, 3, padding="same", activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    loss = model.fit(examples(batch_size=2), epochs=1, verbose=0).history["loss"][0]
    assert np.isfinite(loss)


def test_windows_and_maps_must_fit():
    with pytest.raises(ValueError, match=r"expected label maps with voxels of \(2.0, 2.0, 2.0\) mm, got \(1.0"):
        GeneratedExamples(MAPS, RandomScan(TABLE, (8, 8, 8), MILD, map_spacing=2.0), 1)

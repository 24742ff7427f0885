import keras
import numpy as np
import pytest
from synthesis.heads import AIR, BONE, LEFT, RIGHT, SKIN, STEM, TABLE

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.masking import ALL, HEAD_SHARE, SHARES, Removal, draw_removal, remove

SPACING = (2.0, 2.0, 2.0)


def removed(image, labels, *removals, spacing=SPACING):
    return removed_with_classes(image, labels, labels, *removals, spacing=spacing)[0]


def removed_with_classes(image, classes, labels, *removals, spacing=SPACING):
    stacked = Removal(*(keras.ops.convert_to_tensor(np.stack(parts)) for parts in zip(*removals)))
    arrays = (keras.ops.convert_to_tensor(array) for array in (image, classes, labels))
    return [keras.ops.convert_to_numpy(array) for array in remove(*arrays, stacked, spacing)]


def test_nothing_is_drawn_where_nothing_is_removed(rng):
    assert draw_removal(Synthesis(background_value=9.0), TABLE, rng) is None


def test_a_stripped_skull_leaves_the_brain_and_one_value(phantom, rng):
    removal = draw_removal(Synthesis(skull_stripping=1.0), TABLE, rng)
    image = removed(np.full((1, 24, 24, 24), 50, "float32"), phantom[None], removal)[0]
    assert set(np.unique(image)) == {0, 50}
    assert (image[np.isin(phantom, [LEFT, RIGHT, STEM])] == 50).mean() > 0.97
    assert (image[phantom == AIR] == 0).all() and (image[phantom == SKIN] == 0).mean() > 0.5


def test_what_is_stripped_is_no_structure_any_more_but_the_brain_is(phantom, rng):
    removal = draw_removal(Synthesis(skull_stripping=1.0), TABLE, rng)
    classes = 1 + phantom  # bone and skin are segmented too
    image, seen = removed_with_classes(np.full((1, 24, 24, 24), 50, "float32"), classes[None], phantom[None], removal)
    is_brain, is_gone = np.isin(phantom, [LEFT, RIGHT, STEM]), image[0] == 0
    assert (seen[0] == classes)[is_brain | ~is_gone].all()
    assert (seen[0] == 0)[is_gone & ~is_brain].all() and is_gone[phantom == SKIN].any()
    assert seen.dtype == classes.dtype


def test_skulls_are_stripped_more_or_less_tightly():
    labels = np.zeros((1, 60, 3, 3), "uint8")
    labels[:, :30] = LEFT
    image = np.ones(labels.shape, "float32")
    kept = TABLE.is_segmented.astype("float32")
    ends = []
    for share in SHARES:
        result = removed(image, labels, Removal(kept, np.float32(share), np.float32(0)), spacing=(1, 1, 1))
        ends.append(int(result[0, :, 1, 1].sum()) - 30)
    # On a plane a Gaussian of 4 mm falls to 0.1 at 1.28 deviations and to 0.4 at 0.25.
    assert ends == [5, 1]


def test_air_of_one_value_begins_at_the_head(phantom, rng):
    removal = draw_removal(Synthesis(constant_background=1.0, background_value=80.0), TABLE, rng)
    assert removal.shares == np.float32(HEAD_SHARE)
    image = removed(np.full((1, 24, 24, 24), 90, "float32"), phantom[None], removal)[0]
    assert set(np.unique(image)) == {removal.fills, 90}
    assert (image[np.isin(phantom, [LEFT, RIGHT, STEM, BONE])] == 90).all()
    assert (image[:, 0, 0] == removal.fills).all()


def test_examples_without_a_removal_keep_all(phantom):
    whole = Removal(np.ones(6, "float32"), np.float32(ALL), np.float32(7))
    bare = Removal(TABLE.is_segmented.astype("float32"), np.float32(0.3), np.float32(7))
    image = np.full((2, 24, 24, 24), 50, "float32")
    result = removed(image, np.stack([phantom, phantom]), whole, bare)
    assert (result[0] == 50).all() and (result[1] == 7).any()


def test_how_often_what_is_removed(rng):
    settings = Synthesis(skull_stripping=0.3, constant_background=0.5, background_value=60.0)
    drawn = [draw_removal(settings, TABLE, rng) for _ in range(2000)]
    is_stripped = np.array([removal.kept[SKIN] == 0 for removal in drawn])
    assert is_stripped.mean() == pytest.approx(0.3, abs=0.04)
    shares = np.array([removal.shares for removal in drawn])
    assert (shares[is_stripped] >= SHARES[0] - 1e-6).all() and (shares[is_stripped] <= SHARES[1]).all()
    assert (shares[~is_stripped] == ALL).mean() == pytest.approx(0.5, abs=0.05)
    fills = np.array([removal.fills for removal in drawn])
    assert (fills == 0).mean() == pytest.approx(0.5, abs=0.05) and 50 < fills.max() <= 60

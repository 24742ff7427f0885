import keras
import numpy as np
import pytest
from synthesis.heads import AIR, BONE, LEFT, RIGHT, SKIN, STEM, TABLE

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.masking import ALL, HEAD_SHARE, SHARES, Mask, apply_mask, draw_mask

SPACING = (2.0, 2.0, 2.0)


def masked(image, labels, *masks, spacing=SPACING):
    return masked_with_classes(image, labels, labels, *masks, spacing=spacing)[0]


def masked_with_classes(image, classes, labels, *masks, spacing=SPACING):
    stacked = Mask(*(keras.ops.convert_to_tensor(np.stack(parts)) for parts in zip(*masks)))
    arrays = (keras.ops.convert_to_tensor(array) for array in (image, classes, labels))
    return [keras.ops.convert_to_numpy(array) for array in apply_mask(*arrays, stacked, spacing)]


def test_nothing_is_drawn_where_nothing_is_removed(rng):
    assert draw_mask(Synthesis(background_value=9.0), TABLE, rng) is None


def test_a_stripped_skull_leaves_the_brain_and_one_value(phantom, rng):
    mask = draw_mask(Synthesis(skull_stripping=1.0), TABLE, rng)
    image = masked(np.full((1, 24, 24, 24), 50, "float32"), phantom[None], mask)[0]
    assert set(np.unique(image)) == {0, 50}
    assert (image[np.isin(phantom, [LEFT, RIGHT, STEM])] == 50).mean() > 0.97
    assert (image[phantom == AIR] == 0).all() and (image[phantom == SKIN] == 0).mean() > 0.5


def test_what_is_stripped_is_no_structure_any_more_but_the_brain_is(phantom, rng):
    mask = draw_mask(Synthesis(skull_stripping=1.0), TABLE, rng)
    classes = 1 + phantom  # bone and skin are segmented too
    image, seen = masked_with_classes(np.full((1, 24, 24, 24), 50, "float32"), classes[None], phantom[None], mask)
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
        result = masked(image, labels, Mask(kept, np.float32(share), np.float32(0)), spacing=(1, 1, 1))
        ends.append(int(result[0, :, 1, 1].sum()) - 30)
    # On a plane a Gaussian of 4 mm falls to 0.1 at 1.28 deviations and to 0.4 at 0.25.
    assert ends == [5, 1]


def test_air_of_one_value_begins_at_the_head(phantom, rng):
    mask = draw_mask(Synthesis(constant_background=1.0, background_value=80.0), TABLE, rng)
    assert mask.shares == np.float32(HEAD_SHARE)
    image = masked(np.full((1, 24, 24, 24), 90, "float32"), phantom[None], mask)[0]
    assert set(np.unique(image)) == {mask.fills, 90}
    assert (image[np.isin(phantom, [LEFT, RIGHT, STEM, BONE])] == 90).all()
    assert (image[:, 0, 0] == mask.fills).all()


def test_examples_without_a_removal_keep_all(phantom):
    whole = Mask(np.ones(6, "float32"), np.float32(ALL), np.float32(7))
    bare = Mask(TABLE.is_segmented.astype("float32"), np.float32(0.3), np.float32(7))
    image = np.full((2, 24, 24, 24), 50, "float32")
    result = masked(image, np.stack([phantom, phantom]), whole, bare)
    assert (result[0] == 50).all() and (result[1] == 7).any()


def test_how_often_what_is_removed(rng):
    settings = Synthesis(skull_stripping=0.3, constant_background=0.5, background_value=60.0)
    drawn = [draw_mask(settings, TABLE, rng) for _ in range(2000)]
    is_stripped = np.array([mask.kept[SKIN] == 0 for mask in drawn])
    assert is_stripped.mean() == pytest.approx(0.3, abs=0.04)
    shares = np.array([mask.shares for mask in drawn])
    assert (shares[is_stripped] >= SHARES[0] - 1e-6).all() and (shares[is_stripped] <= SHARES[1]).all()
    assert (shares[~is_stripped] == ALL).mean() == pytest.approx(0.5, abs=0.05)
    fills = np.array([mask.fills for mask in drawn])
    assert (fills == 0).mean() == pytest.approx(0.5, abs=0.05) and 50 < fills.max() <= 60

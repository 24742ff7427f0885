from types import SimpleNamespace

import numpy as np

from recalib_keras.evaluation import Structure
from recalib_keras.evaluation.figures.color_vision import difference, is_visible_on_grey
from recalib_keras.evaluation.figures.structure_colors import as_shown


def side(number, name, color, mirror):
    return SimpleNamespace(id=number, name=name, color=color, mirror=mirror)


PALLIDUM = [side(13, "left pallidum", (12, 48, 255), 52), side(52, "right pallidum", (13, 48, 255), 13)]


def test_both_sides_share_colour_and_entry():
    left, right = as_shown(PALLIDUM)
    assert left.color == right.color and left.entry == right.entry == "pallidum"
    assert (left.id, left.name) == (13, "left pallidum")


def test_sides_of_two_colours_keep_them_apart():
    other = side(52, "right pallidum", (220, 60, 40), 13)
    left, right = as_shown([PALLIDUM[0], other])
    assert (left.entry, right.entry) == ("left pallidum", "right pallidum") and left.color != right.color
    assert as_shown(PALLIDUM[:1])[0].entry == "left pallidum"


def test_structures_in_white_and_grey_can_be_seen():
    shown = as_shown([Structure(2, "white matter", (245, 245, 245)), Structure(24, "fluid", (60, 60, 60))])
    assert is_visible_on_grey([one.color for one in shown]).all()


def test_the_whole_brain_of_the_zoo_can_be_told_apart():
    from recalib_keras import zoo

    structures = zoo.weight_set("densenet3d_pe", "whole_brain").labels[1:]
    shown = {one.entry: one.color for one in as_shown(structures)}
    assert len(shown) == 18  # 14 pairs of sides, and 4 structures in the middle
    colors = np.array(list(shown.values()))
    apart = difference(colors[:, None], colors[None])[~np.eye(len(colors), dtype=bool)]
    table = np.array(list({one.entry: old.color for one, old in zip(as_shown(structures), structures)}.values()))
    before = difference(table[:, None], table[None])[~np.eye(len(colors), dtype=bool)]
    assert apart.min() > 0.07 > 5 * before.min()


def test_no_structures():
    assert as_shown([]) == []

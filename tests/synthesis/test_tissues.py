import keras
import numpy as np
import pytest
from synthesis.heads import AIR, BONE, LEFT, PRIOR, RIGHT, SKIN, STEM, TABLE

from recalib_keras.synthesis import Synthesis
from recalib_keras.synthesis.geometry import Frame
from recalib_keras.synthesis.tissues import Tissues, draw_tissues, paint

FRAME = Frame((12, 12, 12), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0), 0)
T1_MEANS = [7, 150, 150, 90, 120, 40]


def drawn(settings, count, rng):
    """Returns means and deviations of many draws, each `(count, labels)`."""
    tissues = [draw_tissues(settings, TABLE, FRAME, rng) for _ in range(count)]
    return np.array([one.means for one in tissues]), [one.deviations for one in tissues]


def painted(*arguments):
    as_tensors = keras.tree.map_structure(
        lambda x: None if x is None else keras.ops.convert_to_tensor(x), list(arguments)
    )
    return keras.ops.convert_to_numpy(paint(*as_tensors))


def test_without_variety_tissues_look_as_the_prior_has_them(rng):
    means, deviations = drawn(Synthesis(), 2, rng)
    assert means.tolist() == [T1_MEANS] * 2 and deviations == [None, None]
    _, deviations = drawn(Synthesis(texture=0.5), 1, rng)
    assert deviations[0].tolist() == [2, 6, 6, 5, 10, 4.5]


def test_t1_scans_differ_as_the_prior_says(rng):
    means, _ = drawn(Synthesis(prior_spread=2.0), 2000, rng)
    classes = [0, 1, 1, 2, 3, 4]
    np.testing.assert_allclose(means.mean(axis=0), T1_MEANS, rtol=0.02)
    np.testing.assert_allclose(means.std(axis=0), 2 * np.array(PRIOR.mean_sigma)[classes], rtol=0.08)
    assert np.array_equal(means[:, LEFT], means[:, RIGHT])


def test_random_contrasts_are_even_and_alike_on_both_sides(rng):
    settings = Synthesis(random_contrast=1.0, texture=2.0, mean_range=(50.0, 150.0), deviation_range=(5.0, 10.0))
    means, deviations = drawn(settings, 1000, rng)
    deviations = np.array(deviations)
    inside = [LEFT, RIGHT, STEM, SKIN, BONE]
    assert means[:, inside].min() >= 50 and means[:, inside].max() <= 150
    assert means[:, STEM].std() == pytest.approx(100 / np.sqrt(12), rel=0.06)
    assert deviations[:, inside].min() >= 10 and deviations[:, inside].max() <= 20
    assert np.array_equal(means[:, LEFT], means[:, RIGHT]) and (means[:, AIR] == 7).all()
    assert abs(np.corrcoef(means[:, LEFT], means[:, STEM])[0, 1]) < 0.15


def test_some_contrasts_are_random_and_some_of_those_asymmetric(rng):
    means, _ = drawn(Synthesis(random_contrast=0.3, asymmetry=0.5), 1000, rng)
    is_random = means[:, STEM] != 90
    assert is_random.mean() == pytest.approx(0.3, abs=0.05)
    assert (means[is_random, LEFT] != means[is_random, RIGHT]).mean() == pytest.approx(0.5, abs=0.1)


def test_a_partly_removed_skull_looks_like_air(rng):
    means, _ = drawn(Synthesis(partial_skull=0.8), 1000, rng)
    assert (means[:, SKIN] == 7).mean() == pytest.approx(0.4, abs=0.05)
    assert (means[:, BONE] == 7).mean() == pytest.approx(0.4, abs=0.05)
    assert (means[:, [LEFT, RIGHT, STEM]] == [150, 150, 90]).all()


def test_a_voxel_is_the_mean_of_its_places():
    tissues = Tissues(np.array([[0, 40, 100]], "float32"), np.array([[0, 2, 6]], "float32"), None)
    places = [np.array([[0, 1, 2]], "uint8"), np.array([[0, 2, 2]], "uint8")]
    noise = np.array([[3, 0.5, -1]], "float32")
    assert painted(places, tissues, noise)[0].tolist() == [0, 72, 94]
    assert painted(places, tissues._replace(deviations=None), None)[0].tolist() == [0, 70, 100]


def test_intensities_are_not_negative():
    tissues = Tissues(np.array([[5]], "float32"), np.array([[10]], "float32"), None)
    noise = np.array([[-2, -0.25]], "float32")
    assert painted([np.zeros((1, 2), "uint8")], tissues, noise)[0].tolist() == [0, 2.5]


def test_texture_has_a_length_of_up_to_its_scale(rng):
    settings = Synthesis(texture=1.0, texture_scale=6.0)
    frame = FRAME._replace(window=(30, 1, 1))
    blurs = [draw_tissues(settings, TABLE, frame, rng).blurs for _ in range(200)]
    # A Gaussian's square is one of 1/√2 its deviation; a scale of 6 mm are 3 voxels.
    squares = np.array([line[0][:, 15] ** 2 for line in blurs])
    deviations = np.sqrt(2 * (squares * (np.arange(30) - 15) ** 2).sum(axis=1) / squares.sum(axis=1))
    assert deviations.max() < 3.1 and deviations.mean() == pytest.approx(1.5, abs=0.25)
    assert draw_tissues(Synthesis(texture=1.0), TABLE, FRAME, rng).blurs is None

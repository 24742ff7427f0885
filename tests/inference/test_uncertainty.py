import itertools
import math

import numpy as np
import pytest

from recalib_keras.inference import Ensemble, Segmenter, SlidingWindow, Uncertainty, View
from recalib_keras.inference import uncertainty as uncertainty_module
from recalib_keras.inference.uncertainty import normalized_entropy
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, WeightSet

LABELS = (Label(5, "background"), Label(17, "left", mirror=53), Label(53, "right", mirror=17))


def entropy_by_definition(probabilities):
    """Returns `-Σ p·log p / log K` of one voxel, in plain Python."""
    return -sum(p * math.log(p) for p in probabilities if p > 0) / math.log(len(probabilities))


@pytest.mark.parametrize(
    ("probabilities", "entropy"), [((0, 1), 0), ((0.5, 0.5), 1), ((0.25,) * 4, 1), ((0.5, 0.5, 0, 0), 0.5)]
)
@pytest.mark.parametrize("scale", [1, 0.2, 7])
def test_entropy_by_hand_whatever_the_probabilities_sum_to(probabilities, entropy, scale):
    sums = np.float32(scale) * np.array(probabilities, "float32")
    assert normalized_entropy(sums) == pytest.approx(entropy, abs=1e-6)


def test_entropy_is_what_it_is_defined_as_and_stays_in_range():
    probabilities = np.random.default_rng(0).dirichlet(np.full(6, 0.3), (50, 4)).astype("float32")
    expected = [[entropy_by_definition(voxel) for voxel in row] for row in probabilities.tolist()]
    np.testing.assert_allclose(normalized_entropy(probabilities), expected, atol=1e-5)
    nearly_sure = np.eye(104, dtype="float32")[[3]] * np.float32(1 - 1e-7) + np.float32(1e-9)
    assert 0 <= normalized_entropy(nearly_sure)[0] < 1e-5


def test_probabilities_of_zero_are_no_error():
    assert np.isfinite(normalized_entropy(np.zeros((2, 3), "float32"))).all()


def test_entropy_of_what_is_no_number_is_none():
    assert np.isnan(normalized_entropy(np.array([np.nan, 0.5], "float32")))


def test_means_by_hand():
    labels = [*LABELS, Label(60, "nowhere")]
    seen = Uncertainty(labels)
    seen.observe(np.array([[0, 1]]), np.array([[[1.0, 0, 0, 0], [0, 0.5, 0.5, 0]]]))
    seen.observe(np.array([[1, 2]]), np.array([[[0, 2.0, 0, 0], [0.25, 0.25, 0.25, 0.25]]]))
    assert seen.by_structure == {5: 0, 17: pytest.approx(0.25), 53: pytest.approx(1)}
    assert seen.foreground == pytest.approx((0.5 + 0 + 1) / 3)


def test_of_nothing_nothing_is_known():
    assert (Uncertainty(LABELS).foreground, Uncertainty(LABELS).by_structure) == (None, {})
    background = Uncertainty(LABELS)
    background.observe(np.zeros((2, 3), int), np.broadcast_to([0.5, 0.25, 0.25], (2, 3, 3)))
    assert background.foreground is None and background.by_structure.keys() == {5}


def test_planes_are_looked_at_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    sums = rng.dirichlet(np.ones(3), (7, 5)).astype("float32")
    results = []
    for at_once in (1, 10, 10**6):
        monkeypatch.setattr(uncertainty_module, "VALUES_AT_ONCE", at_once)
        seen = Uncertainty(LABELS)
        seen.observe(sums.argmax(-1), sums)
        results.append(seen.by_structure)
    assert results[1] == pytest.approx(results[0]) and results[2] == pytest.approx(results[0])


def by_value(batch):
    """Predicts probabilities that depend on a voxel's value alone, so that windows make no difference."""
    scores = 1.1 + np.sin(batch * np.arange(1, 4))
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


def expected_of(image, *weighted):
    """Returns the mean entropy of each class that is there by definition, and of all but the first."""
    sums = sum(weight * predict(image[..., None]) for predict, weight in weighted)
    probabilities = (sums / sums.sum(-1, keepdims=True)).reshape(-1, sums.shape[-1])
    entropies = np.array([entropy_by_definition(voxel) for voxel in probabilities.tolist()])
    classes = probabilities.argmax(-1)
    by_class = {LABELS[k].id: entropies[classes == k].mean() for k in np.unique(classes)}
    return by_class, entropies[classes > 0].mean()


def assert_is(seen, expected):
    by_structure, foreground = expected
    assert seen.by_structure == pytest.approx(by_structure, abs=1e-4)
    assert seen.foreground == pytest.approx(foreground, abs=1e-4)


# Along each axis the image is smaller or larger than the window; with little memory it is done in blocks.
@pytest.mark.parametrize("shape", list(itertools.product((5, 13), (4, 9), (3, 11))))
@pytest.mark.parametrize("memory", [2**29, 500])
def test_each_voxel_counts_once_whatever_the_windows_and_the_memory(shape, memory):
    image, seen = np.random.default_rng(1).normal(size=shape).astype("float32"), Uncertainty(LABELS)
    observed = []

    def observe(classes, sums):
        observed.append(classes.size)
        np.testing.assert_allclose(sums.sum(-1), 1.2, rtol=1e-5)
        seen.observe(classes, sums)

    views = [View(by_value, (6, 6, 6)), View(lambda batch: by_value(batch + 1), (1, 8, 8), 0.2)]
    labels = SlidingWindow(views, 3, memory=memory, observe=observe).predict(image)
    assert sum(observed) == image.size
    assert np.array_equal(labels, SlidingWindow(views, 3).predict(image))
    assert_is(seen, expected_of(image, (by_value, 1.0), (lambda batch: by_value(batch + 1), 0.2)))


@pytest.fixture
def scan():
    return Volume(np.random.default_rng(2).normal(size=(9, 10, 7)).astype("float32"), Grid((9, 10, 7), np.eye(4)))


def segmenter(window, predict=by_value, flips=False):
    expects = Input(window, normalization="none")
    return Segmenter(WeightSet("test", Network("UNet"), expects, LABELS, "a.safetensors", "", 0), predict, flips)


def mirrored(batch):
    return by_value(batch)[..., [0, 2, 1]]


def other(batch):
    return by_value(batch - 0.5)


@pytest.mark.parametrize(
    ("make", "weighted"),
    [
        (lambda: segmenter((6, 6, 6)), [(by_value, 1)]),
        (lambda: segmenter((8, 1, 8)), [(by_value, 1)]),
        (lambda: segmenter((6, 6, 6), flips=True), [(by_value, 0.5), (mirrored, 0.5)]),
        (lambda: Ensemble([(segmenter((6, 6, 6)), 3), (segmenter((8, 8, 1), other), 1)]), [(by_value, 3), (other, 1)]),
    ],
    ids=["3-D", "2-D", "flips", "ensemble"],
)
def test_collected_by_whatever_segments(make, weighted, scan):
    found = make()(scan)
    assert np.array_equal(found.labels, make()(scan, measure_uncertainty=False).labels)
    assert_is(found.uncertainty, expected_of(scan.array, *weighted))


def test_nothing_is_computed_when_nobody_asks(scan, monkeypatch):
    monkeypatch.setattr(uncertainty_module, "normalized_entropy", None)
    assert segmenter((6, 6, 6))(scan, measure_uncertainty=False).uncertainty is None

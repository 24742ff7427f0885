import dataclasses

import numpy as np
import pytest

from recalib_keras.inference import Ensemble, Segmenter, SlidingWindow, View
from recalib_keras.volumes import Grid, Volume
from recalib_keras.zoo import Input, Label, Network, ReferenceRange, WeightSet

SIDED = (Label(0, "background"), Label(17, "left", mirror=53), Label(53, "right", mirror=17))
MERGED = (Label(0, "background"), Label(17, "either side"))
SLICES = {"sagittal": (1, 8, 8), "coronal": (8, 1, 8), "axial": (8, 8, 1)}


def constant(window, probabilities, labels=SIDED, **expects):
    """Returns a segmenter that gives every voxel the same probabilities."""

    def predict(windows):
        return np.broadcast_to(np.float32(probabilities), (*windows.shape[:-1], len(probabilities)))

    expects = Input(window, **{"normalization": "none", **expects})
    title = f"slices of {window}"
    return Segmenter(WeightSet(title, Network("UNet"), expects, labels, "a.safetensors", "", 0), predict)


@pytest.fixture
def scan():
    return Volume(np.random.default_rng(0).normal(size=(10, 12, 9)).astype("float32"), Grid((10, 12, 9), np.eye(4)))


@pytest.mark.parametrize(("weights", "label"), [((0.4, 0.4, 0.2), 17), ((0.2, 0.2, 0.6), 0), ((1, 1, 1), 0)])
def test_weighted_average_by_hand(weights, label, scan):
    """Of background 0.3, 0.4, 0.8 and left 0.6, 0.5, 0.2: 0.44 to 0.48, 0.62 to 0.34, and 1.5 to 1.3 thirds."""
    members = [
        constant(SLICES["axial"], (0.3, 0.6, 0.1)),
        constant(SLICES["coronal"], (0.4, 0.5, 0.1)),
        constant(SLICES["sagittal"], (0.8, 0.2, 0.0)),
    ]
    assert (Ensemble(zip(members, weights))(scan).labels == label).all()


def test_windows_of_any_size_count_by_their_weight_alone(scan):
    """A member whose windows overlap is not counted more often than one whose slices do not."""
    small, large = constant((4, 4, 4), (0.5, 0.4, 0.1)), constant(SLICES["axial"], (0.35, 0.55, 0.1))
    assert (Ensemble([(small, 1), (large, 1)])(scan).labels == 17).all()  # 0.85 to 0.95 halves
    assert (Ensemble([(small, 3), (large, 1)])(scan).labels == 0).all()  # 1.85 to 1.75 quarters


def test_three_views_of_a_network_that_tells_by_intensity(threshold_segmenter, scan):
    members = [(threshold_segmenter(window, ids=(0, 17, 53), thresholds=(0.5, 1.5)), 1) for window in SLICES.values()]
    truth = np.select([scan.array > 1.5, scan.array > 0.5], [53, 17], 0)
    lengths = []
    labels = Ensemble(members)(scan, progress=lambda tasks: lengths.append(len(tasks)) or tasks).labels
    assert np.array_equal(labels, truth)
    # Slices of each view, times the windows that cover one of 12 × 9, 10 × 9 and 10 × 12 voxels.
    assert lengths == [10 * 4 + 12 * 4 + 9 * 4]


def by_position(seed, window, num_classes=4):
    """Returns a predictor whose answer depends on a voxel's value and on where in the window it lies."""
    phases = np.random.default_rng(seed).uniform(1, 4, num_classes)
    place = np.sqrt(1 + np.arange(np.prod(window))).reshape(window)

    def predict(batch):
        scores = 1 + np.sin(batch * phases + 3.7 * place[None, ..., None] * phases)
        return (scores / scores.sum(-1, keepdims=True)).astype("float32")

    return predict


@pytest.mark.parametrize("memory", [2**29, 20_000, 3_000, 100])
def test_blocks_and_moving_slab_are_the_sum_over_the_whole_volume(memory):
    image = np.random.default_rng(1).normal(size=(11, 9, 10)).astype("float32")
    windows, weights = [(4, 6, 5), (1, 9, 10), (11, 9, 1), (14, 3, 10)], (0.5, 0.2, 0.2, 0.1)
    views = [View(by_position(seed, window), window, weights[seed]) for seed, window in enumerate(windows)]
    total = sum(view.weight * _averaged(image, view) for view in views)
    labels = SlidingWindow(views, 4, memory=memory).predict(image)
    ordered = np.sort(total, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > 1e-5  # beyond the rounding of float32
    assert clear.mean() > 0.99 and np.array_equal(labels[clear], total.argmax(-1)[clear])
    np.testing.assert_allclose(total.sum(-1), 1, atol=1e-6)


def _averaged(image, view):
    """Averages the windows of one view over the whole volume, in float64, with Gaussian weights."""
    starts = []
    recorded = SlidingWindow([view], 4, progress=lambda tasks: [starts.append(task.place) or task for task in tasks])
    recorded.predict(image)
    offsets = [(np.arange(size) - (size - 1) / 2) / (size / 8) for size in view.window]
    gaussian = np.exp(-sum(axis**2 for axis in np.meshgrid(*offsets, indexing="ij")) / 2)[..., None]
    missing = [(max(0, size - n) // 2, -(-max(0, size - n) // 2)) for size, n in zip(view.window, image.shape)]
    padded = np.pad(image, missing, mode="edge")
    total, sums = np.zeros((*padded.shape, 4)), np.zeros((*padded.shape, 1))
    for place in starts:
        corner = [start + before for start, (before, _) in zip(place, missing)]
        cut = tuple(slice(start, start + size) for start, size in zip(corner, view.window))
        total[cut] += gaussian * view.predict(padded[cut][None, ..., None])[0]
        sums[cut] += gaussian
    inside = tuple(slice(before, before + n) for (before, _), n in zip(missing, image.shape))
    return (total / sums)[inside]


@pytest.mark.parametrize(("axial", "label"), [((0.4, 0.5, 0.1), 17), ((0.4, 0.1, 0.5), 53), ((0.7, 0.2, 0.1), 0)])
def test_a_view_that_cannot_tell_the_sides_counts_for_both(axial, label, scan):
    """A sagittal 0.4 to 0.6, with weight 0.2: background 0.4 or 0.64, and of the sides 0.52 to 0.2 or 0.28 to 0.2."""
    members = [(constant(SLICES["axial"], axial), 0.8), (constant(SLICES["sagittal"], (0.4, 0.6), MERGED), 0.2)]
    assert (Ensemble(members)(scan).labels == label).all()
    assert (Ensemble(members[::-1])(scan).labels == label).all()


def test_stand_ins_by_number(scan):
    labels = (Label(0, "background"), Label(2, "left white matter"), Label(41, "right white matter"))
    merged = (Label(0, "background"), Label(2, "white matter"))
    members = [
        (constant(SLICES["axial"], (0.4, 0.1, 0.5), labels), 1),
        (constant(SLICES["sagittal"], (0.4, 0.6), merged), 1),
    ]
    assert (Ensemble(members, stand_ins={41: 2})(scan).labels == 41).all()
    with pytest.raises(ValueError, match=r"got none for \[41\] in 'slices of \(1, 8, 8\)'; give `stand_ins`"):
        Ensemble(members)


def test_labels_in_another_order_are_matched_by_their_numbers(scan):
    other = constant(SLICES["coronal"], (0.1, 0.8, 0.1), (SIDED[0], SIDED[2], SIDED[1]))
    assert (Ensemble([(constant(SLICES["axial"], (0.4, 0.35, 0.25)), 1), (other, 1)])(scan).labels == 53).all()


def test_engines_of_all_members(scan):
    members = [constant(window, (0.2, 0.5, 0.3)) for window in SLICES.values()]
    assert Ensemble([(member, 1) for member in members]).engines == [member.engine for member in members]


def familiar(segmenter, *typical):
    """Returns the segmenter with a reference range."""
    ((network, _),) = segmenter.members
    network.weight_set = dataclasses.replace(network.weight_set, typical=ReferenceRange(*typical))
    return segmenter


def test_what_any_member_admits_is_typical():
    found = {"left": 1.0, "right": 0.5}
    members = [
        familiar(constant(SLICES["axial"], (0.4, 0.5, 0.1)), 0.1, (2.0, 4.0), 0.01, found),
        familiar(constant(SLICES["coronal"], (0.4, 0.5, 0.1)), 0.2, (3.0, 5.0), 0.0, {"left": 0.9}),
    ]
    assert Ensemble([(member, 1) for member in members]).reference_range == ReferenceRange(0.2, (2.0, 5.0), 0.01, found)
    measured = familiar(members[0], 0.1, (2.0, 4.0), 0.01, found, {"left": (1.0, 3.0), "right": (1.0, 2.0)}, 8)
    other = familiar(members[1], 0.2, (3.0, 5.0), 0.0, {"left": 0.9}, {"left": (0.5, 2.0)}, 3)
    together = Ensemble([(measured, 1), (other, 1)]).reference_range
    assert together.structures_ml == {"left": (0.5, 3.0), "right": (1.0, 2.0)} and together.scans == 3
    unknown = constant(SLICES["axial"], (0.4, 0.5, 0.1))
    assert unknown.reference_range is None and Ensemble([(members[0], 1), (unknown, 1)]).reference_range is None
    merged = familiar(constant(SLICES["sagittal"], (0.4, 0.6), MERGED), 0.0, (3.0, 4.0), 0.0, {"either side": 1.0})
    assert Ensemble([(merged, 1), (members[0], 1)]).reference_range.found == found


def test_a_view_that_cannot_tell_the_sides_makes_doubt_typical(scan):
    """Members that are sure of left give 1.0 to it and 0.2 to right, an entropy that is not a sign of doubt."""
    sure = (0.0, (1.0, 1.0), 0.0, {})
    axial = familiar(constant(SLICES["axial"], (0.0, 1.0, 0.0)), *sure)
    sagittal = familiar(constant(SLICES["sagittal"], (0.0, 1.0), MERGED), *sure)
    ensemble = Ensemble([(axial, 0.8), (sagittal, 0.2)])
    found = ensemble(scan)
    assert (found.labels == 17).all()
    left = 1 / 1.2
    expected = -(left * np.log(left) + (1 - left) * np.log(1 - left)) / np.log(3)
    assert found.uncertainty.foreground == pytest.approx(expected, rel=1e-5)
    assert ensemble.reference_range.entropy == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], r"at least one member, all of weights above 0, got weights \[\]"),
        ([(constant((4, 4, 4), (1, 0, 0)), 0)], r"got weights \[0.0\]"),
        (
            [(constant((4, 4, 4), (1, 0), (SIDED[0], Label(9, "other"))), 1), (constant((4, 4, 4), (1, 0, 0)), 1)],
            r"got \[9\] from 'slices of \(4, 4, 4\)'; average networks of the same structures",
        ),
        (
            [(constant((4, 4, 4), (1, 0), SIDED[1:]), 1), (constant((4, 4, 4), (1, 0), SIDED[:0:-1]), 1)],
            "expected the background 17 in every member, got 53 from",
        ),
        (
            [(constant((4, 4, 4), (1, 0, 0)), 1), (constant((4, 4, 4), (1, 0, 0), orientation="LIA"), 1)],
            "expected members with the same orientation, got 'RAS' and 'LIA'",
        ),
        (
            [(constant((4, 4, 4), (1, 0, 0)), 1), (constant((4, 4, 4), (1, 0, 0), spacing=(1.0, 1.0, 1.0)), 1)],
            r"expected members with the same spacing, got None and \(1.0, 1.0, 1.0\)",
        ),
        (
            [(constant((4, 4, 4), (1, 0, 0)), 1), (constant((4, 4, 4), (1, 0, 0), normalization="ct"), 1)],
            "expected members with the same normalization, got 'none' and 'ct'",
        ),
    ],
)
def test_members_that_do_not_fit_together(members, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(members)

import pytest

from recalib_keras.tuning.algorithms.pruning import Pruner


def judge(pruner, trial, *scores, seed=1):
    """Reports the scores of a trial, epoch by epoch; returns the epoch at which it ended, or None."""
    for epoch, score in enumerate(scores, start=1):
        if pruner.judge(trial, seed, epoch, score):
            return epoch
    return None


def test_median_compares_the_best_with_mean_scores_of_others():
    pruner = Pruner("median")
    for number, scores in enumerate([(0.2, 0.4), (0.3, 0.5), (0.4, 0.6)]):  # means by epoch 2: 0.3, 0.4, 0.5
        assert judge(pruner, str(number), *scores) is None
    assert judge(pruner, "equal", 0.3, 0.4) is None
    assert judge(pruner, "slow", 0.25) == 1
    assert judge(pruner, "late", 0.35, 0.35) == 2  # below 0.375, the median of now four means
    assert judge(pruner, "good", 0.36, 0.1, 0.1) is None  # its best counts, not its last


def test_median_needs_three_others_at_the_epoch():
    pruner = Pruner("median")
    assert [judge(pruner, str(number), 0.9) for number in range(3)] == [None] * 3
    assert judge(pruner, "3", 0.1) == 1
    assert judge(Pruner("median"), "0", 0.1) is None
    assert judge(pruner, "4", None, 0.1) is None  # an epoch without a score; and nobody has reached the second


def test_halving_lets_the_best_go_on_at_its_rungs():
    pruner = Pruner("halving", factor=2)
    assert judge(pruner, "0", 0.5, 0.1, 0.1) is None  # the first of all; 3 is not a rung
    assert judge(pruner, "1", 0.4) == 1
    assert judge(pruner, "2", 0.6, 0.6, 0.1, 0.9) is None
    assert judge(pruner, "4", 0.1) == 1


@pytest.mark.parametrize(("epoch", "is_rung"), [(1, True), (2, False), (3, True), (6, False), (9, True), (27, True)])
def test_rungs_are_powers_of_the_factor(epoch, is_rung):
    pruner = Pruner("halving", factor=3)
    pruner.judge("0", 1, epoch, 0.9)
    assert bool(pruner.judge("1", 1, epoch, 0.1)) == is_rung


@pytest.mark.parametrize("rule", ["median", "halving"])
def test_seeds_are_not_compared(rule):
    pruner = Pruner(rule, factor=2)
    for number in range(4):
        judge(pruner, str(number), 0.9, seed=1)
    assert judge(pruner, "4", 0.1, seed=2) is None


def test_no_rule_prunes_nothing():
    pruner = Pruner("none")
    assert [judge(pruner, str(number), score) for number, score in enumerate((0.9, 0.9, 0.9, 0.9, 0.1))] == [None] * 5


def test_ended_trials_count():
    pruner = Pruner("halving", factor=2)
    pruner.note("0", {"1": [{"epoch": 1, "score": 0.9}, {"epoch": 2}]})
    assert judge(pruner, "1", 0.8) == 1

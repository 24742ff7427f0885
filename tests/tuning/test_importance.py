import sys

import pytest
from studies_made_up import made_up

from recalib_keras.tuning.reporting.importance import importance

SPACE = {
    "recalibration": ["none", "cse", "scse"],
    "reduction_ratio": [2, 4],
    "learning_rate": {"min": 0.001, "max": 0.1, "scale": "log"},
    "positions": ["P1", ["encoder", "bottleneck"]],
}


@pytest.fixture
def results(make_study, tmp_path):
    """Twenty trials whose score the block decides, and nothing else."""
    rows = []
    for number in range(20):
        block = SPACE["recalibration"][number % 3]
        values = {"recalibration": block, "learning_rate": 0.001 * 1.2**number}
        if block != "none":
            values |= {"reduction_ratio": 2 + 2 * (number % 2), "positions": SPACE["positions"][number // 3 % 2]}
        rows.append((values, {3: {"none": 0.5, "cse": 0.7, "scse": 0.8}[block] + 0.001 * (number * 7 % 5)}))
    return made_up(make_study(SPACE), tmp_path, rows)


@pytest.mark.slow
def test_finds_the_dimension_that_matters(results):
    found = importance(results)
    assert found.by_dimension.keys() == set(SPACE)
    mean, deviation = found.by_dimension["recalibration"]
    assert mean > 5 * max(other for name, (other, _) in found.by_dimension.items() if name != "recalibration")
    assert mean > 0.05 and deviation > 0
    assert found.is_meaningful and found.error < 0.03 < found.plain_error


@pytest.mark.slow
def test_not_meaningful_where_nothing_matters(results):
    for number, trial in enumerate(results.trials):
        score = 0.5 + 0.01 * (number * number * 13 % 17)
        object.__setattr__(trial.executions[0], "score", score)
    assert not importance(results).is_meaningful


def test_too_few_trials(results):
    del results.trials[9:]
    assert importance(results) is None


def test_missing_scikit_learn(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[tune\]"'):
        importance(results)

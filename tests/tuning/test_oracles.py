import json
import math
import random
import sys
import time

import pytest

from recalib_keras.core.errors import RecordError
from recalib_keras.tuning.algorithms.oracles import Bayesian, Grid, make_oracle
from recalib_keras.tuning.plan import Plan
from recalib_keras.tuning.study import ALGORITHMS

SPACE = {
    "recalibration": ["none", "cse", "sse", "scse", "pe"],
    "reduction_ratio": [2, 4, 8, 16],
    "aggregation": ["max", "concat"],
    "positions": ["P4", "P5", "P6"],
    "filters": [4, 8],
}
RATE = {"learning_rate": {"min": 1e-3, "max": 1e-1, "scale": "log"}}


def oracle_of(study, epochs=3):
    plan = Plan(study)
    return make_oracle(study, plan.space, epochs), plan.space


def run(oracle, space, score=lambda values: 0.5, most=300):
    """Draws and ends trials until there are no more; returns the values of each."""
    drawn = []
    while len(drawn) < most:
        trial = oracle.create_trial("worker")
        if trial.status == "STOPPED":
            return drawn
        assert trial.status == "RUNNING"
        drawn.append(space.values(trial.hyperparameters.values))
        oracle.update_trial(trial.trial_id, {"dice": score(drawn[-1])})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return drawn


@pytest.mark.parametrize("algorithm", ["random", "grid", "bayesian"])
def test_draws_all_possible_mixes_once(algorithm, make_study):
    oracle, space = oracle_of(make_study(SPACE, algorithm=algorithm, trials=10 if algorithm == "bayesian" else 1000))
    drawn = run(oracle, space)
    assert all(space.problem(values) is None for values in drawn)
    assert len({str(values) for values in drawn}) == len(drawn)
    if algorithm != "bayesian":
        everything = run(*oracle_of(make_study(SPACE, algorithm="grid")))
        assert {str(values) for values in drawn} == {str(values) for values in everything}


def test_grid_keeps_the_order_of_the_study(make_study):
    oracle, space = oracle_of(make_study({"filters": [2, 4], "learning_rate": [0.1, 0.2]}, algorithm="grid"))
    assert oracle.number_of_trials() == 4
    assert [tuple(values.values()) for values in run(oracle, space)] == [(2, 0.1), (2, 0.2), (4, 0.1), (4, 0.2)]
    oracle, _ = oracle_of(make_study({"filters": [2, 4], "learning_rate": [0.1, 0.2]}, algorithm="grid", trials=3))
    assert oracle.number_of_trials() == 3


def test_size_of_a_large_grid_is_computed(make_study, monkeypatch):
    space = {
        "schedule.steps_per_epoch": {"min": 1, "max": 10**6},
        "schedule.patience": {"min": 1, "max": 10**4},
        "schedule.examples_per_scan": {"min": 1, "max": 10**5},
    }
    start = time.process_time()
    oracle, drawn_from = oracle_of(make_study(space, algorithm="grid", trials=5))
    asked = []
    monkeypatch.setattr(oracle, "is_possible", lambda values: asked.append(values) or True)
    assert oracle.number_of_trials() == 5 and asked == []
    assert len(run(oracle, drawn_from)) == 5
    with pytest.raises(RecordError, match=r"expected a grid of at most 100000 mixes, got one of 10{15}; .*`trials`"):
        oracle_of(make_study(space, algorithm="grid"))
    assert time.process_time() - start < 5


def test_small_grid_is_counted_once(make_study, monkeypatch):
    oracle, _ = oracle_of(make_study({"batch_size": {"min": 1, "max": 10**4}}, algorithm="grid", trials=5))
    asked = []
    monkeypatch.setattr(oracle, "is_possible", lambda values: asked.append(values) or True)
    assert [oracle.number_of_trials() for _ in range(3)] == [5] * 3
    assert len(asked) == 5


def test_skips_tried_mixes_before_checking_them(make_study, monkeypatch):
    oracle, space = oracle_of(make_study({"batch_size": {"min": 1, "max": 9}}, algorithm="grid"))
    run(oracle, space, most=4)
    asked, is_possible = [], oracle.is_possible
    monkeypatch.setattr(oracle, "is_possible", lambda values: asked.append(values) or is_possible(values))
    assert oracle.populate_space("4")["values"] == {"batch_size": 5} and asked == [{"batch_size": 5}]


def test_grid_takes_ranges_with_steps(make_study):
    space = {"batch_size": {"min": 2, "max": 4}, "learning_rate": {"min": 0.1, "max": 0.3, "step": 0.1}}
    drawn = run(*oracle_of(make_study(space, algorithm="grid")))
    assert [tuple(values.values()) for values in drawn][:4] == [(2, 0.1), (2, 0.2), (2, 0.3), (3, 0.1)]
    assert len(drawn) == 9
    with pytest.raises(
        RecordError, match="expected a grid of single values, got the range learning_rate; give it a `s"
    ):
        oracle_of(make_study(RATE, algorithm="grid"))


def test_same_seed_draws_the_same(make_study):
    first, again, other = (run(*oracle_of(make_study({**SPACE, **RATE}, trials=10, seed=seed))) for seed in (0, 0, 1))
    assert first == again != other


def test_ends_after_the_number_of_trials(make_study):
    oracle, space = oracle_of(make_study(RATE, trials=7))
    assert oracle.number_of_trials() == len(run(oracle, space)) == 7


def test_bayesian_finds_a_peak_before_chance(make_study):
    def score(values):
        return -abs(math.log10(values["learning_rate"]) + 2.3)

    best = {}
    for algorithm in ("random", "bayesian"):
        drawn = run(*oracle_of(make_study(RATE, algorithm=algorithm, trials=9)), score=score)
        best[algorithm] = max(map(score, drawn))
    assert best["bayesian"] > max(best["random"], -0.05)


def test_bayesian_draws_only_new_mixes(make_study):
    """With all but one mix tried, it can only draw that one, wherever the Gaussian process points."""
    space = {"filters": [2, 4], "batch_size": [1, 2, 3, 4]}
    oracle, space = oracle_of(make_study(space, algorithm="bayesian", trials=100))
    assert isinstance(oracle, Bayesian)
    drawn = run(oracle, space, score=lambda values: values["filters"] / 10)
    assert len(drawn) == len({str(values) for values in drawn}) == 8


def test_bayesian_without_scikit_learn(make_study, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[tune\]"'):
        oracle_of(make_study(RATE, algorithm="bayesian"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("rates", "mixes"), [(0.01, 1), ([0.01, 0.02], 2), ([0.01, 0.02, 0.03, 0.04], 4)])
def test_spaces_smaller_than_the_budget(algorithm, rates, mixes, make_study):
    trials = None if algorithm in ("grid", "hyperband") else 20
    oracle, space = oracle_of(make_study({"learning_rate": rates}, algorithm=algorithm, trials=trials), epochs=9)
    planned = oracle.number_of_trials()
    drawn = run(oracle, space, score=lambda values: values.get("learning_rate", 0.5))
    assert {str(values) for values in drawn} == {str(values) for values in drawn[:mixes]}
    assert len({str(values) for values in drawn}) == mixes
    assert len(drawn) == planned if algorithm in ("grid", "hyperband") else len(drawn) == mixes


def play(oracle, status=lambda trial, chosen: "COMPLETED", workers=1):
    """Draws trials for some workers at a time and ends them; returns what each was, by id, in order."""
    seen, running, free = {}, [], [f"worker {index}" for index in range(workers)]
    while True:
        for worker in free.copy():
            trial = oracle.create_trial(worker)
            if trial.status == "RUNNING":
                free.remove(worker)
                running.append((worker, trial))
        if not running:
            assert trial.status == "STOPPED"
            return seen
        worker, trial = running.pop(0)
        free.append(worker)
        chosen = trial.hyperparameters.values
        seen[trial.trial_id] = {**chosen, "status": status(trial, chosen)}
        if seen[trial.trial_id]["status"] == "COMPLETED":
            oracle.update_trial(trial.trial_id, {"dice": chosen["learning_rate"]})
        trial.status = seen[trial.trial_id]["status"]
        oracle.end_trial(trial)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("mixes", "rounds"), [(2, [2, 1]), (3, [3, 1]), (4, [3, 1, 1]), (20, [3, 1, 2])])
def test_hyperband_fills_rounds_as_far_as_the_space_allows(mixes, rounds, workers, make_study):
    """For three epochs: a bracket of three mixes, one of which survives its first epoch; and one of two mixes."""
    rates = [0.01 * (number + 1) for number in range(mixes)]
    oracle, _ = oracle_of(make_study({"learning_rate": rates}, algorithm="hyperband", epochs=3))
    assert oracle.number_of_trials() == sum(rounds)
    seen = play(oracle, workers=workers)
    found = [(chosen["tuner/bracket"], chosen["tuner/round"], chosen["tuner/epochs"]) for chosen in seen.values()]
    places = [(1, 0, 1), (1, 1, 3), (0, 0, 3)]
    assert [found.count(place) for place in places] == [*rounds, 0][:3]
    longest = next(chosen for chosen in seen.values() if (chosen["tuner/bracket"], chosen["tuner/round"]) == (1, 1))
    first = [chosen["learning_rate"] for chosen in seen.values() if chosen["tuner/epochs"] == 1]
    assert longest["learning_rate"] == max(first)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("mixes", [3, 5, 30])
@pytest.mark.parametrize("seed", range(3))
def test_hyperband_reaches_all_epochs_where_trials_fail(seed, mixes, workers, make_study):
    rates = [0.01 * (number + 1) for number in range(mixes)]
    oracle, _ = oracle_of(make_study({"learning_rate": rates}, algorithm="hyperband", factor=2), epochs=8)
    dice = random.Random(seed)
    seen = play(oracle, lambda trial, chosen: dice.choice(["COMPLETED", "FAILED"]), workers)
    assert len(seen) <= oracle.number_of_trials()
    completed = [chosen for chosen in seen.values() if chosen["status"] == "COMPLETED"]
    for number in {chosen["tuner/bracket"] for chosen in completed}:
        turns = [chosen["tuner/round"] for chosen in completed if chosen["tuner/bracket"] == number]
        tried = [chosen["tuner/round"] for chosen in seen.values() if chosen["tuner/bracket"] == number]
        assert max(tried) == min(number, max(turns) + 1)  # it ends with the last round, or where all have failed


def test_hyperband_trains_the_best_longer(make_study):
    oracle, _space = oracle_of(make_study(RATE, algorithm="hyperband", factor=3), epochs=9)
    seen = {}
    while (trial := oracle.create_trial("worker")).status == "RUNNING":
        chosen = trial.hyperparameters.values
        seen[trial.trial_id] = chosen
        oracle.update_trial(trial.trial_id, {"dice": chosen["learning_rate"]})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert len(seen) == oracle.number_of_trials()
    assert {chosen["tuner/epochs"] for chosen in seen.values()} == {1, 3, 9}
    for chosen in seen.values():
        if "tuner/trial_id" in chosen:
            past = seen[chosen["tuner/trial_id"]]
            assert past["learning_rate"] == chosen["learning_rate"]
            assert past["tuner/epochs"] == chosen["tuner/initial_epoch"]
    first = [c["learning_rate"] for c in seen.values() if (c["tuner/bracket"], c["tuner/round"]) == (2, 0)]
    second = [c["learning_rate"] for c in seen.values() if (c["tuner/bracket"], c["tuner/round"]) == (2, 1)]
    assert set(second) <= set(sorted(first, reverse=True)[: len(second)])


@pytest.mark.parametrize("algorithm", ["random", "grid", "hyperband"])
def test_continues_from_its_state(algorithm, make_study):
    study = make_study({"learning_rate": [0.01, 0.02, 0.03], "filters": [2, 4]}, algorithm=algorithm, trials=6)
    whole = run(*oracle_of(study))
    oracle, space = oracle_of(study)
    begun = run(oracle, space, most=3)
    again, _ = oracle_of(study)
    again.trials = oracle.trials
    again.set_state(oracle.get_state())
    assert begun + run(again, space) == whole


def test_oracles_write_nothing(make_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    oracle, space = oracle_of(make_study(algorithm="grid"))
    assert isinstance(oracle, Grid) and len(run(oracle, space)) == 6
    assert list(tmp_path.iterdir()) == []


def test_restored_state_is_identical(make_study):
    study = make_study(SPACE, trials=60)
    oracle, space = oracle_of(study)
    drawn = run(oracle, space)
    restored, _ = oracle_of(study)
    state = oracle.get_state()
    restored.set_state({**state, "tried_so_far": state["tried_so_far"][::-1]})
    assert len(state["tried_so_far"]) == len(drawn) > 20
    assert json.dumps(restored.get_state()["tried_so_far"]) == json.dumps(state["tried_so_far"])

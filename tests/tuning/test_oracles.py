import json
import math
import sys

import pytest

from recalib_keras.tuning.oracles import Bayesian, Grid, make_oracle
from recalib_keras.tuning.plan import Plan

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
def test_all_that_is_possible_is_drawn_and_nothing_twice(algorithm, make_study):
    oracle, space = oracle_of(make_study(SPACE, algorithm=algorithm, trials=10 if algorithm == "bayesian" else 1000))
    drawn = run(oracle, space)
    assert all(space.problem(values) is None for values in drawn)
    assert len({str(values) for values in drawn}) == len(drawn)
    if algorithm != "bayesian":
        everything = run(*oracle_of(make_study(SPACE, algorithm="grid")))
        assert {str(values) for values in drawn} == {str(values) for values in everything}


def test_the_grid_goes_in_the_order_of_the_study_and_knows_its_size(make_study):
    oracle, space = oracle_of(make_study({"filters": [2, 4], "learning_rate": [0.1, 0.2]}, algorithm="grid"))
    assert oracle.number_of_trials() == 4
    assert [tuple(values.values()) for values in run(oracle, space)] == [(2, 0.1), (2, 0.2), (4, 0.1), (4, 0.2)]
    oracle, _ = oracle_of(make_study({"filters": [2, 4], "learning_rate": [0.1, 0.2]}, algorithm="grid", trials=3))
    assert oracle.number_of_trials() == 3


def test_the_grid_is_counted_once_and_no_further_than_asked_for(make_study, monkeypatch):
    oracle, _ = oracle_of(make_study({"batch_size": {"min": 1, "max": 10**6}}, algorithm="grid", trials=5))
    asked = []
    monkeypatch.setattr(oracle, "is_possible", lambda values: asked.append(values) or True)
    assert [oracle.number_of_trials() for _ in range(3)] == [5] * 3
    assert len(asked) == 5


def test_what_was_tried_is_passed_over_before_it_is_worked_out(make_study, monkeypatch):
    oracle, space = oracle_of(make_study({"batch_size": {"min": 1, "max": 9}}, algorithm="grid"))
    run(oracle, space, most=4)
    asked, is_possible = [], oracle.is_possible
    monkeypatch.setattr(oracle, "is_possible", lambda values: asked.append(values) or is_possible(values))
    assert oracle.populate_space("4")["values"] == {"batch_size": 5} and asked == [{"batch_size": 5}]


def test_the_grid_takes_ranges_with_steps(make_study):
    space = {"batch_size": {"min": 2, "max": 4}, "learning_rate": {"min": 0.1, "max": 0.3, "step": 0.1}}
    drawn = run(*oracle_of(make_study(space, algorithm="grid")))
    assert [tuple(values.values()) for values in drawn][:4] == [(2, 0.1), (2, 0.2), (2, 0.3), (3, 0.1)]
    assert len(drawn) == 9
    with pytest.raises(ValueError, match="a grid needs steps: give learning_rate a `step`"):
        oracle_of(make_study(RATE, algorithm="grid"))


def test_the_same_seed_draws_the_same(make_study):
    first, again, other = (run(*oracle_of(make_study({**SPACE, **RATE}, trials=10, seed=seed))) for seed in (0, 0, 1))
    assert first == again != other


def test_the_search_ends_after_as_many_trials_as_asked_for(make_study):
    oracle, space = oracle_of(make_study(RATE, trials=7))
    assert oracle.number_of_trials() == len(run(oracle, space)) == 7


def test_bayesian_search_finds_a_peak_sooner_than_chance(make_study):
    def score(values):
        return -abs(math.log10(values["learning_rate"]) + 2.3)

    best = {}
    for algorithm in ("random", "bayesian"):
        drawn = run(*oracle_of(make_study(RATE, algorithm=algorithm, trials=9)), score=score)
        best[algorithm] = max(map(score, drawn))
    assert best["bayesian"] > max(best["random"], -0.05)


def test_bayesian_search_takes_the_most_promising_of_what_is_new(make_study):
    """With all but one mix tried, it can only draw that one, wherever the Gaussian process points."""
    space = {"filters": [2, 4], "batch_size": [1, 2, 3, 4]}
    oracle, space = oracle_of(make_study(space, algorithm="bayesian", trials=100))
    assert isinstance(oracle, Bayesian)
    drawn = run(oracle, space, score=lambda values: values["filters"] / 10)
    assert len(drawn) == len({str(values) for values in drawn}) == 8


def test_bayesian_search_without_scikit_learn_says_how_to_install_it(make_study, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "recalib-keras\[tune\]"'):
        oracle_of(make_study(RATE, algorithm="bayesian"))


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
def test_a_search_goes_on_from_its_state_as_if_it_had_never_stopped(algorithm, make_study):
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


def test_a_state_that_was_restored_is_the_same_to_the_last_letter(make_study):
    study = make_study(SPACE, trials=60)
    oracle, space = oracle_of(study)
    drawn = run(oracle, space)
    restored, _ = oracle_of(study)
    state = oracle.get_state()
    restored.set_state({**state, "tried_so_far": state["tried_so_far"][::-1]})
    assert len(state["tried_so_far"]) == len(drawn) > 20
    assert json.dumps(restored.get_state()["tried_so_far"]) == json.dumps(state["tried_so_far"])

"""Tests of results.py, trials.py and events.py."""

import csv
import json
import math

import pytest
from studies_made_up import made_up
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from recalib_keras.core.errors import RecordError, StudyError
from recalib_keras.training import Recipe
from recalib_keras.tuning import Trial, read_results, search
from recalib_keras.tuning.reporting.results import history, write_results
from recalib_keras.tuning.trials.trial import Execution, best

SPACE = {"recalibration": ["none", "scse"], "filters": [4, [4, 8]], "learning_rate": {"min": 0.01, "max": 0.1}}
ROWS = [
    ({"recalibration": "scse", "filters": [4, 8], "learning_rate": 0.02}, {1: 0.5, 2: 0.7}),
    ({"recalibration": "none", "filters": 4, "learning_rate": 0.03}, {1: 0.65, 2: 0.66}),
    ({"recalibration": "none", "filters": 4, "learning_rate": 0.1}, ("pruned", "-inf\nis the loss")),
]


@pytest.fixture
def results(make_study, tmp_path):
    results = made_up(make_study(SPACE, seeds=[1, 2]), tmp_path, ROWS)
    for trial in results.trials[:2]:
        lines = [{"epoch": 1, "loss": 1.0, "seconds": 1.0}, {"epoch": 2, "loss": 0.5, "seconds": 1.0, "score": 0.5}]
        path = tmp_path / "trials" / trial.id / "history.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"1": lines, "2": lines}))
    write_results(results.folder, results.plan, results.trials)
    return results


def test_table(results):
    rows = list(csv.DictReader((results.folder / "trials.csv").open(encoding="utf-8")))
    assert [row["status"] for row in rows] == ["completed", "completed", "pruned"]
    first = rows[0]
    assert (first["dice"], first["sd"], first["dice, seed 1"], first["dice, seed 2"]) == (
        "0.6000",
        "0.1414",
        "0.5000",
        "0.7000",
    )
    assert (first["recalibration"], first["filters"], first["learning_rate"]) == ("scse", "[4, 8]", "0.02")
    assert (first["parameters"], first["minutes"], first["attempts"]) == ("1234", "1.5", "1")
    assert rows[2]["dice"] == "" and rows[2]["message"] == "'-inf is the loss"  # no formula


def test_best_recipe(results):
    text = (results.folder / "best.toml").read_text()
    assert text.startswith(
        "# Of 3 trials of the study 'study', number 1 has the highest mean:\n# dice 0.6550 ± 0.0071 on"
    )
    recipe = Recipe.read(results.folder / "best.toml")
    assert (recipe.optimizer.learning_rate, recipe.seed, recipe.network.arguments["filters"]) == (0.03, 1, 4)
    assert "recalibration" not in recipe.network.arguments


def test_best_trial():
    short, long = (Trial(str(epochs), {}, epochs, status="completed") for epochs in (1, 3))
    for trial in (short, long):
        trial.executions = (Execution(1, 0.5, 1, trial.epochs),)
    assert best([short, long]) is best([long, short]) is long  # of equal scores, the one that was trained longer
    short.executions = (Execution(1, 0.6, 1, 1),)
    assert best([short, long]) is short
    assert best([]) is None and best([Trial("0", {}, 1)]) is None
    assert math.isnan(Trial("0", {}, 1).score) and math.isnan(Trial("0", {}, 1).deviation)


def test_history(results):
    assert [line["epoch"] for line in history(results.folder, results.trials[0])["2"]] == [1, 2]
    assert history(results.folder, results.trials[2]) == {}


@pytest.mark.parametrize("text", ["{", "[1]", "null", '{"1": 5}', '{"1": [5]}'])
def test_damaged_history(text, results):
    (results.folder / "trials" / "0" / "history.json").write_text(text)
    with pytest.raises(
        StudyError, match=r"history.json: expected the history of a trial, got a damaged file .*; remove"
    ):
        history(results.folder, results.trials[0])


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_are_finite(score):
    with pytest.raises(RecordError, match="expected score to be a finite number"):
        Execution(1, score, 1, 1)


def test_refuses_an_unknown_status():
    with pytest.raises(RecordError, match=r"expected status to be one of waiting, .*; did you mean 'completed'"):
        Trial("0", {}, 1, status="complete")


def hparams_of(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    contents = events.SummaryMetadata
    return events, {
        tag: metadata.parse_session_start_info_plugin_data(contents(tag).plugin_data.content)
        for tag in events.Tags()["tensors"]
        if tag == metadata.SESSION_START_INFO_TAG
    }


def test_tensorboard_sessions(results):
    folder = results.folder / "tensorboard"
    assert sorted(path.parent.name for path in folder.glob("0/*/*tfevents*")) == ["seed_1", "seed_2"]
    events, found = hparams_of(folder / "0" / "seed_2")
    assert [(event.step, event.value) for event in events.Scalars("objective")] == [(2, 0.5)]
    assert [event.step for event in events.Scalars("loss")] == [1, 2]
    (start,) = found.values()
    assert start.group_name == "0"
    assert start.hparams["recalibration"].string_value == "scse"
    assert start.hparams["filters"].string_value == "[4, 8]"
    assert start.hparams["learning_rate"].number_value == 0.02


def test_tensorboard_space(results):
    events = EventAccumulator(str(results.folder / "tensorboard"))
    events.Reload()
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert [info.name for info in experiment.hparam_infos] == ["recalibration", "filters", "learning_rate", "seed"]
    assert experiment.hparam_infos[2].domain_interval.max_value == 0.1
    assert [metric.name.tag for metric in experiment.metric_infos] == ["objective"]


def test_reads_results(make_study, tmp_path, monkeypatch):
    from recalib import execute

    monkeypatch.setattr("recalib_keras.tuning.trials.execution.execute", execute)
    study = make_study({"learning_rate": [0.01, 0.02]}, algorithm="grid", seeds=[1, 2])
    (tmp_path / "control").mkdir()
    found = search(study, tmp_path / "out", tmp_path / "control")
    assert found.best.values == {"learning_rate": 0.02} and len(found.comparable) == 2
    again = read_results(study, tmp_path / "out")
    assert again.trials == found.trials
    assert read_results(study, tmp_path / "out").best == found.best
    with pytest.raises(StudyError, match=r"expected the study with space.learning_rate = \[0.01, 0.02\], .*got space"):
        read_results(make_study({"learning_rate": [0.01, 0.03]}, algorithm="grid", seeds=[1, 2]), tmp_path / "out")
    with pytest.raises(StudyError, match=r"expected a study in .*none, got a folder without state.json"):
        read_results(study, tmp_path / "none")

"""Tests of report.py and figures.py."""

import sys

import pytest
from studies_made_up import made_up

from recalib_keras.tuning.figures import BY_DIMENSION, PARALLEL, draw_figures, parallel_coordinates, score_by_dimension
from recalib_keras.tuning.report import publish, write_report

SPACE = {"recalibration": ["none", "scse"], "aggregation": ["max", "add"], "learning_rate": {"min": 0.01, "max": 0.1}}
SCORES = ((0.80, 0.81), (0.82, 0.83), (0.84, 0.85), (0.86, 0.87), (0.88, 0.89))


@pytest.fixture
def results(make_study, tmp_path):
    rows = []
    for number, scores in enumerate(SCORES):
        values = {"recalibration": "scse", "aggregation": "max" if number % 2 else "add"}
        rows.append(({**values, "learning_rate": 0.02 * (number + 1)}, dict(zip((1, 2), scores))))
    rows.append(({"recalibration": "none", "learning_rate": 0.03}, {1: 0.7, 2: 0.72}))
    rows.append(({"recalibration": "none", "learning_rate": 0.1}, ("pruned", "the loss is no longer finite")))
    study = make_study(SPACE, seeds=[1, 2], title="Blocks and rates", baseline={"aggregation": "max"})
    return made_up(study, tmp_path / "out", rows)


def test_report(results):
    text = write_report(results).read_text()
    assert text.startswith("# Blocks and rates\n")
    assert "7 trials (6 completed, 1 pruned) of the random search `study`; each trained with seeds 1, 2" in text
    assert "| 4 | 0.8850 | 0.0071 | scse | add | 0.1 | 1,234 | 1.5 |" in text
    assert "![score by dimension](figures/score_by_dimension.png)" in text
    aggregation = text.split("## aggregation")[1].split("##")[0]
    assert "| max | 2 | 0.8450 | 0.5909 to 1.0991 |  |  |  | baseline |" in aggregation
    assert "`add` cannot be told apart from `max`" in aggregation
    assert "## learning_rate" not in text  # a range has its figure alone
    assert "at least 10 complete trials" in text.split("## Importance")[1]
    assert "There is one training a trial" not in text
    for name in ("trials.csv", "best.toml", "tensorboard"):
        assert (results.folder / name).exists()


def test_a_score_of_the_last_epoch_is_not_called_the_best(results, make_study, tmp_path):
    text = write_report(results).read_text()
    assert "the best epoch of each training" in text and "flatters all trials alike" in text
    study = make_study({**SPACE, "schedule.validate_every": 5}, seeds=[1, 2])
    rows = [(trial.values, trial.scores) for trial in results.trials if trial.scores]
    text = write_report(made_up(study, tmp_path / "once", rows)).read_text()
    assert "the last epoch of each training" in text and "flatters" not in text


def test_a_study_without_a_complete_trial_says_so(make_study, tmp_path):
    results = made_up(make_study(SPACE), tmp_path, [({"recalibration": "none", "learning_rate": 0.1}, ("failed", "x"))])
    assert "No trial is complete: nothing can be concluded." in write_report(results).read_text()
    assert not (tmp_path / "best.toml").exists() and not (tmp_path / "figures").exists()


@pytest.mark.parametrize("library", ["matplotlib", "sklearn"])
def test_what_needs_a_missing_library_is_left_out_with_a_warning(library, results, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.warns(UserWarning, match=r'pip install "recalib-keras\[tune\]"'):
        text = write_report(results).read_text()
    assert ("![" in text) == (library != "matplotlib")
    assert "## aggregation" in text


def test_publish_copies_what_is_small(results, tmp_path):
    write_report(results)
    (results.folder / "trials" / "0").mkdir(parents=True, exist_ok=True)
    target = publish(results, tmp_path / "published")
    assert target == tmp_path / "published" / "study"
    assert sorted(path.name for path in target.iterdir()) == ["best.toml", "figures", "report.md", "trials.csv"]
    assert publish(results, tmp_path / "published") == target  # again, over the old


def test_figures(results, tmp_path):
    paths = draw_figures(results, tmp_path / "figures")
    assert [path.name for path in paths] == [PARALLEL, BY_DIMENSION]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_parallel_coordinates_have_a_line_for_each_trial(results):
    axes = parallel_coordinates(results, results.comparable).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(lines) == 6
    ends = sorted(line.get_ydata()[-1] for line in lines)
    assert (ends[0], ends[-1]) == (0.0, 1.0)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [*SPACE, "dice"]
    texts = {text.get_text() for text in axes.texts}
    assert {"none", "scse", "—", "max", "add", "0.01", "0.1", "0.710", "0.885"} <= texts


def test_scores_by_dimension_have_means_and_intervals(results):
    figure = score_by_dimension(results, results.comparable)
    blocks, aggregations, rates = figure.axes
    assert [label.get_text() for label in aggregations.get_xticklabels()] == ["max", "add", "—"]
    assert blocks.get_xlabel() == "recalibration" and rates.get_ylabel() == "dice"
    means = [line.get_ydata()[0] for line in aggregations.lines if line.get_marker() == "D"]
    assert means == pytest.approx([(0.825 + 0.865) / 2, (0.805 + 0.845 + 0.885) / 3, 0.71])
    assert len(aggregations.containers) == 2  # a single trial has no interval
    assert len([line for line in rates.lines if line.get_marker() == "D"]) == 4

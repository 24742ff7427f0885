"""Tests of report.py and figures.py."""

import sys

import pytest
from studies_made_up import made_up
from training.synthetic import write_scans

from recalib_keras.tuning.reporting.figures import (
    BY_DIMENSION,
    PARALLEL,
    draw_figures,
    parallel_coordinates,
    score_by_dimension,
)
from recalib_keras.tuning.reporting.report import MOST_TRIALS, publish, write_report
from recalib_keras.tuning.trials import Execution

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
    assert (
        "7 trials (6 completed, 1 pruned) of the random search `study`; each trained with seeds 1, 2 for 5 epochs."
        in text
    )
    assert "| 4 | 0.8850 | 0.0071 | scse | add | 0.1 | 1,234 | 1.5 |" in text
    assert "![score by dimension](figures/score_by_dimension.png)" in text
    aggregation = text.split("## aggregation")[1].split("##")[0]
    assert "| max | 2 | 0.8450 | 0.5909 to 1.0991 |  |  |  | baseline |" in aggregation
    assert "`add` cannot be told apart from `max`" in aggregation
    assert "`—` stands for the trials in which `aggregation` takes no part" in aggregation
    assert "differ in size" not in text
    assert "## learning_rate" not in text  # a range has its figure alone
    assert "at least 10 complete trials" in text.split("## Importance")[1]
    assert "There is one training a trial" not in text
    for name in ("trials.csv", "best.toml", "tensorboard"):
        assert (results.folder / name).exists()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "for 3 epochs. "),
        ({"patience": 2}, "for 3 epochs at most, fewer after 2 validations without a better one. "),
        ({"algorithm": "hyperband"}, "for 3 epochs at most, by rounds. "),
    ],
)
def test_epochs_are_at_most_so_many_only_where_there_may_be_fewer(keys, words, make_study, tmp_path):
    study = make_study({"filters": [4, 8]}, epochs=3, **keys)
    assert words in write_report(made_up(study, tmp_path, [])).read_text()


def test_the_report_says_what_each_training_was(make_study, tmp_path):
    study = make_study({"filters": [4, 8], "schedule.batch_size": [2, 4], "schedule.precision": "float32"})
    results = made_up(study, tmp_path, [({"filters": 4, "batch_size": 2}, {3: 0.5})])
    write_scans(tmp_path / "data", count=4)
    text = write_report(results, tmp_path / "data").read_text()
    assert "| data | scans made by the tests (CC0) |" in text
    assert "| validation | 2 held-out validation scans (one of every 3), 2 to learn from |" in text
    assert "| input | windows of 12 × 12 × 12 voxels |" in text
    assert "| steps an epoch | as many as 6 windows a scan take |" in text and "| batch | varied |" in text
    assert "| precision | float32 |" in text and "learning rate 0.06 |" in text
    for data_root in (None, tmp_path / "nowhere"):
        assert "| validation | scans held out: one of every 3 |" in write_report(results, data_root).read_text()


@pytest.mark.parametrize(
    ("chosen", "seeds", "words"),
    [
        ([4], (1, 2, 3), "its recipe is `best.toml`.\n"),
        ([2, 4, 8], (1, 2, 3), "Seed by seed it cannot be told apart from `0` (95 %, all pairs of trials together).\n"),
        ([4, 8], (1, 2, 3), "Seed by seed it scored higher than every other that was trained as long (95 %, all pairs"),
        ([4, 8], (1,), "One training a trial does not tell it apart from any other.\n"),
    ],
)
def test_the_best_is_named_with_what_it_cannot_be_told_apart_from(chosen, seeds, words, make_study, tmp_path):
    scores = {2: (0.80, 0.82, 0.84), 4: (0.81, 0.84, 0.85), 8: (0.40, 0.43, 0.44)}
    rows = [({"filters": filters}, dict(zip(seeds, scores[filters]))) for filters in chosen]
    results = made_up(make_study({"filters": [2, 4, 8]}, seeds=seeds), tmp_path, rows)
    text = write_report(results).read_text()
    assert words in text and "has the highest mean;" in text
    for trial in results.trials:
        trial.epochs = 1 if trial is not results.best else 3
    assert "has the highest mean; its recipe is `best.toml`.\n" in write_report(results).read_text()


def test_values_without_a_score_are_not_passed_over(make_study, tmp_path):
    study = make_study({"filters": [2, 4, 8]}, seeds=[1, 2], algorithm="grid")
    rows = [({"filters": 2}, {1: 0.5, 2: 0.6}), ({"filters": 4}, ("pruned", "the loss is\nNaN | inf"))]
    results = made_up(study, tmp_path, rows)
    results.trials[1].executions = (Execution(1, 0.4, 2, 3), Execution(2, None, 0, 1, "not finite"))
    text = write_report(results).read_text()
    assert "| 1 | pruned | 1 of 2 | 4 | the loss is NaN \\| inf |" in text
    assert "| 4 | 0 |  |  |  |  |  | 1 pruned: the loss is NaN \\| inf |" in text
    assert "| 8 | 0 |  |  |  |  |  | not tried |" in text
    results.trials.extend([results.trials[1]] * MOST_TRIALS)
    assert "And 1 more, see `trials.csv`." in write_report(results).read_text()


def test_a_score_of_the_last_epoch_is_not_called_the_best(results, make_study, tmp_path):
    text = write_report(results).read_text()
    assert "the best epoch of each training" in text and "flatters all trials alike" in text
    study = make_study({**SPACE, "schedule.validate_every": 5}, seeds=[1, 2])
    rows = [(trial.values, trial.scores) for trial in results.trials if trial.scores]
    text = write_report(made_up(study, tmp_path / "once", rows)).read_text()
    assert "the last epoch of each training" in text and "flatters" not in text


def test_a_study_without_a_complete_trial_says_so(make_study, tmp_path):
    results = made_up(make_study(SPACE), tmp_path, [({"recalibration": "none", "learning_rate": 0.1}, ("failed", "x"))])
    text = write_report(results).read_text()
    assert "No trial is complete: nothing can be concluded." in text
    assert "| 0 | failed | 0 of 1 | none | — | 0.1 | x |" in text
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
    (target / "figures" / "old.png").touch()
    assert publish(results, tmp_path / "published") == target  # again, over the old
    assert not (target / "figures" / "old.png").exists()


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


def test_one_dimension_is_drawn_once(make_study, tmp_path):
    """Parallel coordinates of one dimension would say less than its panel; those of before are removed."""
    (tmp_path / PARALLEL).touch()
    results = made_up(make_study({"filters": [4, 8]}), tmp_path, [({"filters": 4}, {3: 0.5})])
    assert [path.name for path in draw_figures(results, tmp_path)] == [BY_DIMENSION]
    assert not (tmp_path / PARALLEL).exists()


def test_a_trial_that_is_alone_on_its_value_lies_on_it(results):
    axes = parallel_coordinates(results, results.comparable).axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 4]
    assert heights.count(0.0) == 1  # "none"
    assert sorted(height for height in heights if height) == pytest.approx([0.9, 0.95, 1.0, 1.05, 1.1])


def test_a_dimension_that_is_compared_elsewhere_has_no_panel(make_study, tmp_path):
    study = make_study({"recalibration": ["none", "scse"], "positions": ["P1", "P5"]}, algorithm="grid", seeds=[1, 2])
    rows = [({"recalibration": "none"}, {1: 0.7, 2: 0.71})]
    rows += [({"recalibration": "scse", "positions": place}, {1: 0.8, 2: 0.82}) for place in ("P1", "P5")]
    results = made_up(study, tmp_path, rows)
    assert [axes.get_xlabel() for axes in score_by_dimension(results, results.comparable).axes] == ["positions"]

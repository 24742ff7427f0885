"""Tests of report.py and figures.py."""

import itertools
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
from recalib_keras.tuning.reporting.score_axis import score_limits
from recalib_keras.tuning.trials.trial import Execution

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
        "7 trials (6 completed, 1 pruned) of the random search `study`; each trained with seeds 1, 2 for 5 epochs; "
        "really trained: 3." in text
    )
    assert "| 4 | 0.8850 | 0.0071 | scse | add | 0.1 | 3 | 1,234 | 1.5 |" in text
    assert "![score by dimension](figures/score_by_dimension.png)" in text
    aggregation = text.split("## aggregation")[1].split("##")[0]
    assert "| max | 2 | 0.8450 | 0.5909 to 1.0991 |  |  |  | baseline |" in aggregation
    assert "`add` cannot be told apart from `max`" in aggregation
    assert "`—` are the trials in which `aggregation` takes no part" in aggregation
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
        ({"algorithm": "hyperband"}, "for 3 epochs at most, in rounds. "),
    ],
)
def test_planned_epochs(keys, words, make_study, tmp_path):
    study = make_study({"filters": [4, 8]}, epochs=3, **keys)
    assert words in write_report(made_up(study, tmp_path, [])).read_text()


@pytest.mark.parametrize(
    ("epochs", "words", "limit"),
    [
        ((1, 1), "for 3 epochs at most, in rounds; really trained: 1. ", "Trainings of 1 epochs"),
        ((1, 3), "for 3 epochs at most, in rounds; really trained: 1 to 3. ", "Trainings of 3 epochs"),
        ((3, 3), "for 3 epochs at most, in rounds. ", "Trainings of 3 epochs"),
    ],
)
def test_epochs_that_were_really_trained(epochs, words, limit, make_study, tmp_path):
    results = made_up(
        make_study({"filters": [4, 8]}, epochs=3, algorithm="hyperband"),
        tmp_path,
        [({"filters": 4}, {3: 0.5}), ({"filters": 8}, {3: 0.6})],
    )
    for trial, count in zip(results.trials, epochs):
        trial.epochs, trial.executions = count, (Execution(3, trial.score, 1, count),)
    text = write_report(results).read_text()
    assert words in text and limit in text
    assert [line.split("|")[5].strip() for line in text.splitlines() if line.startswith(("| 0 | 0", "| 1 | 0"))] == [
        str(count) for count in reversed(epochs)
    ]


def test_settings_of_the_trainings(make_study, tmp_path):
    study = make_study({"filters": [4, 8], "schedule.batch_size": [2, 4], "schedule.precision": "float32"})
    results = made_up(study, tmp_path, [({"filters": 4, "batch_size": 2}, {3: 0.5})])
    write_scans(tmp_path / "data", count=4)
    text = write_report(results, tmp_path / "data").read_text()
    assert "| data | scans made by the tests (CC0) |" in text
    assert "| validation | 2 held-out validation scans (one of every 3), 2 training scans |" in text
    assert "| input | windows of 12 × 12 × 12 voxels |" in text
    assert "| steps an epoch | one pass: 6 windows from each scan |" in text and "| batch | varied |" in text
    assert "| precision | float32 |" in text and "learning rate 0.06 |" in text
    for data_root in (None, tmp_path / "nowhere"):
        assert "| validation | validation scans: one of every 3 |" in write_report(results, data_root).read_text()


@pytest.mark.parametrize(
    ("chosen", "seeds", "words"),
    [
        ([4], (1, 2, 3), "its recipe is `best.toml`.\n"),
        ([2, 4, 8], (1, 2, 3), "Seed by seed it cannot be told apart from `0` (95 %, all pairs of trials together).\n"),
        ([4, 8], (1, 2, 3), "Seed by seed it scored higher than every other that was trained as long (95 %, all pairs"),
        ([4, 8], (1,), "One training a trial does not tell it apart from any other.\n"),
    ],
)
def test_rivals_of_the_best(chosen, seeds, words, make_study, tmp_path):
    scores = {2: (0.80, 0.82, 0.84), 4: (0.81, 0.84, 0.85), 8: (0.40, 0.43, 0.44)}
    rows = [({"filters": filters}, dict(zip(seeds, scores[filters]))) for filters in chosen]
    results = made_up(make_study({"filters": [2, 4, 8]}, seeds=seeds), tmp_path, rows)
    text = write_report(results).read_text()
    assert words in text and "has the highest mean;" in text
    for trial in results.trials:
        trial.epochs = 1 if trial is not results.best else 3
    assert "has the highest mean; its recipe is `best.toml`.\n" in write_report(results).read_text()


def test_values_without_a_score(make_study, tmp_path):
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


def test_score_of_the_last_epoch(results, make_study, tmp_path):
    text = write_report(results).read_text()
    assert "the best epoch of each training" in text and "all scores are optimistic" in text
    study = make_study({**SPACE, "schedule.validate_every": 5}, seeds=[1, 2])
    rows = [(trial.values, trial.scores) for trial in results.trials if trial.scores]
    text = write_report(made_up(study, tmp_path / "once", rows)).read_text()
    assert "the last epoch of each training" in text and "optimistic" not in text


def test_no_complete_trial(make_study, tmp_path):
    results = made_up(make_study(SPACE), tmp_path, [({"recalibration": "none", "learning_rate": 0.1}, ("failed", "x"))])
    text = write_report(results).read_text()
    assert "No trial is complete: nothing can be concluded." in text
    assert "| 0 | failed | 0 of 1 | none | — | 0.1 | x |" in text
    assert not (tmp_path / "best.toml").exists() and not (tmp_path / "figures").exists()


@pytest.mark.parametrize("library", ["matplotlib", "sklearn"])
def test_missing_library_leaves_its_part_out(library, results, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.warns(UserWarning, match=r'pip install "recalib-keras\[tune\]"'):
        text = write_report(results).read_text()
    assert ("![" in text) == (library != "matplotlib")
    assert "## aggregation" in text


def test_publish_copies_small_files(results, tmp_path):
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


def test_parallel_coordinates(results):
    axes = parallel_coordinates(results, results.comparable).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(lines) == 6
    ends = sorted(line.get_ydata()[-1] for line in lines)
    assert (ends[0], ends[-1]) == (0.0, 1.0)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [*SPACE, "dice"]
    texts = {text.get_text() for text in axes.texts}
    assert {"none", "scse", "—", "max", "add", "0.01", "0.1", "0.710", "0.885"} <= texts


def test_scores_by_dimension(results):
    figure = score_by_dimension(results, results.comparable)
    blocks, aggregations, rates = figure.axes
    assert [label.get_text() for label in aggregations.get_xticklabels()] == ["max", "add", "—"]
    assert blocks.get_xlabel() == "recalibration" and rates.get_ylabel() == "dice"
    means = [line.get_ydata()[0] for line in aggregations.lines if line.get_marker() == "D"]
    assert means == pytest.approx([(0.825 + 0.865) / 2, (0.805 + 0.845 + 0.885) / 3, 0.71])
    assert len(aggregations.containers) == 2  # a single trial has no interval
    assert len([line for line in rates.lines if line.get_marker() == "D"]) == 4


def test_axes_of_scores_show_the_data(results):
    """Two trials each have intervals of −0.3 to 1.9, which no Dice can reach."""
    for axes in score_by_dimension(results, results.comparable).axes:
        low, high = axes.get_ylim()
        assert 0.5 < low < 0.71 and 0.885 < high <= 1.0


@pytest.mark.parametrize(
    ("scores", "intervals", "expected"),
    [
        ([0.80, 0.84], [], (0.7976, 0.8424)),
        ([0.80, 0.84], [0.79, 0.87], (0.7852, 0.8748)),
        ([0.80, 0.84], [-3.0, 3.0], (0.7528, 0.8872)),
        ([0.99, 0.999], [-3.0, 3.0], (0.9788, 1.0)),
        ([0.0, 0.001], [-3.0, 3.0], (0.0, 0.01166)),
        ([0.5], [], (0.495, 0.505)),
    ],
)
def test_limits_of_scores(scores, intervals, expected):
    assert score_limits(scores, intervals) == pytest.approx(expected)


LISTS = [["encoder", "bottleneck"], ["encoder", "classifier"], ["decoder", "bottleneck"], ["bottleneck", "classifier"]]
CROWDED = {
    "recalibration": "scse",
    "positions": ["P1", "P2", "P3", "P4", "P5", "P6", *LISTS],
    "batch_size": [*range(1, 41)],
    "learning_rate": {"min": 0.002, "max": 0.009, "scale": "log"},
    "augmentation.rotation": {"min": 0.0, "max": 15.0},
}


def test_labels_do_not_overlap(make_study, tmp_path):
    rows = []
    for number in range(40):
        values = {"positions": CROWDED["positions"][number % 10], "batch_size": number + 1}
        rates = {"learning_rate": 0.002 + number * 0.00017, "augmentation.rotation": number / 3}
        rows.append(({**values, **rates}, {3: 0.7 + number / 400}))
    results = made_up(make_study(CROWDED), tmp_path, rows)
    for draw in (score_by_dimension, parallel_coordinates):
        figure = draw(results, results.comparable)
        figure.savefig(tmp_path / f"{draw.__name__}.png")
        renderer = figure.canvas.get_renderer()
        for axes in figure.axes:
            texts = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts]
            shown = [text for text in texts if text.get_text() and text.get_visible() and not text.get_rotation()]
            boxes = [text.get_window_extent(renderer) for text in shown]
            overlaps = [(a, b) for a, b in itertools.combinations(range(len(boxes)), 2) if boxes[a].overlaps(boxes[b])]
            assert [(shown[a].get_text(), shown[b].get_text()) for a, b in overlaps] == []


def test_one_dimension_has_one_picture(make_study, tmp_path):
    """Parallel coordinates of one dimension would say less than its panel; those of before are removed."""
    (tmp_path / PARALLEL).touch()
    results = made_up(make_study({"filters": [4, 8]}), tmp_path, [({"filters": 4}, {3: 0.5})])
    assert [path.name for path in draw_figures(results, tmp_path)] == [BY_DIMENSION]
    assert not (tmp_path / PARALLEL).exists()


def test_single_trial_is_on_its_value(results):
    axes = parallel_coordinates(results, results.comparable).axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 4]
    assert heights.count(0.0) == 1  # "none"
    assert sorted(height for height in heights if height) == pytest.approx([0.9, 0.95, 1.0, 1.05, 1.1])


def test_dimension_compared_elsewhere_has_no_panel(make_study, tmp_path):
    study = make_study({"recalibration": ["none", "scse"], "positions": ["P1", "P5"]}, algorithm="grid", seeds=[1, 2])
    rows = [({"recalibration": "none"}, {1: 0.7, 2: 0.71})]
    rows += [({"recalibration": "scse", "positions": place}, {1: 0.8, 2: 0.82}) for place in ("P1", "P5")]
    results = made_up(study, tmp_path, rows)
    assert [axes.get_xlabel() for axes in score_by_dimension(results, results.comparable).axes] == ["positions"]

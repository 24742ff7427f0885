import csv
import itertools

import pytest
from studies_made_up import made_up
from training.synthetic import RECIPE, write_scans

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning import write_report
from recalib_keras.tuning.reporting.pareto_figure import pareto_figure
from recalib_keras.tuning.trials.cost import measure, pareto_front
from recalib_keras.tuning.trials.trial import Execution, Trial


def trial(name, score, cost):
    return Trial(name, {}, 3, status="completed", cost=cost, executions=(Execution(1, score, 1, 3),))


def test_pareto_front():
    good, cheap, between = trial("good", 0.9, 30), trial("cheap", 0.5, 1), trial("between", 0.8, 10)
    worse, dearer, same = trial("worse", 0.7, 10), trial("dearer", 0.8, 11), trial("same", 0.5, 1)
    failed, unknown = Trial("failed", {}, 3, status="failed", cost=0), trial("unknown", 0.99, None)
    trials = [worse, good, dearer, failed, between, cheap, same, unknown]
    assert [one.id for one in pareto_front(trials)] == ["cheap", "same", "between", "good"]
    assert pareto_front([]) == pareto_front([failed, unknown]) == []


def test_report_and_table_have_the_cost(make_study, tmp_path):
    rows = [({"learning_rate": rate}, {1: score}) for rate, score in ((0.01, 0.6), (0.02, 0.7), (0.03, 0.65))]
    results = made_up(make_study(seeds=[1], cost="seconds"), tmp_path, rows)
    for one, cost in zip(results.trials, (2.0, 4.0, 5.0)):
        one.cost = cost
    write_report(results)
    text = (tmp_path / "report.md").read_text()
    section = text[text.index("## Pareto front") :].split("\n## ")[0].split("![")[0]
    assert "a higher cost (seconds a scan); cheapest first" in section
    assert "| 0 | 0.600" in section and "| 1 | 0.700" in section and "\n| 2 |" not in section
    with (tmp_path / "trials.csv").open() as file:
        assert [row["seconds a scan"] for row in csv.DictReader(file)] == ["2.0", "4.0", "5.0"]


def test_figure_of_the_pareto_front(make_study, tmp_path):
    costs, scores = (2.0, 4.0, 5.0, 90.0), (0.6, 0.7, 0.65, 0.75)
    rows = [({"learning_rate": rate}, {1: score}) for rate, score in zip((0.01, 0.02, 0.03, 0.04), scores)]
    results = made_up(make_study(seeds=[1], cost="seconds"), tmp_path, rows)
    for one, cost in zip(results.trials, costs):
        one.cost = cost
    figure = pareto_figure(results, results.comparable)
    (axes,) = figure.axes
    step, others, front = axes.lines
    assert list(front.get_xdata()) == [2.0, 4.0, 90.0] and list(front.get_ydata()) == [0.6, 0.7, 0.75]
    assert list(others.get_xdata()) == [5.0] and step.get_drawstyle() == "steps-post"
    assert {text.get_text() for text in axes.texts} == {"0", "1", "3"}
    assert (axes.get_xlabel(), axes.get_xscale()) == ("seconds a scan", "log")  # the costs differ 45-fold
    low, high = axes.get_ylim()
    assert 0.55 < low < 0.6 and 0.75 < high < 0.8
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["other trials (1)", "Pareto front (3)"]
    write_report(results)
    section = (tmp_path / "report.md").read_text().split("## Pareto front")[1].split("\n## ")[0]
    assert "![pareto front](figures/pareto_front.png)" in section
    assert (tmp_path / "figures" / "pareto_front.png").read_bytes().startswith(b"\x89PNG")


def test_names_on_the_front_do_not_overlap(make_study, tmp_path):
    rows = [({"learning_rate": 0.01}, {1: 0.6 + number / 1000}) for number in range(60)]
    results = made_up(make_study(seeds=[1], cost="memory"), tmp_path, rows)
    for number, one in enumerate(results.trials):
        one.cost = 1 + number / 1000
    figure = pareto_figure(results, results.comparable)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert 5 < len(boxes) < 60 and figure.axes[0].texts[0].get_text() == "59"
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_studies_without_a_cost_have_none(make_study, tmp_path):
    results = made_up(make_study(seeds=[1]), tmp_path, [({"learning_rate": 0.01}, {1: 0.6})])
    write_report(results)
    assert "Pareto" not in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "figures" / "pareto_front.png").exists()
    assert "cost" not in results.plan.study.question and "pruning" not in results.plan.study.question


@pytest.mark.slow
def test_measured_in_a_process_of_its_own(tmp_path):
    import tomllib

    write_scans(tmp_path, count=3)
    recipe = tomllib.loads(RECIPE)
    assert measure("parameters", recipe, tmp_path) > 100
    with pytest.raises(StudyError, match=r"expected the cost of a network \(memory\), got a process that failed"):
        measure("memory", recipe, tmp_path / "nowhere")


@pytest.mark.slow
def test_seconds_and_memory_are_plausible(tmp_path):
    import tomllib

    write_scans(tmp_path, count=3)
    recipe = tomllib.loads(RECIPE)
    assert 0.0005 < measure("seconds", recipe, tmp_path) < 30
    assert 0.05 < measure("memory", recipe, tmp_path) < 4

"""The picture of a study with a cost: scores against costs, and the trials that are a good bargain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recalib_keras.evaluation.figures.canvas import DARK, GREY, PALE, new_figure, tidy
from recalib_keras.tuning.reporting.score_axis import score_limits
from recalib_keras.tuning.trials.cost import COSTS, pareto_front
from recalib_keras.tuning.trials.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recalib_keras.tuning.reporting.results import Results

SIZE, DOTS_PER_INCH = (5.6, 3.8), 120  # inches
FRONT, OTHER = "#0072B2", "0.65"
LOGARITHMIC_FROM = 20  # times the smallest cost
ROOM = 0.08  # of the range of costs, at either side
FONT = 8


def pareto_figure(results: Results, trials: Sequence[Trial]) -> Figure | None:
    """Returns a figure of score against cost, in which the Pareto front is joined and named.

    Args:
        results: The results of the study.
        trials: The trials to draw; those without a score or cost are left out.

    Returns:
        The figure; None if the study asks for no cost, or no trial has a score and a cost.
    """
    known = [trial for trial in trials if trial.scores and trial.cost is not None]
    if not results.plan.study.cost or not known:
        return None
    front = pareto_front(known)
    members = {trial.id for trial in front}
    others = [trial for trial in known if trial.id not in members]
    figure = new_figure(*SIZE, DOTS_PER_INCH)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    tidy(axes)
    axes.grid(True, color=PALE, linewidth=0.7)
    _set_axes(axes, known)
    # Between two trials of the front one gets the score of the cheaper one.
    axes.step(*_points(front), where="post", color=FRONT, linewidth=1.2, zorder=2)
    axes.plot(*_points(others), "o", color=OTHER, markersize=4, zorder=3, label=f"other trials ({len(others)})")
    axes.plot(*_points(front), "D", color=FRONT, markersize=5, zorder=4, label=f"Pareto front ({len(front)})")
    axes.set_xlabel(COSTS[results.plan.study.cost], fontsize=FONT + 1, color=DARK)
    axes.set_ylabel(results.plan.study.objective, fontsize=FONT + 1, color=DARK)
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=FONT)
    _name(figure, axes, front)
    return figure


def _points(trials):
    return [trial.cost for trial in trials], [trial.score for trial in trials]


def _set_axes(axes: Axes, trials: Sequence[Trial]) -> None:
    costs, scores = _points(trials)
    low, high = min(costs), max(costs)
    if low > 0 and high > LOGARITHMIC_FROM * low:
        axes.set_xscale("log")
        axes.set_xlim(low * (low / high) ** ROOM, high * (high / low) ** ROOM)
    else:
        room = ROOM * ((high - low) or abs(high) or 1.0)
        axes.set_xlim(max(0.0, low - room) if low >= 0 else low - room, high + room)
        axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(*score_limits(scores))


def _name(figure, axes, front):
    """Writes the names of the trials on the front, the best first; one that would lie upon another is left out."""
    figure.canvas.draw()
    taken = []
    for trial in reversed(front):
        text = axes.annotate(
            trial.id,
            (trial.cost, trial.score),
            xytext=(0, 6),
            textcoords="offset points",
            fontsize=FONT,
            color=GREY,
            ha="center",
            va="bottom",
        )
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)

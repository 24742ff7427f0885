"""Pictures of a study: all trials at once, and the score by each dimension."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recalib_keras.core.messages import counted
from recalib_keras.evaluation.figures.canvas import DARK, PALE, import_matplotlib, new_figure, save_figure, tidy
from recalib_keras.tuning.reporting.comparison import ABSENT, Comparison, compare
from recalib_keras.tuning.reporting.intervals import interval
from recalib_keras.tuning.reporting.pareto_figure import pareto_figure
from recalib_keras.tuning.reporting.score_axis import score_limits
from recalib_keras.tuning.space.dimensions import Dimension, label
from recalib_keras.tuning.trials.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recalib_keras.tuning.reporting.results import Results

PARALLEL, BY_DIMENSION, PARETO = "parallel_coordinates.png", "score_by_dimension.png", "pareto_front.png"
DOTS_PER_INCH = 120
COLUMNS = 3  # of panels
PANEL = (4.2, 3.2)  # inches
LANE = 0.2  # share of the space between two values that the lines of one value take
BEHIND_TEXT = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
BINS = 4  # of a range, with the same number of trials each
DOTS, MEANS, BASELINE = "0.65", "#0072B2", "#D55E00"
MOST_TICKS, LINES_OF_TEXT = 12, 20  # of a panel, and of an axis of the parallel coordinates
WIDEST_TICKS, LONGEST_TICK = 42, 24  # letters in a row below a panel; of one value


def draw_figures(results: Results, folder: str | os.PathLike) -> list[Path]:
    """Writes the pictures of a study as PNG files.

    Parallel coordinates need two dimensions, the Pareto front a cost. Earlier pictures that are no longer drawn are
    removed.

    Args:
        results: The results of the study.
        folder: Where to write them.

    Returns:
        The paths of the pictures; none if no trial is complete.

    Raises:
        ImportError: matplotlib is not installed.
        WriteError: A file cannot be written.
    """
    import_matplotlib("tune")
    trials, dimensions = results.comparable, results.plan.space.dimensions
    figures: dict[str, Figure] = {}
    if trials and len(dimensions) > 1:
        figures[PARALLEL] = parallel_coordinates(results, trials)
    if trials and dimensions:
        figures[BY_DIMENSION] = score_by_dimension(results, trials)
    front = pareto_figure(results, trials)
    if front is not None:
        figures[PARETO] = front
    for name in (PARALLEL, BY_DIMENSION, PARETO):
        if name not in figures:
            (Path(folder) / name).unlink(missing_ok=True)
    return [save_figure(figure, Path(folder) / name) for name, figure in figures.items()]


def parallel_coordinates(results: Results, trials: Sequence[Trial]) -> Figure:
    """Returns a figure with an axis for each dimension and one for the score; each line is a trial.

    Args:
        results: The results of the study.
        trials: The trials to draw.
    """
    from matplotlib import cm, colors

    dimensions, objective = results.plan.space.dimensions, results.plan.study.objective
    scores = [trial.score for trial in trials]
    low, high = min(scores), max(scores)
    colouring = cm.ScalarMappable(colors.Normalize(low, high if high > low else low + 1e-6), "viridis")
    figure = _figure((2.0 + 1.6 * len(dimensions), 4.5))
    axes = figure.add_subplot()
    scales = [_Scale(dimension, trials) for dimension in dimensions]
    for trial in sorted(trials, key=lambda trial: trial.score):
        heights = [scale.height(trial) for scale in scales]
        heights.append((trial.score - low) / (high - low) if high > low else 0.5)
        color = colouring.to_rgba(trial.score)  # type: ignore[arg-type]
        axes.plot(range(len(heights)), heights, color=color, alpha=0.8, linewidth=1.4)
    ends = ((0, low), (1, high)) if high > low else ((0.5, low),)
    for place, ticks in enumerate([*(scale.ticks() for scale in scales), [(h, f"{score:.3f}") for h, score in ends]]):
        _draw_axis(axes, place, ticks)
    axes.set_xticks(range(len(scales) + 1), [*(d.name for d in dimensions), objective], rotation=20, fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(scales) + 0.5)
    axes.set_frame_on(False)
    axes.set_title(f"lines: {counted(len(trials), 'trial')}", fontsize=8, color=DARK, loc="left")
    figure.colorbar(colouring, ax=axes, label=objective)
    return figure


def score_by_dimension(results: Results, trials: Sequence[Trial]) -> Figure:
    """Returns a figure with a panel for each dimension: scores, their means and 95 % intervals.

    All panels have one axis of scores. A dimension whose differences are shown by others has no panel; see
    `Comparison.is_elsewhere`.

    Args:
        results: The results of the study.
        trials: The trials to draw.
    """
    panels = [_panel(results, dimension, trials) for dimension in results.plan.space.dimensions]
    panels = [panel for panel in panels if panel is not None]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure((PANEL[0] * columns, PANEL[1] * rows))
    for number, (dimension, draw) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        draw(axes)
        tidy(axes)
        axes.yaxis.grid(True, color=PALE, linewidth=0.7)
        axes.set_xlabel(dimension.name, color=DARK)
        axes.set_ylabel(results.plan.study.objective, color=DARK)
    scores, intervals = _drawn(figure.axes)
    for axes in figure.axes:
        axes.set_ylim(*score_limits(scores, intervals))
    return figure


def _drawn(panels):
    """Returns the heights of all dots and means in panels, and those of the ends of all intervals."""
    lines = [line for axes in panels for line in axes.lines if line.get_marker() in ("o", "D")]
    bars = [bar for axes in panels for container in axes.containers for bar in container.lines[2]]
    ends = [point[1] for bar in bars for segment in bar.get_segments() for point in segment]
    return [float(height) for line in lines for height in line.get_ydata()], ends


def _draw_axis(axes, place, ticks):
    axes.axvline(place, color="black", linewidth=0.8)
    style = {"fontsize": 7, "va": "center", "bbox": BEHIND_TEXT}
    for height, text in ticks:
        axes.annotate(text, (place, height), xytext=(3, 0), textcoords="offset points", **style)


def _panel(
    results: Results, dimension: Dimension, trials: Sequence[Trial]
) -> tuple[Dimension, Callable[[Axes], None]] | None:
    """Returns a dimension and the function that draws its panel, or None if it has none."""
    if dimension.options is None:
        taking_part = [trial for trial in trials if dimension.name in trial.values]
        return dimension, lambda axes: _draw_range(axes, dimension, taking_part)
    comparison = compare(results, dimension)
    return None if comparison.is_elsewhere else (dimension, lambda axes: _draw_options(axes, comparison))


def _draw_options(axes: Axes, comparison: Comparison) -> None:
    for place, level in enumerate(comparison.levels):
        offsets = _spread(len(level.scores))
        axes.plot([place + offset for offset in offsets], level.scores, "o", color=DOTS, markersize=3)
        _draw_mean(axes, place, level.mean, level.interval, BASELINE if level.is_baseline else MEANS)
    _label_options(axes, [_plain(level.value) for level in comparison.levels])
    unit, count = "training" if comparison.by_seed else "trial", sum(len(level.scores) for level in comparison.levels)
    axes.set_title(f"dots: {counted(count, unit)}; mean, 95 % interval", fontsize=8, color=DARK)


def _label_options(axes, values):
    """Labels the values below a panel: slanted where they are wide, and only some where there are many."""
    texts = [value if len(value) <= LONGEST_TICK else f"{value[: LONGEST_TICK - 1]}…" for value in values]
    every = math.ceil(len(texts) / MOST_TICKS)
    is_wide = sum(map(len, texts[::every])) > WIDEST_TICKS
    style = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_wide else {}
    axes.set_xticks(range(0, len(texts), every), texts[::every], fontsize=8, **style)
    axes.set_xlim(-0.5, len(texts) - 0.5)


def _draw_range(axes: Axes, dimension: Dimension, trials: Sequence[Trial]) -> None:
    trials = sorted(trials, key=lambda trial: trial.values[dimension.name])
    axes.plot([t.values[dimension.name] for t in trials], [t.score for t in trials], "o", color=DOTS, markersize=3)
    for number in range(BINS):
        members = trials[number * len(trials) // BINS : (number + 1) * len(trials) // BINS]
        if members:
            values = [trial.values[dimension.name] for trial in members]
            scores = [trial.score for trial in members]
            _draw_mean(axes, sum(values) / len(values), sum(scores) / len(scores), interval(scores), MEANS)
    _label_range(axes, dimension)
    title = f"dots: {counted(len(trials), 'trial')}; mean of a quarter, 95 % interval"
    axes.set_title(title, fontsize=8, color=DARK)


def _label_range(axes, dimension):
    """Labels five numbers of the range; matplotlib's labels of a log axis overlap on less than a decade."""
    from matplotlib.ticker import NullLocator

    low, high = dimension.range.min, dimension.range.max
    is_log = dimension.range.scale == "log"
    if is_log:
        axes.set_xscale("log")
    shares = [place / 4 for place in range(5)]
    ticks = [low * (high / low) ** share if is_log else low + share * (high - low) for share in shares]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:.2g}" if is_log else f"{tick:.4g}" for tick in ticks], fontsize=8)


def _draw_mean(axes, place, mean, bounds, color):
    axes.plot([place], [mean], "D", color=color, markersize=5)
    if not math.isnan(bounds[0]):
        axes.errorbar([place], [mean], [[mean - bounds[0]], [bounds[1] - mean]], color=color, capsize=4)


class _Scale:
    """Where the values of a dimension are on its axis, from 0 to 1.

    Trials of one value are beside each other, around the value; a single one is on it.
    """

    def __init__(self, dimension, trials):
        self.dimension, self.texts = dimension, None
        if dimension.options is not None:
            is_absent = any(dimension.name not in trial.values for trial in trials)
            self.texts = [*([ABSENT] if is_absent else []), *map(label, dimension.options)]
            self.lanes = {text: [trial.id for trial in trials if self._text(trial) == text] for text in self.texts}

    def height(self, trial):
        """Returns the place of a trial's value."""
        if self.texts is not None:
            place, lanes = self.texts.index(self._text(trial)), self.lanes[self._text(trial)]
            aside = LANE * (lanes.index(trial.id) / (len(lanes) - 1) - 0.5) if len(lanes) > 1 else 0.0
            return (place + aside) / max(1, len(self.texts) - 1)
        if self.dimension.name not in trial.values:
            return math.nan  # the line has a gap where the dimension takes no part
        value, low, high = trial.values[self.dimension.name], self.dimension.range.min, self.dimension.range.max
        if self.dimension.range.scale == "log":
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)

    def ticks(self):
        """Returns pairs of a place and its text."""
        if self.texts is not None:
            every = math.ceil(len(self.texts) / LINES_OF_TEXT)
            steps = max(1, len(self.texts) - 1)
            return [(place / steps, _plain(self.texts[place])) for place in range(0, len(self.texts), every)]
        return [(0, f"{self.dimension.range.min:g}"), (1, f"{self.dimension.range.max:g}")]

    def _text(self, trial):
        return label(trial.values[self.dimension.name]) if self.dimension.name in trial.values else ABSENT


def _plain(text):
    """Returns the text of a value without the brackets and quotes of a list: `encoder, bottleneck`."""
    return text.replace('"', "").removeprefix("[").removesuffix("]")


def _spread(count):
    """Returns offsets that separate dots of nearly the same score."""
    return [0.0] if count == 1 else [0.15 * (2 * index / (count - 1) - 1) for index in range(count)]


def _figure(size):
    figure = new_figure(*size, DOTS_PER_INCH)
    figure.set_layout_engine("constrained")
    return figure

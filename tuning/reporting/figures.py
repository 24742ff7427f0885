"""Pictures of a study: all trials at once, and the score by each dimension."""

import math
from pathlib import Path

from recalib_keras.core.files import atomic_write
from recalib_keras.tuning.dimensions import label
from recalib_keras.tuning.reporting.comparison import ABSENT, compare
from recalib_keras.tuning.reporting.intervals import interval

PARALLEL, BY_DIMENSION = "parallel_coordinates.png", "score_by_dimension.png"
DOTS_PER_INCH = 120
COLUMNS = 3  # of panels
PANEL = (4.2, 3.2)  # inches
LANE = 0.2  # share of the space between two values that the lines of one value take
BEHIND_TEXT = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
BINS = 4  # of a range, of equally many trials
DOTS, MEANS, BASELINE = "0.65", "#0072B2", "#D55E00"


def draw_figures(results, folder):
    """Writes the pictures of a study as PNG files; returns their paths, none if no trial is complete.

    Parallel coordinates are drawn from two dimensions on; a picture of before that is no longer drawn is removed.

    Args:
        results: `Results`.
        folder: path to write to.

    Raises:
        ImportError: if matplotlib is not installed.
        WriteError: if a file cannot be written.
    """
    _check_matplotlib()
    trials, dimensions, figures = results.comparable, results.plan.space.dimensions, {}
    if trials and len(dimensions) > 1:
        figures[PARALLEL] = parallel_coordinates(results, trials)
    if trials and dimensions:
        figures[BY_DIMENSION] = score_by_dimension(results, trials)
    for name in (PARALLEL, BY_DIMENSION):
        if name not in figures:
            (Path(folder) / name).unlink(missing_ok=True)
    return [_save(figure, Path(folder) / name) for name, figure in figures.items()]


def parallel_coordinates(results, trials):
    """Returns a `matplotlib.figure.Figure` with an axis for each dimension and one for the score; a line is a trial."""
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
        axes.plot(range(len(heights)), heights, color=colouring.to_rgba(trial.score), alpha=0.8, linewidth=1.4)
    for place, scale in enumerate(scales):
        axes.axvline(place, color="black", linewidth=0.8)
        for height, text in scale.ticks():
            style = {"fontsize": 7, "va": "center", "bbox": BEHIND_TEXT}
            axes.annotate(text, (place, height), xytext=(3, 0), textcoords="offset points", **style)
    axes.axvline(len(scales), color="black", linewidth=0.8)
    for height, score in ((0, low), (1, high)):
        axes.annotate(f"{score:.3f}", (len(scales), height), xytext=(3, 0), textcoords="offset points", fontsize=7)
    axes.set_xticks(range(len(scales) + 1), [*(d.name for d in dimensions), objective], rotation=20, fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(scales) + 0.5)
    axes.set_frame_on(False)
    figure.colorbar(colouring, ax=axes, label=objective)
    return figure


def score_by_dimension(results, trials):
    """Returns a `matplotlib.figure.Figure` with a panel for each dimension: scores, their means and 95 % intervals.

    A dimension whose differences others tell has none; see `Comparison.is_elsewhere`.
    """
    panels = [_panel(results, dimension, trials) for dimension in results.plan.space.dimensions]
    panels = [(dimension, draw) for dimension, draw in panels if draw is not None]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure((PANEL[0] * columns, PANEL[1] * rows))
    for number, (dimension, draw) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        draw(axes)
        axes.set_xlabel(dimension.name)
        axes.set_ylabel(results.plan.study.objective)
    return figure


def _panel(results, dimension, trials):
    """Returns a dimension and the function that draws its panel, or None in place of it."""
    if dimension.options is None:
        taking_part = [trial for trial in trials if dimension.name in trial.values]
        return dimension, lambda axes: _draw_range(axes, dimension, taking_part)
    comparison = compare(results, dimension)
    return dimension, None if comparison.is_elsewhere else lambda axes: _draw_options(axes, comparison)


def _draw_options(axes, comparison):
    for place, level in enumerate(comparison.levels):
        offsets = _spread(len(level.scores))
        axes.plot([place + offset for offset in offsets], level.scores, "o", color=DOTS, markersize=3)
        _draw_mean(axes, place, level.mean, level.interval, BASELINE if level.is_baseline else MEANS)
    axes.set_xticks(range(len(comparison.levels)), [level.value for level in comparison.levels], fontsize=8)
    unit = "training" if comparison.by_seed else "trial"
    axes.set_title(f"a dot is a {unit}; mean, 95 % interval", fontsize=8)


def _draw_range(axes, dimension, trials):
    trials = sorted(trials, key=lambda trial: trial.values[dimension.name])
    axes.plot([t.values[dimension.name] for t in trials], [t.score for t in trials], "o", color=DOTS, markersize=3)
    for number in range(BINS):
        members = trials[number * len(trials) // BINS : (number + 1) * len(trials) // BINS]
        if members:
            values = [trial.values[dimension.name] for trial in members]
            scores = [trial.score for trial in members]
            _draw_mean(axes, sum(values) / len(values), sum(scores) / len(scores), interval(scores), MEANS)
    if dimension.range.scale == "log":
        axes.set_xscale("log")
    axes.set_title("a dot is a trial; mean of a quarter, 95 % interval", fontsize=8)


def _draw_mean(axes, place, mean, bounds, color):
    axes.plot([place], [mean], "D", color=color, markersize=5)
    if not math.isnan(bounds[0]):
        axes.errorbar([place], [mean], [[mean - bounds[0]], [bounds[1] - mean]], color=color, capsize=4)


class _Scale:
    """Where the values of a dimension lie on its axis, from 0 to 1.

    Trials of one value lie beside each other, around the value; one that is alone lies on it.
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
        value, low, high = trial.values[self.dimension.name], self.dimension.range.min, self.dimension.range.max
        if self.dimension.range.scale == "log":
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)

    def ticks(self):
        """Returns pairs of a place and its text."""
        if self.texts is not None:
            return [(place / max(1, len(self.texts) - 1), text) for place, text in enumerate(self.texts)]
        return [(0, f"{self.dimension.range.min:g}"), (1, f"{self.dimension.range.max:g}")]

    def _text(self, trial):
        return label(trial.values[self.dimension.name]) if self.dimension.name in trial.values else ABSENT


def _save(figure, path):
    return atomic_write(path, lambda temporary: figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH))


def _spread(count):
    """Returns offsets that keep dots of nearly the same score apart."""
    return [0.0] if count == 1 else [0.15 * (2 * index / (count - 1) - 1) for index in range(count)]


def _figure(size):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _check_matplotlib():
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'drawing a study needs matplotlib, which is not installed; run: pip install "recalib-keras[tune]"'
        ) from error

"""Writes the README's tables of presets from the presets' descriptions: `python -m docs.presets_table`."""

from pathlib import Path

import numpy as np

from recalib_keras import zoo
from recalib_keras.evaluation import Report

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- presets: made by `python -m docs.presets_table` -->\n", "<!-- end of presets -->"
BLOCKS = {"": "plain", "cse": "cSE", "sse": "sSE", "scse": "scSE", "pe": "PE"}


def tables() -> str:
    """Returns the Markdown: a table for each weight set. Rows are networks, columns are blocks; scores link to cards.

    Weight sets of an ensemble are not listed; the ensemble is, with the score of its report.
    """
    found = [entry for name in zoo.names() for entry in _entries(zoo.info(name))]
    return "\n".join(_table(weights, found) for weights in dict.fromkeys(weights for weights, *_ in found))


def _entries(preset):
    """Yields each weight set and ensemble of a preset: its name, the preset, the mean Dice, and its title or None."""
    members = {name for shares in preset.ensembles.values() for name in shares}
    for weights, described in preset.weight_sets.items():
        if weights not in members:
            yield weights, preset, described.score.get("dice"), described.title
    for weights in preset.ensembles:
        scores = Report.read(preset.folder / f"{weights}.csv").scan_means("dice")
        yield weights, preset, np.nanmean(scores), None


def _table(weights, entries):
    cells, titles = {}, []
    for name, preset, dice, title in entries:
        if name == weights:
            network, _, block = preset.name.partition("_")
            cells.setdefault(network, {})[block] = (
                f"[{'–' if dice is None else f'{dice:.3f}'}](zoo/presets/{preset.name}/README.md)"
            )
            titles += [title] if title else []
    lines = [f"`{weights}`: {titles[0]}", "", f"| network | {' | '.join(BLOCKS.values())} |", "|---" * 6 + "|"]
    for network, scores in cells.items():
        lines.append(f"| `{network}` | {' | '.join(scores.get(block, '') for block in BLOCKS)} |")
    return "\n".join(lines) + "\n"


def with_tables(readme: str) -> str:
    """Returns the README's text with new tables between the two marks."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return before + START + tables() + END + after


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")

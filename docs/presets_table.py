"""Write the README's tables of presets from their descriptions: `python -m docs.presets_table`."""

from pathlib import Path

from recalib_keras import zoo

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- presets: made by `python -m docs.presets_table` -->\n", "<!-- end of presets -->"
BLOCKS = {"": "plain", "cse": "cSE", "sse": "sSE", "scse": "scSE", "pe": "PE"}


def tables():
    """Returns the Markdown: for each kind of weights a table of networks by blocks, each score a link to its card."""
    presets = [zoo.info(name) for name in zoo.names()]
    return "\n".join(_table(weights, presets) for weights in dict.fromkeys(w for p in presets for w in p.weight_sets))


def _table(weights, presets):
    cells, titles = {}, []
    for preset in presets:
        if weights in preset.weight_sets:
            described, (network, _, block) = preset.weight_sets[weights], preset.name.partition("_")
            score = f"[{described.score['dice']:.3f}](zoo/presets/{preset.name}/README.md)"
            cells.setdefault(network, {})[block] = score
            titles.append(described.title)
    lines = [f"`{weights}`: {titles[0]}", "", f"| network | {' | '.join(BLOCKS.values())} |", "|---" * 6 + "|"]
    for network, scores in cells.items():
        lines.append(f"| `{network}` | {' | '.join(scores.get(block, '') for block in BLOCKS)} |")
    return "\n".join(lines) + "\n"


def with_tables(readme):
    """Returns the README's text with the tables between its two marks made anew."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return before + START + tables() + END + after


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")

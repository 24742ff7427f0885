"""Write the README's table of presets from their descriptions: `python -m docs.presets_table`."""

from pathlib import Path

from recalib_keras import zoo

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- presets: made by `python -m docs.presets_table` -->\n", "<!-- end of presets -->"


def table():
    """Returns the Markdown table: a row for each weight set of each preset."""
    lines = ["| preset | weights | segments | parameters | Dice |", "|---|---|---|---|---|"]
    for name in zoo.names():
        for weights, described in zoo.info(name).weight_sets.items():
            score = f"{described.score['dice']:.3f} ± {described.score['dice_sd']:.3f}"
            card = f"[`{name}`](zoo/presets/{name}/README.md)"
            lines.append(f"| {card} | `{weights}` | {described.title} | {described.parameters:,} | {score} |")
    return "\n".join(lines) + "\n"


def with_table(readme):
    """Returns the README's text with the table between its two marks made anew."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return before + START + table() + END + after


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")

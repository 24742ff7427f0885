"""Writes the README's table of what the presets segment, from their descriptions: `python -m docs.tasks_table`."""

from pathlib import Path

from recalib_keras import zoo
from recalib_keras.core.files import write_text
from recalib_keras.zoo import licences
from recalib_keras.zoo.pages.listing import Entry

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- tasks: made by `python -m docs.tasks_table` -->\n", "<!-- end of tasks -->"
COLUMNS = ("weights", "what they segment", "the best preset", "mean Dice", "measured on", "presets", "licence")
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"


def rows() -> str:
    """Returns the Markdown: a row for each task, those measured on real scans first."""
    best: dict[str, list[Entry]] = {}
    for entry in zoo.list():
        if entry.weights == entry.task:  # not a view of an ensemble
            best.setdefault(entry.task, []).append(entry)
    found = sorted(best.items(), key=lambda one: "generated" in measured_on(one[1][0]))
    return "".join(_row(task, entries) for task, entries in found)


def _row(task, entries):
    best = entries[0]
    cells = [
        f"`{task}`",
        _described(best).title,
        f"[`{best.name}`](zoo/presets/{best.name}/README.md)",
        f"{best.dice:.3f}",
        measured_on(best),
        str(len(entries)),
        licences.title(best.licence),
    ]
    return f"| {' | '.join(cells)} |\n"


def _described(entry):
    return zoo.weight_set(entry.name, next(iter(zoo.info(entry.name).shares(entry.weights))))


def measured_on(entry: Entry) -> str:
    """Returns the scans that a score is of, in words.

    Args:
        entry: A weight set or an ensemble.
    """
    return _described(entry).score["scans"]


def with_table(readme: str) -> str:
    """Returns the README's text with a new table between the two marks."""
    before, rest = readme.split(START)
    return before + START + HEAD + rows() + END + rest.split(END)[1]


if __name__ == "__main__":
    write_text(README, with_table(README.read_text(encoding="utf-8")))

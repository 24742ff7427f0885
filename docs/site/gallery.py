"""The gallery of the zoo, made from the presets' descriptions and reports."""

from collections.abc import Sequence
from pathlib import Path

from docs.tasks_table import measured_on
from recalib_keras import zoo
from recalib_keras.zoo.pages.listing import Entry

DOCS = Path(__file__).resolve().parents[1]
PICTURES = DOCS / "pictures" / "gallery"
BLOCKS = {"plain": "plain", "cse": "cSE", "sse": "sSE", "scse": "scSE", "pe": "PE"}
HEAD = """---
hide: [toc]
---

# Gallery of the zoo

A preset is named after its network and its block: `unet3d`, `densenet2d_scse`. It may have several weight sets, one for
each task. A name alone stands for the weights that are marked as its default. The tables show the mean Dice over the
structures of the validation scans and lead to the cards, which say what the weights were trained on and how. The
[scoreboard](zoo/scoreboard.md) adds deviations, surface distances and tests of significance.
[The zoo in Python](zoo.md) finds, loads and fine-tunes presets.

`recalib evaluate --preset NAME --weights WEIGHTS --data FOLDER` measures a score again. FOLDER (or the variable
`RECALIB_DATA`) holds the training data of the recipe: a folder `hippocampus` (Decathlon, Task04) or `brain_labels`
(label maps of heads).

!!! warning "For research; not a medical device"

    Each score is of one training, on scans that also chose its best epoch, so it is optimistic.
    [Limits](index.md#limits) says what the weights know and what they do not. The weights `whole_brain` were also
    measured [on real scans](performance.md#on-real-scans).
"""
CAPTION = "All pictures show the MNI152 template ([credits](pictures/credits.md)), which no preset was trained on"


def page() -> str:
    """Returns the Markdown of the page: a section for each task, the one with most structures first."""
    entries = list(zoo.list())
    tasks = dict.fromkeys(entry.task for entry in sorted(entries, key=_structures, reverse=True))
    return "\n".join([HEAD, *(_section(task, [entry for entry in entries if entry.task == task]) for task in tasks)])


def _structures(entry):
    preset = zoo.info(entry.name)
    return max(len(preset.weight_sets[member].labels) for member in preset.shares(entry.weights))


def _section(task: str, entries: Sequence[Entry]) -> str:
    title = next((entry.title for entry in entries if entry.weights == task and not _is_ensemble(entry)), task)
    cards = "\n".join(map(_card, entries))
    shown = f"{CAPTION}.\n\n" if any(picture(entry.name, entry.weights).exists() for entry in entries) else ""
    grid = f'<div class="grid cards gallery" markdown>\n\n{cards}\n</div>\n'
    scored = [entry for entry in entries if entry.weights == task]
    measured = "; ".join(dict.fromkeys(map(measured_on, scored)))
    table = f"{_table(scored)}\n\nMean Dice on {measured}."
    return f"## `{task}`\n\n{_capital(title)}.\n\n{table}\n\n{shown}{grid}"


def _capital(text):
    return text[0].upper() + text[1:]


def _is_ensemble(entry):
    return entry.weights in zoo.info(entry.name).ensembles


def _table(entries):
    """Returns the scores as a table: networks in rows, blocks in columns."""
    cells: dict[str, dict[str, str]] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        row = cells.setdefault(entry.name.partition("_")[0], {})
        row[entry.block] = f"[{_score(entry)}](zoo/presets/{entry.name}.md)"
    lines = [f"| network | {' | '.join(BLOCKS.values())} |", "|---" * (1 + len(BLOCKS)) + "|"]
    lines += [f"| `{name}` | {' | '.join(row.get(block, '') for block in BLOCKS)} |" for name, row in cells.items()]
    return "\n".join(lines)


def _score(entry):
    return "–" if entry.dice is None else f"{entry.dice:.3f}"


def picture(name: str, weights: str) -> Path:
    """Returns where the picture of a weight set lies, if there is one; `python -m docs.gallery_pictures` draws them."""
    return PICTURES / f"{name}_{weights}.png"


def _card(entry: Entry) -> str:
    """Returns an item of the grid: a picture if there is one, the score, the licence and the card."""
    default = " (default)" if entry.is_default else ""
    lines = [f"**[`{entry.name}`](zoo/presets/{entry.name}.md)** `{entry.weights}`{default}"]
    if picture(entry.name, entry.weights).exists():
        relative = picture(entry.name, entry.weights).relative_to(DOCS).as_posix()
        lines.insert(0, f"![Segmentation by {entry.name}, {entry.weights}]({relative}){{ loading=lazy }}")
    lines.append(f"mean Dice **{_score(entry)}** · {entry.parameters:,} parameters · {entry.licence}")
    if _is_ensemble(entry):
        lines.append(f"{_capital(entry.title)}")
    return "-   " + "\n\n    ".join(lines) + "\n"

"""Writes the zoo's scoreboard from the reports beside its weights: `python -m docs.scoreboard`.

A report is what `recalib evaluate --preset NAME --data FOLDER -o zoo/presets/NAME/WEIGHTS.csv` writes.
"""

from pathlib import Path

from recalib_keras import zoo
from recalib_keras.evaluation import Report, summarize
from recalib_keras.evaluation.report import MEAN
from recalib_keras.zoo.pages.evidence import against_plain

PAGE = Path(__file__).resolve().parents[1] / "zoo" / "README.md"
HEAD = """# The zoo's scoreboard

Made by `python -m docs.scoreboard` from the reports beside the weights, one for each preset:

    recalib evaluate --preset NAME --weights WEIGHTS --data $RECALIB_DATA -o zoo/presets/NAME/WEIGHTS.csv

Mean ± standard deviation over the validation scans; HD95 in mm, the mean over structures and scans. The best come
first. `p` is from Wilcoxon's signed-rank test of each scan's mean Dice against the same network without a block, with
Holm's correction over the blocks of that network; the sign before it says which one is ahead.

- All presets of a table are trained by one recipe; those of the whole brain for as many epochs as their cards say. The
  best validated epoch was chosen on these same scans, so the scores are optimistic.
- Each preset was trained once unless the table says otherwise, so small differences say little about the blocks.
- The minutes are a rough guide, no benchmark: unless they name a GPU, training used one core, other trainings ran on
  the machine at the same time, and pauses are included.
- Presets of the whole brain start from [drafts](drafts/README.md), and `unet3d_pe` starts from `unet3d`; those minutes
  come on top, and `p` includes their effect.
- `densenet2d_scse` segments the whole brain by networks of three views together; their parameters and minutes are
  summed.
- All scores are without test-time flips (`--flip`). Flips do not help networks of the hippocampus, which know its left
  side only: with them `unet3d_pe` has 0.8512.
"""
FAMILIES = {"3-D": "3d", "2-D": "2d"}
MOST_STRUCTURES = 4  # with a column each; the cards have the scores of more


def page() -> str:
    """Returns the Markdown of the scoreboard: for each weight set a table of 3-D and one of 2-D networks."""
    sections = [HEAD]
    presets = [zoo.info(name) for name in zoo.names()]
    for weights in dict.fromkeys(name for preset in presets for name in (*preset.weight_sets, *preset.ensembles)):
        reports = _reports(weights)
        for family, mark in FAMILIES.items():
            rivals = {name: report for name, report in reports.items() if mark in name.split("_")[0]}
            if rivals:
                sections.append(f"## `{weights}`, {family}\n\n{_table(weights, rivals)}")
    return "\n".join(sections)


def _reports(weights):
    paths = {name: zoo.info(name).folder / f"{weights}.csv" for name in zoo.names()}
    return {name: Report.read(path) for name, path in paths.items() if path.exists()}


def _table(weights, reports):
    structures = next(iter(reports.values())).structures
    structures = structures if len(structures) <= MOST_STRUCTURES else []
    p_values = _against_plain(reports)
    head = ["preset", *structures, "mean Dice", "HD95", "parameters", "training, min", "p against plain"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    summaries = {name: {(s.structure, s.measure): s for s in summarize(report)} for name, report in reports.items()}
    for name in sorted(summaries, key=lambda name: -summaries[name][MEAN, "dice"].mean):
        found, preset = summaries[name], zoo.info(name)
        parts = [preset.weight_sets[part] for part in preset.shares(weights)]
        dice = [f"{found[s, 'dice'].mean:.4f} ± {found[s, 'dice'].sd:.4f}" for s in (*structures, MEAN)]
        minutes = f"{sum(part.score['training_minutes'] for part in parts):.0f}"
        devices = dict.fromkeys(part.score["device"] for part in parts if "device" in part.score)
        minutes = ", ".join([minutes, *devices])
        lines.append(
            f"| [`{name}`](presets/{name}/README.md) | {' | '.join(dice)} | {found[MEAN, 'hd95_mm'].mean:.2f} | "
            f"{sum(part.parameters for part in parts):,} | {minutes} | {p_values.get(name, '')} |"
        )
    return "\n".join(lines) + "\n"


def _against_plain(reports):
    """Returns the sign of the difference and the p-value of each preset that has a rival without a block."""
    return {
        name: f"{'+' if difference.mean > 0 else '−'} {difference.p_holm:.3g}"
        for name, difference in against_plain(reports).items()
    }


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

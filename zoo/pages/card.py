"""The card of a preset: its purpose, training data and scores in words, made from its description."""

from recalib_keras.core.messages import one_line
from recalib_keras.zoo.pages.card_header import header
from recalib_keras.zoo.places.folders import is_shipped
from recalib_keras.zoo.preset import Preset

# What Markdown would take for a table or HTML.
MARKUP = {"|": "\\|", "<": "&lt;", ">": "&gt;"}

CARD = """# {name}

For research; not a medical device.
{sections}"""

SECTION = """
## `{weights}`{default}

Segments {title}.

| | |
|---|---|
| network | {architecture}, {parameters:,} parameters |
| labels | {labels} |
| input | {window}, {spacing}, orientation {orientation}, normalisation `{normalization}` |
| training data | {source} ({licence}) |
| training | {training} |
| weights | [{file}]({file}), SHA-256 `{sha256}` |

{score}{where}
    {command}
"""

SCORE = """Mean Dice on {scans}: **{dice:.4f}** ± {dice_sd:.4f} (standard deviation over scans). {remark}
{caution}
| structure | Dice |
|---|---|
{by_structure}
"""

NO_SCORE = """These weights were saved without a score. Measure them on scans that they have not learned from.
"""
OPTIMISTIC = "The score is\noptimistic: the best epoch was chosen on these scans."
POOLED = (
    "Each patient was\nsegmented by the weights whose training held that patient out, and whose best epoch was chosen "
    "on these patients."
)
LEARNED_ALL = """The weights learned from all scans, so that there is none left to measure them on. Score: {source}.
"""

ENSEMBLE = """
## `{name}`{default}

Averages the probabilities of {members}, the weights below.
{score}{where}
    recalib segment scan.nii.gz -o results --preset {preset} --weights {name}
    recalib evaluate --preset {preset} --weights {name} --data $RECALIB_DATA
"""

# A folder can be moved and renamed, so a command that must work in it cannot name it.
HERE = """
Run in this folder:
"""

SYNTHETIC = """
The network was trained on synthetic images alone, and these scores are on synthetic images too. It has never seen a
real scan: segmentations of real scans can be worse, so check them before you use them.
"""


def card(preset: Preset) -> str:
    """Returns the Markdown card of a preset.

    Its commands name a preset of this package, and are to be run in the folder of any other one.

    Args:
        preset: The preset.
    """
    default, is_known = preset.shares(), is_shipped(preset.folder)
    place = {"preset": preset.name if is_known else ".", "where": "" if is_known else HERE}
    ensembles = [
        ENSEMBLE.format(
            name=name, members=_members(shares), default=_mark(shares == default), score=_pooled(preset, name), **place
        )
        for name, shares in preset.ensembles.items()
    ]
    sections = [
        _section(weights, described, default == {weights: 1.0}, **place)
        for weights, described in preset.weight_sets.items()
    ]
    return header(preset) + CARD.format(name=preset.name, sections="".join([*ensembles, *sections]))


def _plain(text):
    """Returns a text in one line that Markdown shows as it is, in a table too."""
    return "".join(MARKUP.get(character, character) for character in one_line(text))


def _members(shares):
    """Returns the members of an ensemble and the share of each, in words."""
    total = sum(shares.values())
    return ", ".join(f"`{name}` ({share / total:.0%})" for name, share in shares.items())


def _mark(is_default):
    return " (default)" if is_default else ""


def _window(expects):
    beside = f", with {expects.context} more slices on each side" if expects.context else ""
    return f"{' × '.join(map(str, expects.window))} voxels{beside}"


def _normalization(expects):
    """Returns how intensities are normalised; with channels, each with its own."""
    if expects.channels is None:
        return expects.normalizations[0]
    return ", ".join(f"{_plain(name)} {method}" for name, method in zip(expects.channels, expects.normalizations))


def _architecture(network):
    arguments = ", ".join(_plain(f"`{key}={value!r}`") for key, value in network.arguments.items())
    return f"`{network.architecture}` ({arguments})"


def _training(weights, described):
    """Returns how the weights were trained, in words: by a recipe, or by code that left none."""
    score = described.score
    start = _plain(described.data.get("starts_from", ""))
    if not score:
        return f"fine-tuned from `{start}` in Python" if start else "not stated"
    start = f", starting from the weights of `{start}`" if start else ""
    device = f" on {score['device']}" if "device" in score else ""
    device += f" in {score['precision']}" if "precision" in score else ""
    generated = described.data.get("generated_share")
    mixed = "" if generated is None else f", {generated:.0%} of the examples generated from label maps"
    how_long = f"{score['epochs']} epochs, {score['training_minutes']} min{device}{start}{mixed}"
    return f"[{weights}.toml]({weights}.toml), log [{weights}.jsonl]({weights}.jsonl): {how_long}"


def _pooled(preset, ensemble):
    """Returns the cross-validated score of an ensemble of folds as a section, or nothing."""
    score = preset.scores.get(ensemble)
    return "" if score is None else f"\n{_score(score, POOLED)}"


def _score(score, remark, caution=""):
    by_structure = (f"| {_plain(label)} | {value:.4f} |" for label, value in score["dice_by_structure"].items())
    return SCORE.format(
        scans=_plain(score["scans"]),
        dice=score["dice"],
        dice_sd=score["dice_sd"],
        remark=remark,
        caution=caution,
        by_structure="\n".join(by_structure),
    )


def _score_of(described):
    if not described.score:
        return NO_SCORE
    if "dice" not in described.score:
        return LEARNED_ALL.format(source=_plain(described.data.get("score_from", "not stated")))
    return _score(described.score, OPTIMISTIC, SYNTHETIC if described.data.get("synthetic") else "")


def _section(weights, described, is_default, preset, where):
    expects = described.input
    # Without scans that were kept apart, others must be named.
    scans = "--data $RECALIB_DATA" if described.held_out else "--dataset nifti_folder FOLDER"
    return SECTION.format(
        weights=weights,
        default=_mark(is_default),
        title=_plain(described.title),
        architecture=_architecture(described.network),
        parameters=described.parameters,
        labels=_plain(", ".join(f"{label.id} {label.name}" for label in described.labels)),
        window=_window(expects),
        spacing=f"{' × '.join(f'{size:g}' for size in expects.spacing)} mm"
        if expects.spacing
        else "the scan's spacing",
        orientation=expects.orientation,
        normalization=_normalization(expects),
        source=_plain(described.data.get("source", "not stated")),
        licence=_plain(described.licence),
        training=_training(weights, described),
        file=described.file,
        sha256=described.sha256,
        score=_score_of(described),
        where=where,
        command=f"recalib evaluate --preset {preset} --weights {weights} {scans}",
    )

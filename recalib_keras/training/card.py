"""The card of a preset: its purpose, training data and scores in words, made from its description."""

from recalib_keras.core.messages import one_line
from recalib_keras.zoo.card_header import header
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
| training | [{weights}.toml]({weights}.toml), log [{weights}.jsonl]({weights}.jsonl): {how_long} |
| weights | [{file}]({file}), SHA-256 `{sha256}` |

Mean Dice on {scans}: **{dice:.4f}** ± {dice_sd:.4f} (standard deviation over scans). The score is
optimistic: the best epoch was chosen on these scans.
{caution}
| structure | Dice |
|---|---|
{by_structure}

    recalib evaluate --preset {name} --weights {weights} --data $RECALIB_DATA
"""

ENSEMBLE = """
## `{name}`{default}

Averages the probabilities of {members}, the weights below.

    recalib segment scan.nii.gz -o results --preset {preset} --weights {name}
    recalib evaluate --preset {preset} --weights {name} --data $RECALIB_DATA
"""

SYNTHETIC = """
The network was trained on synthetic images alone, and these scores are on synthetic images too. It has never seen a
real scan: segmentations of real scans can be worse, so check them before you use them.
"""


def card(preset: Preset) -> str:
    """Returns the Markdown card of a preset.

    Args:
        preset: The preset.
    """
    default = preset.shares()
    ensembles = [
        ENSEMBLE.format(preset=preset.name, name=name, members=_members(shares), default=_mark(shares == default))
        for name, shares in preset.ensembles.items()
    ]
    sections = [
        _section(preset.name, weights, described, is_default=default == {weights: 1.0})
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


def _architecture(network):
    arguments = ", ".join(_plain(f"`{key}={value!r}`") for key, value in network.arguments.items())
    return f"`{network.architecture}` ({arguments})"


def _how_long(described):
    start = (
        f", starting from the weights of `{_plain(described.data['starts_from'])}`"
        if "starts_from" in described.data
        else ""
    )
    score = described.score
    device = f" on {score['device']}" if "device" in score else ""
    return f"{score['epochs']} epochs, {score['training_minutes']} min{device}{start}"


def _section(name, weights, described, is_default):
    expects, score = described.input, described.score
    return SECTION.format(
        name=name,
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
        normalization=expects.normalization,
        source=_plain(described.data["source"]),
        licence=_plain(described.data["licence"]),
        how_long=_how_long(described),
        file=described.file,
        sha256=described.sha256,
        scans=_plain(score["scans"]),
        dice=score["dice"],
        dice_sd=score["dice_sd"],
        caution=SYNTHETIC if described.data.get("synthetic") else "",
        by_structure="\n".join(
            f"| {_plain(label)} | {value:.4f} |" for label, value in score["dice_by_structure"].items()
        ),
    )

"""The card of a preset: what it is for, what it was trained on, what it reaches, in words made from its description."""

CARD = """# {name}

{architecture} with {parameters:,} parameters. For research; not a medical device.
{sections}"""

SECTION = """
## `{weights}`{default}

Segments {title}.

| | |
|---|---|
| labels | {labels} |
| input | {window} voxels, {spacing}, orientation {orientation}, normalisation `{normalization}` |
| training data | {source} ({licence}) |
| training | [{weights}.toml]({weights}.toml), log [{weights}.jsonl]({weights}.jsonl): {epochs} epochs, {minutes} min |
| weights | [{file}]({file}), SHA-256 `{sha256}` |

Mean Dice on {scans}: **{dice:.4f}** ± {dice_sd:.4f} over scans ({by_structure}). The weights kept are those of the
validated epoch that scored best on these same scans, so the figure leans to the bright side.

    recalib evaluate --preset {name} --weights {weights} --data $RECALIB_DATA
"""


def card(preset):
    """Returns the Markdown card of a preset.

    Args:
        preset: `recalib_keras.zoo.Preset`.
    """
    first = next(iter(preset.weight_sets.values()))
    sections = [
        _section(preset.name, weights, described, is_default=described is first)
        for weights, described in preset.weight_sets.items()
    ]
    return CARD.format(
        name=preset.name,
        architecture=_architecture(first.network),
        parameters=first.parameters,
        sections="".join(sections),
    )


def _architecture(network):
    arguments = ", ".join(f"`{key}={value!r}`" for key, value in network.arguments.items())
    return f"`{network.architecture}` ({arguments})"


def _section(name, weights, described, is_default):
    expects, score = described.input, described.score
    return SECTION.format(
        name=name,
        weights=weights,
        default=" (default)" if is_default else "",
        title=described.title,
        labels=", ".join(f"{label.id} {label.name}" for label in described.labels),
        window=" × ".join(map(str, expects.window)),
        spacing=f"{' × '.join(f'{size:g}' for size in expects.spacing)} mm"
        if expects.spacing
        else "the scan's spacing",
        orientation=expects.orientation,
        normalization=expects.normalization,
        source=described.data["source"],
        licence=described.data["licence"],
        epochs=score["epochs"],
        minutes=score["training_minutes"],
        file=described.file,
        sha256=described.sha256,
        scans=score["scans"],
        dice=score["dice"],
        dice_sd=score["dice_sd"],
        by_structure=", ".join(f"{key} {value:.4f}" for key, value in score["dice_by_structure"].items()),
    )

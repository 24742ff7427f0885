"""recalib presets: list what is pretrained."""


def add_arguments(parser) -> None:
    """Adds the arguments of the command: none."""


def run(arguments) -> None:
    """Prints a line for each weight set and each ensemble of each preset."""
    from recalib_keras import zoo

    rows = [("preset", "weights", "Dice", "parameters", "segments")]
    for preset in map(zoo.info, zoo.names()):
        rows += [(preset.name, *_weight_set(weights, described)) for weights, described in preset.weight_sets.items()]
        rows += [(preset.name, *_ensemble(preset, weights)) for weights in preset.ensembles]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0])))


def _weight_set(weights, described):
    return weights, f"{described.score['dice']:.3f}", f"{described.parameters:,}", described.title


def _ensemble(preset, weights):
    shares = preset.ensembles[weights]
    parameters = sum(preset.weight_sets[name].parameters for name in shares)
    return (
        weights,
        "",
        f"{parameters:,}",
        "average of " + ", ".join(f"{share:g} {name}" for name, share in shares.items()),
    )

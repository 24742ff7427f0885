"""recalib presets: list what is pretrained."""

ERRORS = (ValueError,)


def add_arguments(parser):
    """Adds the arguments of the command: none."""


def run(arguments):
    """Prints a line for each weight set of each preset."""
    from recalib_keras import zoo

    rows = [
        (name, weights, f"{described.score['dice']:.3f}", f"{described.parameters:,}", described.title)
        for name in zoo.names()
        for weights, described in zoo.info(name).weight_sets.items()
    ]
    rows.insert(0, ("preset", "weights", "Dice", "parameters", "segments"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0])))

"""recalib synthesize: draw scans generated from label maps."""

import dataclasses
from pathlib import Path

from recalib_keras.core.backend import start_backend

LARGEST_SPACING = 20.0  # mm; of larger voxels a head has not ten along an axis
BUILT_IN = ("mild", "varied")


def add_arguments(parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "labels", nargs="+", type=Path, metavar="LABELS", help="label map of a whole head, or a folder of them"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PICTURE.png", help="the picture to write")
    parser.add_argument(
        "--settings",
        default="varied",
        metavar="FILE.toml",
        help="how far scans vary: a recipe with a table [synthesis] or a file of its keys, or `mild`; default: varied",
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE.json",
        help="what the numbers in the label maps stand for; default: generation.json beside the first of them",
    )
    parser.add_argument("--samples", type=int, default=6, metavar="N", help="number of scans, a row each (default: 6)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default: 0)")
    parser.add_argument("--spacing", type=float, default=2.0, metavar="MM", help="size of the voxels (default: 2)")


def run(arguments) -> None:
    """Draws the picture and says where it is."""
    if arguments.samples < 1 or not 0 < arguments.spacing <= LARGEST_SPACING:
        raise ValueError(
            f"expected at least 1 sample and voxels of up to {LARGEST_SPACING:g} mm, got {arguments.samples} and "
            f"{arguments.spacing:g} mm"
        )
    start_backend()
    from recalib_keras.evaluation.figures.canvas import import_matplotlib

    import_matplotlib()  # missing, it should be told before the maps are read
    import numpy as np
    from keras import ops

    from recalib_keras import synthesis
    from recalib_keras.synthesis.head import HEAD
    from recalib_keras.synthesis.label_table import FILE_NAME
    from recalib_keras.synthesis.picture import picture

    settings = _settings(arguments.settings)
    first = arguments.labels[0]
    beside = first if first.is_dir() else first.parent
    if arguments.table is None and not (beside / FILE_NAME).is_file():
        raise ValueError(
            f"expected what the numbers in the label maps stand for in {beside / FILE_NAME}, got no such file; name "
            "it by --table (recalib_keras.synthesis.LabelTable says what it holds)"
        )
    table = synthesis.LabelTable.read(arguments.table or beside)
    maps = synthesis.LabelMaps.read(arguments.labels, table)
    window = [max(1, round(size / arguments.spacing)) for size in HEAD]
    random_scan = synthesis.RandomScan(table, window, settings, arguments.spacing, maps.spacing)
    examples = synthesis.GeneratedExamples(maps, random_scan, arguments.samples, seed=arguments.seed)
    images, classes = zip(*(map(ops.convert_to_numpy, examples[step]) for step in range(arguments.samples)))
    images, classes, spacing = np.concatenate(images), np.concatenate(classes), random_scan.frame.spacing
    print(f"picture in {picture(images, classes, table.structures, spacing, arguments.output)}")


def _settings(text):
    """Returns built-in settings by their name, or those of a file: a recipe, which may extend others, or its table.

    Raises:
        ValueError: if there is no such file, or it does not hold settings.
    """
    from recalib_keras import synthesis
    from recalib_keras.core.records import from_mapping
    from recalib_keras.training.recipe import Recipe, read_toml

    if text in BUILT_IN:
        return getattr(synthesis, text.upper())
    if not Path(text).is_file():
        raise ValueError(
            f"expected settings by the name of {' or '.join(BUILT_IN)}, or their file; cannot read {text}: no such file"
        )
    mapping = read_toml(text)
    if "synthesis" in mapping:
        return from_mapping(synthesis.Synthesis, mapping["synthesis"], f"{text}: synthesis")
    if any(field.name in mapping for field in dataclasses.fields(Recipe)):
        raise ValueError(f"expected a recipe with a table [synthesis], got {text} without it; it generates no scans")
    return from_mapping(synthesis.Synthesis, mapping, text)

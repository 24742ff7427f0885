"""recalib evaluate: compare label maps with the truth, or a preset with the score on its card."""

import statistics
from pathlib import Path

from recalib_keras.cli.backend import start_backend
from recalib_keras.cli.files import LABEL_SUFFIXES, stem, write_table
from recalib_keras.cli.options import add_data_argument, add_preset_arguments

ERRORS = (ValueError, OSError)


def add_arguments(parser):
    """Adds the arguments of the command."""
    parser.add_argument("predictions", nargs="?", type=Path, help="label map, or a folder of them")
    parser.add_argument("truths", nargs="?", type=Path, help="label map, or a folder of them with the same names")
    parser.add_argument("-o", "--output", type=Path, metavar="REPORT.csv", help="table: a row for each scan and label")
    add_preset_arguments(parser, default=None)
    add_data_argument(parser)


def run(arguments):
    """Prints the mean Dice of each structure, and writes those of each scan if asked for."""
    if arguments.preset is not None:
        if arguments.predictions is not None:
            raise ValueError("expected either two sets of label maps or --preset, got both; leave one out")
        _evaluate_preset(arguments)
        return
    if arguments.truths is None:
        raise ValueError("expected PREDICTIONS and TRUTHS, or --preset NAME; see recalib evaluate --help")
    rows = []
    for name, prediction, truth in _pairs(arguments.predictions, arguments.truths):
        rows += [(name, label, value) for label, value in _compare(prediction, truth).items()]
    if arguments.output:
        write_table(arguments.output, [("scan", "label", "dice"), *rows])
    for label in sorted({label for _, label, _ in rows}):
        values = [value for _, row_label, value in rows if row_label == label]
        print(
            f"label {label}: Dice {_mean_and_deviation(values)} over {len(values)} scan{'s' if len(values) > 1 else ''}"
        )
    print(f"mean of all: {statistics.fmean(value for _, _, value in rows):.4f}")


def _evaluate_preset(arguments):
    start_backend()
    from recalib_keras.training import rescore

    score = rescore(arguments.preset, arguments.weights, arguments.data)
    for structure, value in score["dice_by_structure"].items():
        print(f"{structure}: Dice {value:.4f}")
    print(f"mean of all: {score['dice']:.4f} ± {score['dice_sd']:.4f} over {score['scans']}")


def _pairs(predictions, truths):
    """Returns name, prediction and truth of each scan that both sides have.

    Raises:
        ValueError: if one is a folder and the other is not, or a prediction has no truth (all are named).
    """
    if predictions.is_dir() != truths.is_dir():
        raise ValueError(f"expected two files or two folders, got {predictions} and {truths}")
    if not predictions.is_dir():
        return [(_name(predictions), predictions, truths)]
    of_truth = _label_maps(truths)
    found = _label_maps(predictions)
    missing = sorted(found.keys() - of_truth.keys())
    if missing or not found:
        raise ValueError(
            f"expected a label map in {truths} for each in {predictions}; "
            + (f"missing: {', '.join(missing)}" if missing else "there is none")
        )
    return [(name, path, of_truth[name]) for name, path in sorted(found.items())]


def _label_maps(folder):
    return {_name(path): path for path in folder.iterdir() if path.name.endswith(LABEL_SUFFIXES)}


def _name(path):
    return stem(path).removesuffix("_labels")


def _compare(prediction, truth):
    """Returns the Dice of each label but 0 that stands in one of two label maps."""
    import numpy as np

    from recalib_keras import evaluation, volumes

    predicted, true = volumes.read_labels(prediction), volumes.read_labels(truth)
    if not predicted.grid.matches(true.grid):
        raise volumes.VolumeError(
            f"{prediction} must stand on the grid of {truth}: expected {true.grid}, got {predicted.grid}"
        )
    labels = np.union1d(predicted.array, true.array)
    return {int(n): evaluation.dice(predicted.array, true.array, n) for n in labels if n != 0}


def _mean_and_deviation(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.4f} ± {deviation:.4f}"

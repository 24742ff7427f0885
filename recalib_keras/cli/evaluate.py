"""recalib evaluate: measure label maps against the ground truth, or a preset on scans that it was not trained on."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recalib_keras.cli.messages import in_words, print_line
from recalib_keras.cli.options import (
    add_data_argument,
    add_figure_format_argument,
    add_flip_argument,
    add_largest_component_argument,
    add_preset_arguments,
    named_weights,
)
from recalib_keras.core.messages import listed, printable

if TYPE_CHECKING:
    from recalib_keras.evaluation import Case, StructureLike

DEFINITIONS = """\
What is measured, for the prediction P and the ground truth T of a structure in a scan:

  dice                         2 |P and T| / (|P| + |T|)
  jaccard                      |P and T| / |P or T|
  hd95_mm                      95th percentile of the distances from P's surface to T's surface, or from T's to P's;
                               the larger of the two
  assd_mm                      mean of the distances from both surfaces, pooled
  volume_difference_mm3        |P| - |T|
  relative_volume_difference   (|P| - |T|) / |T|

The surface of a structure consists of its voxels with a face on the outside. Beyond the border of the scan is outside.
Distances are in mm, between the centres of voxels.

A structure is missed if only T has it, and spurious if only P has it. Its Dice and Jaccard are then 0. It has no
distances: their cells are empty, and the scan is counted as missed or spurious. A structure in neither has no measures
and is excluded from all means. The column found_in shows which case it is: both, truth only, prediction only, neither.

A structure that was not looked for in a scan of a data set has no row for it. Voxels that nobody looked at (the data
set's ignore label, --ignore-label) count for no structure.

The mean of structures is calculated in each scan first, then over the scans.

Ground-truth files without a prediction have no row and are excluded from all means. If scans are missing because their
segmentation failed, the means are those of the other scans. Such files are listed when the command starts.
"""
# Of each measure that is printed: title, decimals, factor.
FORMATS = {"dice": ("Dice", 4, 1), "hd95_mm": ("HD95 (mm)", 2, 1), "assd_mm": ("ASSD (mm)", 2, 1)}
FORMATS["relative_volume_difference"] = ("volume (%)", 1, 100)


class _Scans(NamedTuple):
    """What is evaluated.

    Args:
        cases: The scans.
        structures: The structures to measure; None for all in the label maps.
        draw_gates: Function that draws the gates of a case to a path; None if they are not wanted.
    """

    cases: list[Case]
    structures: Sequence[StructureLike] | None
    draw_gates: Callable[[Case, Path], object] | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: Parser of the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = DEFINITIONS
    parser.add_argument(
        "predictions", nargs="?", type=Path, metavar="PREDICTIONS", help="label map, or a folder of label maps"
    )
    parser.add_argument(
        "truths",
        nargs="?",
        type=Path,
        metavar="GROUND_TRUTH",
        help="label map, or a folder with a label map of the same name for each prediction",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="REPORT",
        help="table of all scans and structures, if it ends in .csv; otherwise a folder for report.csv, summary.csv "
        "and figures",
    )
    parser.add_argument(
        "--label-names",
        type=Path,
        metavar="FILE",
        help="names of the labels, or with --dataset of that data set's labels: a colour table (FreeSurfer, 3D Slicer, "
        "ITK-SNAP) or dataset.json",
    )
    parser.add_argument(
        "--part",
        choices=("validation", "test"),
        help="scans to measure the preset on: the validation scans that chose its weights (default), or the official "
        "test part of the data set",
    )
    parser.add_argument(
        "--dataset",
        nargs=2,
        metavar=("NAME", "FOLDER"),
        help="measure the preset on all scans of another data set (see `recalib datasets`); labels are matched by name",
    )
    parser.add_argument("--volume", type=int, metavar="I", help="volume to take of 4-D images in --dataset, from 0")
    parser.add_argument("--labels", type=int, nargs="+", metavar="N", help="labels to measure (default: all but 0)")
    parser.add_argument(
        "--ignore-label", type=int, metavar="N", help="number in the ground truth of voxels that do not count"
    )
    parser.add_argument(
        "--figures",
        action="store_true",
        help="also draw boxplots.png, volumes.png, bland_altman.png (volumes again) and panels.png",
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the scans themselves, for panels.png")
    add_figure_format_argument(parser)
    parser.add_argument(
        "--gates",
        action="store_true",
        help="also draw gates.png: the gates of the preset's first encoder and last decoder",
    )
    add_preset_arguments(parser, default=None)
    add_flip_argument(parser)
    add_largest_component_argument(parser)
    add_data_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measures all scans, prints a summary, and writes what was requested.

    Args:
        arguments: Arguments of the command.

    Returns:
        1 if some of several scans failed, else 0.
    """
    _check(arguments)
    scans = (_label_map_scans if arguments.preset is None else _preset_scans)(arguments)
    _prepare(arguments)
    from recalib_keras import evaluation

    failures = []
    many = len(scans.cases) > 1
    on_failure = (lambda case, error: failures.append((case, error))) if many else None
    report = evaluation.evaluate(_progress(scans.cases), scans.structures, on_failure)
    for case, error in failures:
        print_line("evaluate", f"{case.name}: {in_words('evaluate', error)}")
    if failures:
        print_line("evaluate", f"{len(failures)} of {len(scans.cases)} scans could not be evaluated")
    if len(failures) == len(scans.cases):
        return 1
    if not report.rows:
        raise ValueError("expected label maps with structures, got only 0; check which files you gave")
    _print_summary(report)
    _write(arguments, report, scans)
    return 1 if failures else 0


def _check(arguments):
    (_check_label_maps if arguments.preset is None else _check_preset)(arguments)
    if (arguments.figures or arguments.gates) and (arguments.output is None or arguments.output.suffix == ".csv"):
        raise ValueError(f"expected a folder for the figures, got -o {arguments.output}; give -o a folder")


def _check_label_maps(arguments):
    of_preset = {"--part": arguments.part, "--dataset": arguments.dataset, "--volume": arguments.volume}
    given = _given(of_preset)
    if given:
        raise ValueError(f"expected --preset with {given[0]}, got none; name the preset to measure")
    if arguments.truths is None:
        raise ValueError("expected PREDICTIONS and GROUND_TRUTH, or --preset NAME, got neither; see --help")
    if arguments.gates:
        raise ValueError("expected --preset with --gates, got label maps, which have no gates; leave --gates out")
    for option, value in (("--flip", arguments.flip), ("--largest-component", arguments.largest_component)):
        if value:
            raise ValueError(
                f"expected --preset with {option}, got label maps, which are measured as they are; leave it out"
            )
    if arguments.images is not None and not arguments.figures:
        raise ValueError("expected --figures with --images, got only the latter; add --figures")


def _check_preset(arguments):
    is_other = arguments.dataset is not None
    of_label_maps = {"PREDICTIONS": arguments.predictions, "--labels": arguments.labels, "--images": arguments.images}
    of_label_maps |= {"--ignore-label": arguments.ignore_label}
    given = _given(of_label_maps if is_other else of_label_maps | {"--label-names": arguments.label_names})
    if given:
        raise ValueError(f"expected either two sets of label maps or --preset, got {given[0]} too; leave one out")
    if arguments.volume is not None and not is_other:
        raise ValueError(
            "expected --dataset with --volume, got only the latter; leave it out, because the preset's recipe has it"
        )
    if arguments.part == "validation" and is_other:
        raise ValueError(
            "expected --part test with --dataset, or none, got validation; no scan of another set chose the weights"
        )


def _given(arguments):
    return [name for name, value in arguments.items() if value is not None]


def _prepare(arguments):
    """Creates the folder and loads matplotlib, so that errors come before hours of computation."""
    from recalib_keras.core.files import write_text
    from recalib_keras.evaluation.figures.canvas import import_matplotlib

    if arguments.figures or arguments.gates:
        import_matplotlib()
    if arguments.output is not None and arguments.output.suffix != ".csv":
        write_text(arguments.output / "definitions.txt", DEFINITIONS)


def _label_map_scans(arguments):
    from recalib_keras import evaluation

    cases = evaluation.find_cases(
        arguments.predictions, arguments.truths, arguments.images, _print_unmatched, arguments.ignore_label
    )
    if arguments.label_names is None:
        return _Scans(cases, arguments.labels and evaluation.unnamed_structures(arguments.labels))
    named = evaluation.read_structures(arguments.label_names)
    if arguments.labels is None:
        return _Scans(cases, named)
    missing = sorted(set(arguments.labels) - {structure.id for structure in named})
    if missing:
        raise ValueError(
            f"{arguments.label_names}: expected names of all --labels, got none for "
            f"{listed(missing, most=10)}; add them"
        )
    return _Scans(cases, [structure for structure in named if structure.id in arguments.labels])


def _print_unmatched(names):
    listing = f"{len(names)} ground-truth files have no prediction and are excluded from all means"
    print_line("evaluate", f"{listing}: {listed(names, most=10)}")


def _preset_scans(arguments):
    from recalib_keras.core.backend import start_backend

    start_backend()
    from recalib_keras.training import PresetEvaluation

    dataset, folder = arguments.dataset or (None, None)
    chosen = PresetEvaluation.prepare(
        arguments.preset,
        named_weights(arguments.weights),
        data_root=arguments.data,
        part=arguments.part,
        dataset=dataset,
        folder=folder,
        volume=arguments.volume,
        label_names=arguments.label_names,
        flips=arguments.flip,
        largest_component=arguments.largest_component,
    )
    if arguments.gates:
        chosen.check_gates()
    if chosen.missing:
        names = listed((label.name for label in chosen.missing), most=10)
        print_line("evaluate", f"{folder} has no labels with these names, so they are not measured: {names}")
    return _Scans(chosen.cases, chosen.structures, chosen.draw_gates if arguments.gates else None)


def _print_summary(report):
    """Prints a line for each structure and one for their mean: mean ± deviation of each measure."""
    from recalib_keras.evaluation import summarize

    lines: dict[str, dict] = {}
    for summary in summarize(report):
        lines.setdefault(summary.structure, {})[summary.measure] = summary
    table = [("", *(title for title, _, _ in FORMATS.values()), "scans", "missed", "spurious")]
    for structure, found in lines.items():
        cells = [_mean_and_deviation(found[measure], *FORMATS[measure][1:]) for measure in FORMATS]
        dice = found["dice"]
        table.append((structure, *cells, str(dice.scans), str(dice.missed), str(dice.spurious)))
    widths = [max(map(len, column)) for column in zip(*table)]
    for first, *others in table:
        print("  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]))


def _mean_and_deviation(summary, digits, factor):
    if not summary.scans:
        return "–"
    deviation = f" ± {factor * summary.sd:.{digits}f}" if summary.scans > 1 else ""
    return f"{factor * summary.mean:.{digits}f}{deviation}"


def _write(arguments, report, scans):
    from recalib_keras import evaluation

    if arguments.output is None:
        return
    if arguments.output.suffix == ".csv":
        report.write(arguments.output)
        print(printable(f"report in {arguments.output}"))
        return
    structures = scans.structures or evaluation.unnamed_structures(report.labels.values())
    evaluation.write_tables(report, arguments.output)
    if arguments.figures:
        evaluation.write_figures(report, arguments.output, structures, scans.cases, arguments.figure_format)
    if scans.draw_gates is not None:
        chosen = evaluation.best_median_worst(report)
        typical = chosen.get("median", next(iter(chosen.values())))
        shown = next(case for case in scans.cases if case.name == typical)
        scans.draw_gates(shown, arguments.output / f"gates.{arguments.figure_format}")
    print(printable(f"report in {arguments.output}"))


def _progress(cases):
    """Returns the scans with a progress bar, if there are several and this is a terminal."""
    from tqdm import tqdm

    return tqdm(cases, unit=" scans", disable=None if len(cases) > 1 else True, leave=False, dynamic_ncols=True)

"""recalib evaluate: measure label maps against the truth, or a preset on scans that it was not trained on."""

import argparse
from pathlib import Path

from recalib_keras.cli.messages import tell
from recalib_keras.cli.options import add_data_argument, add_flip_argument, add_preset_arguments
from recalib_keras.cli.preset_cases import preset_cases

ERRORS = (ValueError, OSError, ImportError)
DEFINITIONS = """\
What is measured, for the prediction P and the truth T of a structure in a scan:

  dice                         2 |P and T| / (|P| + |T|)
  jaccard                      |P and T| / |P or T|
  hd95_mm                      the larger of the 95th percentiles of the distances from P's surface to T's and from
                               T's to P's
  assd_mm                      the mean of the distances from both surfaces, pooled
  volume_difference_mm3        |P| - |T|
  relative_volume_difference   (|P| - |T|) / |T|

The surface of a structure is made of its voxels with a face on the outside; beyond the scan's border is outside.
Distances are those between centres of voxels in mm, whatever the spacing.

A structure that is missed (in T only) or spurious (in P only) has a Dice and a Jaccard of 0 and no distances: their
cells are empty, no number is put in their place, and the scans are counted as missed or spurious. A structure that is
in neither has no measures at all and is left out of all means. The column found_in tells which is the case: both,
truth only, prediction only, neither.

The mean of structures is taken in each scan first, then over the scans.

A truth without a prediction has no row and is in no mean: where scans are missing because segmenting them failed, the
means are those of the others. Such scans are counted and named when the command starts.
"""
FORMATS = {"dice": ("Dice", 4, 1), "hd95_mm": ("HD95 (mm)", 2, 1), "assd_mm": ("ASSD (mm)", 2, 1)}
FORMATS["relative_volume_difference"] = ("volume (%)", 1, 100)


def add_arguments(parser) -> None:
    """Adds the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = DEFINITIONS
    parser.add_argument("predictions", nargs="?", type=Path, help="label map, or a folder of them")
    parser.add_argument("truths", nargs="?", type=Path, help="label map, or a folder of them with the same names")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="REPORT",
        help="table of all scans and structures, if it ends in .csv; otherwise a folder, for report.csv, summary.csv "
        "and figures",
    )
    parser.add_argument(
        "--label-names",
        type=Path,
        metavar="FILE",
        help="colour table (FreeSurfer, 3D Slicer, ITK-SNAP) or dataset.json; with --dataset, that set's",
    )
    parser.add_argument(
        "--part",
        choices=("validation", "test"),
        help="scans to measure the preset on: those that chose its weights (default), or the set's official test part",
    )
    parser.add_argument(
        "--dataset",
        nargs=2,
        metavar=("NAME", "FOLDER"),
        help="measure the preset on all scans of another set (see `recalib datasets`); labels are matched by name",
    )
    parser.add_argument("--volume", type=int, metavar="I", help="which volume of that set's 4-D images to take, from 0")
    parser.add_argument("--labels", type=int, nargs="+", metavar="N", help="measure these only (default: all but 0)")
    parser.add_argument("--figures", action="store_true", help="draw boxplots.png, volumes.png and panels.png too")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the scans themselves, for the panels")
    parser.add_argument(
        "--gates",
        action="store_true",
        help="draw gates.png too: the gates of the preset's first encoder and last decoder",
    )
    add_preset_arguments(parser, default=None)
    add_flip_argument(parser)
    add_data_argument(parser)


def run(arguments) -> int:
    """Measures all scans, prints a summary, writes what is asked for; returns 1 if some of several scans failed."""
    _check(arguments)
    cases, structures, draw_gates = (preset_cases if arguments.preset else _label_map_cases)(arguments)
    _prepare(arguments)
    from recalib_keras import evaluation

    failures = []
    report = evaluation.evaluate(
        _progress(cases), structures, None if len(cases) == 1 else lambda case, error: failures.append((case, error))
    )
    for case, error in failures:
        tell("evaluate", f"{case.name}: {error}")
    if failures:
        tell("evaluate", f"{len(failures)} of {len(cases)} scans could not be evaluated")
    if len(failures) == len(cases):
        return 1
    if not report.rows:
        raise ValueError("expected label maps with structures in them, got nothing but 0; check which files were given")
    _print_summary(report)
    _write(arguments, report, structures or evaluation.unnamed_structures(report.labels.values()), cases, draw_gates)
    return 1 if failures else 0


def _check(arguments):
    (_check_label_maps if arguments.preset is None else _check_preset)(arguments)
    if (arguments.figures or arguments.gates) and (arguments.output is None or arguments.output.suffix == ".csv"):
        raise ValueError(f"expected a folder for the figures, got -o {arguments.output}; give -o a folder")


def _check_label_maps(arguments):
    of_preset = {"--part": arguments.part, "--dataset": arguments.dataset, "--volume": arguments.volume}
    given = _given(of_preset)
    if given:
        raise ValueError(f"expected --preset with {given[0]}; name the preset to measure")
    if arguments.truths is None:
        raise ValueError("expected PREDICTIONS and TRUTHS, or --preset NAME; see recalib evaluate --help")
    if arguments.gates:
        raise ValueError("expected --preset with --gates: label maps have no gates")
    if arguments.flip:
        raise ValueError("expected --preset with --flip: label maps are measured as they are")
    if arguments.images is not None and not arguments.figures:
        raise ValueError("expected --figures with --images, which are for the panels; add it")


def _check_preset(arguments):
    is_other = arguments.dataset is not None
    of_label_maps = {"PREDICTIONS": arguments.predictions, "--labels": arguments.labels, "--images": arguments.images}
    given = _given(of_label_maps if is_other else of_label_maps | {"--label-names": arguments.label_names})
    if given:
        raise ValueError(f"expected either two sets of label maps or --preset, got {given[0]} too; leave one out")
    if arguments.volume is not None and not is_other:
        raise ValueError("expected --dataset with --volume: of the preset's own set, the recipe tells the volume")
    if arguments.part == "validation" and is_other:
        raise ValueError("expected --part test with --dataset, or none: no scan of another set chose the weights")


def _given(arguments):
    return [name for name, value in arguments.items() if value is not None]


def _prepare(arguments):
    """Makes the folder and finds matplotlib before hours are spent on scans."""
    from recalib_keras.core.files import atomic_write
    from recalib_keras.evaluation.figures.canvas import import_matplotlib

    if arguments.figures or arguments.gates:
        import_matplotlib()
    if arguments.output is not None and arguments.output.suffix != ".csv":
        atomic_write(
            arguments.output / "definitions.txt", lambda path: path.write_text(DEFINITIONS, encoding="utf-8") and None
        )


def _label_map_cases(arguments):
    """Returns the scans, their structures (None for all there are), and no way to draw gates."""
    from recalib_keras import evaluation

    cases = evaluation.find_cases(arguments.predictions, arguments.truths, arguments.images, _tell_unmatched)
    if arguments.label_names is None:
        return cases, arguments.labels and evaluation.unnamed_structures(arguments.labels), None
    named = evaluation.read_structures(arguments.label_names)
    if arguments.labels is None:
        return cases, named, None
    missing = sorted(set(arguments.labels) - {structure.id for structure in named})
    if missing:
        raise ValueError(f"expected names of all --labels in {arguments.label_names}; missing: {missing}")
    return cases, [structure for structure in named if structure.id in arguments.labels], None


def _tell_unmatched(names):
    tell("evaluate", f"without a prediction, so in no mean: {len(names)} of the truths: {', '.join(names)}")


def _print_summary(report):
    """Prints a line for each structure and one for their mean: mean ± deviation of each measure."""
    from recalib_keras.evaluation import summarize

    lines = {}
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


def _write(arguments, report, structures, cases, draw_gates):
    from recalib_keras import evaluation

    if arguments.output is None:
        return
    if arguments.output.suffix == ".csv":
        report.write(arguments.output)
        print(f"report in {arguments.output}")
        return
    evaluation.write_tables(report, arguments.output)
    if arguments.figures:
        evaluation.write_figures(report, arguments.output, structures, cases)
    if arguments.gates:
        chosen = evaluation.best_median_worst(report)
        typical = chosen.get("median", next(iter(chosen.values())))
        draw_gates(next(case for case in cases if case.name == typical), arguments.output / "gates.png")
    print(f"report in {arguments.output}")


def _progress(cases):
    """Returns the scans behind a progress bar, if they are several and this is a terminal."""
    from tqdm import tqdm

    return tqdm(cases, unit=" scans", disable=None if len(cases) > 1 else True, leave=False, dynamic_ncols=True)

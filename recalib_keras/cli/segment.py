"""recalib segment: labels, volumes and pictures of one scan or thousands."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from recalib_keras.cli.label_targets import label_targets
from recalib_keras.cli.messages import ERRORS, format_line, print_line
from recalib_keras.cli.options import add_flip_argument, add_preset_arguments, named_weights
from recalib_keras.cli.volume_table import Labelled, VolumeTable, made_by, relative, warning_of

TABLE = "volumes.csv"


def add_arguments(parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "scans", nargs="+", type=Path, metavar="SCAN", help="NIfTI or MGZ file, or a folder with one DICOM series"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder, or a .nii.gz file for a single scan; scans of one name keep the folders that they lie in",
    )
    add_preset_arguments(parser, default="densenet3d_pe")
    parser.add_argument("--volume", type=int, metavar="I", help="which volume of 4-D scans to take, from 0")
    parser.add_argument("--overlay", action="store_true", help="draw a picture of each scan with its labels too")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="segment again what is there already; without it, labels that are there stay",
    )
    add_flip_argument(parser)
    parser.add_argument(
        "--engine",
        choices=("auto", "keras", "openvino"),
        default="auto",
        help="what computes; auto (default): the fastest here with the same labels, found once and remembered",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of the computation; auto: as above",
    )
    parser.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (default: all cores)")


def run(arguments) -> int:
    """Segments each scan; returns 1 if some of several could not be segmented."""
    targets, folder = label_targets(arguments.scans, arguments.output)
    table = VolumeTable(folder / TABLE)
    if arguments.overlay:
        import matplotlib  # noqa: F401  (missing, it should stop the batch before the first scan)

    batch = _Batch(_load_segmenter(arguments), table, arguments)
    failures = []
    try:
        for scan, target in _progress(targets, "scans", disable=None if len(targets) > 1 else True):
            try:
                batch.label(scan, target)
            except Exception as error:  # whatever one scan does, the others are segmented
                if len(targets) == 1:
                    raise
                known = isinstance(error, ERRORS)
                failures.append(f"{scan}: {error if known else f'{type(error).__name__}: {error}'}")
    finally:
        _report(targets, failures, batch)
    return 1 if failures else 0


def _load_segmenter(arguments):
    """Returns the segmenter; where it needs Keras, that takes several seconds to start."""
    from recalib_keras import inference

    weights, settings = named_weights(arguments.weights), (arguments.engine, arguments.precision)
    segmenter = inference.load_segmenter(arguments.preset, weights, *settings, arguments.flip, arguments.threads)
    if sys.stderr.isatty() and any(isinstance(engine, inference.Undecided) for engine in segmenter.engines):
        print_line("segment", "the first scan decides on the engine; this takes a while, once")
    return segmenter


class _Batch:
    """Labels scans, one after the other.

    Attributes:
        made, found: how many scans were labelled, and of how many the labels were there.
    """

    def __init__(self, segmenter, table, arguments):
        from recalib_keras import zoo

        preset, weights = zoo.info(arguments.preset), named_weights(arguments.weights)
        self.segmenter, self.table, self.arguments = segmenter, table, arguments
        self.made_by = made_by(preset, weights, arguments.volume, arguments.flip)
        self.made = self.found = 0

    def label(self, path, target):
        """Sees to it that the labels of a scan, its rows in the table, and its picture if asked for, are there."""
        name = relative(target, self.table.path.parent)
        labelled = Labelled(os.path.abspath(path), name, self.made_by)
        if target.exists() and not self.arguments.overwrite:
            volumes_of_structures, entropies, unusual = self._found(path, target, labelled)
            self.found += 1
        else:
            volumes_of_structures, entropies, unusual = self._made(path, target)
            self.made += 1
        self.table.replace(labelled, volumes_of_structures, entropies, unusual)
        if unusual:
            from tqdm import tqdm

            tqdm.write(format_line("segment", f"{path}: {unusual}"), file=sys.stderr)  # above the bar, if there is one

    def _made(self, path, target):
        """Returns the volumes of the structures, their mean entropies, and what is unusual about them."""
        from recalib_keras import inference, volumes

        scan = volumes.read(path, volume=self.arguments.volume, keep_integers=True)
        confidence = inference.Confidence()
        show = None if len(self.arguments.scans) == 1 else True
        labels = self.segmenter(
            scan, progress=lambda windows: _progress(windows, "windows", disable=show), confidence=confidence
        )
        if not self.arguments.overlay:
            scan = dataclasses.replace(scan, array=labels)  # a large scan need not stay in memory beside its labels
        volumes.save(volumes.label_image(labels, scan), target)
        if self.arguments.overlay:
            self._draw(scan, labels, target)
        seen = inference.traits(labels, scan.grid, self.segmenter.labels[1:], confidence)
        return seen.volumes, confidence.by_structure(self.segmenter.labels), self._unusual(seen)

    def _found(self, path, target, labelled):
        """As `_made`, for labels that are there, and stay."""
        from recalib_keras import inference, volumes

        rows = self.table.rows_of(labelled)
        labels = volumes.read_labels(target)
        has_picture = not self.arguments.overlay or _picture(target).exists()
        if not rows or not has_picture:
            scan = volumes.read(path, volume=self.arguments.volume, keep_integers=True)
            if not labels.grid.coincides(scan.grid):
                raise ValueError(
                    f"expected {target} to be labels of {path}, but it has another grid; give another folder with -o, "
                    "or replace it with --overwrite"
                )
        if not has_picture:
            self._draw(scan, labels.array, target)
        seen = inference.traits(labels.array, labels.grid, self.segmenter.labels[1:])
        warning = warning_of(rows, seen.volumes)
        return seen.volumes, {}, self._unusual(seen) if warning is None else warning

    def _draw(self, scan, labels, target):
        from recalib_keras import evaluation

        evaluation.overlay(scan, labels, self.segmenter.labels[1:], _picture(target))

    def _unusual(self, seen):
        from recalib_keras.inference import unfamiliar

        return "; ".join(unfamiliar(seen, self.segmenter.typical))


def _picture(target):
    from recalib_keras.volumes.names import stem

    return target.with_name(f"{stem(target).removesuffix('_labels')}_overlay.png")


def _report(targets, failures, batch):
    done, path = batch.made + batch.found, batch.table.path
    if done:
        where = targets[0][1] if len(targets) == 1 else path.parent
        engines = ", ".join(sorted({f"{engine.name} in {engine.precision}" for engine in batch.segmenter.engines}))
        remarks = [f"by {engines}"] * (batch.made > 0) + [f"{batch.found} there already"] * (batch.found > 0)
        scans = "scan" if done == 1 else "scans"
        print(f"labels of {done} {scans} in {where}, volumes in {path} ({', '.join(remarks)})")
    for failure in failures:
        print_line("segment", failure)
    if failures:
        print_line("segment", f"{len(failures)} of {len(targets)} scans could not be segmented")


def _progress(items, unit, disable):
    """Returns the items behind a progress bar; on a terminal only, for `disable=None`."""
    from tqdm import tqdm

    return tqdm(items, unit=f" {unit}", disable=disable, leave=False, dynamic_ncols=True)


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number

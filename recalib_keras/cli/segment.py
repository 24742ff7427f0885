"""recalib segment: labels, volumes and pictures of one scan or thousands."""

import argparse
import csv
import dataclasses
import sys
from pathlib import Path

from recalib_keras.cli.backend import start_backend
from recalib_keras.cli.options import add_preset_arguments, named_weights

ERRORS = (ValueError, OSError, ImportError)
TABLE = "volumes.csv"


def add_arguments(parser):
    """Adds the arguments of the command."""
    parser.add_argument(
        "scans", nargs="+", type=Path, metavar="SCAN", help="NIfTI or MGZ file, or a folder with one DICOM series"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder, or a .nii.gz file for a single scan"
    )
    add_preset_arguments(parser, default="densenet3d_pe")
    parser.add_argument("--volume", type=int, metavar="I", help="which volume of 4-D scans to take, from 0")
    parser.add_argument("--overlay", action="store_true", help="draw a picture of each scan with its labels too")
    parser.add_argument("--overwrite", action="store_true", help="segment again what is there already")
    parser.add_argument("--flip", action="store_true", help="average with the left-right mirror image (twice the time)")
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


def run(arguments):
    """Segments each scan; returns 1 if some of several could not be segmented."""
    targets = _targets(arguments.scans, arguments.output)
    if arguments.overlay:
        import matplotlib  # noqa: F401  (missing, it should stop the batch before the first scan)
    from recalib_keras.volumes import VolumeError

    segmenter = _load_segmenter(arguments)
    table = _Table(targets[0][1].parent / TABLE)
    failures = []
    for scan, target in _progress(targets, "scans", disable=None if len(targets) > 1 else True):
        try:
            seen, entropies = _segment_one(segmenter, scan, target, arguments, show_windows=len(targets) == 1)
        except (VolumeError, OSError) as error:
            if len(targets) == 1:
                raise
            failures.append(f"{scan}: {' '.join(str(error).split())}")
        else:
            table.replace(str(scan), seen.volumes, entropies)
            _warn(scan, seen, segmenter.typical)
    _report(targets, failures, table, segmenter)
    return 1 if failures else 0


def _load_segmenter(arguments):
    """Returns the segmenter; Keras is started first where it is needed, which takes several seconds."""
    from recalib_keras import inference, zoo

    weights, settings = named_weights(arguments.weights), (arguments.engine, arguments.precision)
    names = zoo.info(arguments.preset).shares(weights)
    if any(inference.needs_keras(arguments.preset, name, *settings) for name in names):
        start_backend(arguments.threads)
    segmenter = inference.load_segmenter(arguments.preset, weights, *settings, arguments.flip, arguments.threads)
    if sys.stderr.isatty() and any(isinstance(engine, inference.Undecided) for engine in segmenter.engines):
        print("recalib segment: the first scan decides on the engine; this takes a while, once", file=sys.stderr)
    return segmenter


def _segment_one(segmenter, path, target, arguments, show_windows):
    """Writes the labels of a scan, and its picture if asked for.

    Returns:
        The `Traits` of the segmentation, and a dict from labels to mean entropies: empty where the labels were there.
    """
    from recalib_keras import evaluation, inference, volumes
    from recalib_keras.volumes.names import stem

    structures = segmenter.labels[1:]
    picture = target.with_name(f"{stem(target).removesuffix('_labels')}_overlay.png")
    is_done = target.exists() and (picture.exists() or not arguments.overlay)
    if is_done and not arguments.overwrite:
        labels = volumes.read_labels(target)
        return inference.traits(labels.array, labels.grid, structures), {}
    scan = volumes.read(path, volume=arguments.volume, keep_integers=True)
    confidence = inference.Confidence()
    labels = segmenter(
        scan,
        progress=lambda windows: _progress(windows, "windows", disable=None if show_windows else True),
        confidence=confidence,
    )
    if not arguments.overlay:
        scan = dataclasses.replace(scan, array=labels)  # a large scan need not stay in memory beside its labels
    volumes.save(volumes.label_image(labels, scan), target)
    if arguments.overlay:
        evaluation.overlay(scan, labels, structures, picture)
    seen = inference.traits(labels, scan.grid, structures, confidence)
    return seen, confidence.by_structure(segmenter.labels)


def _warn(scan, seen, typical):
    """Says on stderr what is unusual about a segmentation, on one line."""
    from tqdm import tqdm

    from recalib_keras.inference import unfamiliar

    unusual = unfamiliar(seen, typical)
    if unusual:
        tqdm.write(f"recalib segment: {scan}: {'; '.join(unusual)}", file=sys.stderr)  # above the bar, if there is one


class _Table:
    """The table of volumes: written after every scan, rows of other scans kept.

    Percentages are of the volume of all structures together, and of the mean of a pair's two sides. A mean entropy is
    known of labels just made; of others it stays what the table says, as long as their voxels are as many.
    """

    COLUMNS = (
        *("scan", "structure", "label", "voxels", "mm3"),
        *("percent_of_total", "asymmetry_percent", "mean_entropy"),
    )

    def __init__(self, path):
        self.path = path
        self.rows = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = [tuple(row.get(column, "") for column in self.COLUMNS) for row in csv.DictReader(file)]

    def replace(self, scan, volumes_of_structures, entropies):
        """Sets the rows of one scan and writes the table.

        Args:
            scan: its name in the table.
            volumes_of_structures: list of `recalib_keras.evaluation.StructureVolume`.
            entropies: dict from labels to mean entropies, as far as they are known.
        """
        from recalib_keras.evaluation.tables import write_table

        known = {row[:4]: row[-1] for row in self.rows}
        self.rows = [row for row in self.rows if row[0] != scan]
        for found in volumes_of_structures:
            identity = (scan, found.name, str(found.label), str(found.voxels))
            entropy = _number(entropies.get(found.label), 4) or known.get(identity, "")
            shares = _number(found.percent_of_total, 3), _number(found.asymmetry_percent, 2)
            self.rows.append((*identity, f"{found.cubic_millimetres:.1f}", *shares, entropy))
        write_table(self.path, self.COLUMNS, self.rows)


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def _targets(scans, output):
    """Returns each scan with the path of its label map.

    Raises:
        ValueError: if two scans would be written to one file, or several scans to a single file.
        OSError: if the folder cannot be made.
    """
    from recalib_keras.volumes.names import LABEL_SUFFIXES, stem

    if output.name.endswith(LABEL_SUFFIXES) and not output.is_dir():
        if len(scans) > 1:
            raise ValueError(f"expected a folder for {len(scans)} scans, got the file {output}; give -o a folder")
        targets = [(scans[0], output)]
    else:
        targets = [(scan, output / f"{stem(scan.absolute())}_labels.nii.gz") for scan in scans]
    by_target = {}
    for scan, target in targets:
        if target in by_target:
            raise ValueError(
                f"{by_target[target]} and {scan} would both be written to {target}; segment them into two folders"
            )
        by_target[target] = scan
    folder = targets[0][1].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".recalib-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"expected a folder to write to, but {folder} cannot be written ({error.strerror})") from None
    return targets


def _report(targets, failures, table, segmenter):
    done = len(targets) - len(failures)
    where = targets[0][1] if len(targets) == 1 else targets[0][1].parent
    if done:
        engines = ", ".join(sorted({f"{engine.name} in {engine.precision}" for engine in segmenter.engines}))
        print(f"labels of {done} {'scan' if done == 1 else 'scans'} in {where}, volumes in {table.path} (by {engines})")
    for failure in failures:
        print(f"recalib segment: {failure}", file=sys.stderr)
    if failures:
        print(f"recalib segment: {len(failures)} of {len(targets)} scans could not be segmented", file=sys.stderr)


def _progress(items, unit, disable):
    """Returns the items behind a progress bar; on a terminal only, for `disable=None`."""
    from tqdm import tqdm

    return tqdm(items, unit=f" {unit}", disable=disable, leave=False, dynamic_ncols=True)


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number

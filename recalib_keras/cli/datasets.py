"""recalib datasets: list the known sets of scans, and check a folder of one."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import textwrap
from pathlib import Path

from recalib_keras.cli.messages import print_line
from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import counted, listed, printable

# How many shapes, spacings and orientations are listed; the rest is counted.
MOST_KINDS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The command's parser.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = textwrap.dedent("""\
        without arguments:  list all sets
        NAME:               show the files of a set, its labels, licence and citation
        NAME FOLDER:        read every scan in a folder of that set and report every problem, file by file""")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a set, such as msd or chaos/ct")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="folder of the set's files")
    parser.add_argument("--volume", type=int, metavar="I", help="which volume of 4-D images to take, from 0")
    parser.add_argument(
        "--build",
        type=Path,
        metavar="DIR",
        help="build the set for TensorFlow Datasets in this folder, if there is no problem",
    )


def run(arguments: argparse.Namespace) -> int:
    """Lists the sets, describes one, or checks a folder; returns 1 if something is wrong with its files.

    Args:
        arguments: Of the command.
    """
    if arguments.name is None:
        _list()
        return 0
    if arguments.folder is None:
        if arguments.build is not None:
            raise ValueError(
                "expected the FOLDER of the scans with --build, got none; recalib datasets NAME FOLDER --build DIR"
            )
        _describe(arguments.name)
        return 0
    review, problems = _check(arguments)
    for problem in problems:
        print_line("datasets", problem)
    if problems:
        print_line("datasets", f"{counted(len(problems), 'problem')} in {arguments.folder}")
        return 1
    if arguments.build is not None:
        _build(arguments, review)
    return 0


def _list():
    from recalib_keras import datasets

    width = max(map(len, datasets.names()))
    for name in datasets.names():
        print(f"{name.ljust(width)}  {datasets.describe(name).title}")


def _describe(name):
    from recalib_keras import datasets

    described = datasets.describe(name)
    print(f"{described.name}: {described.title}\n\n{described.layout}\n\nlabels")
    for number, label in (described.labels or {}).items():
        print(f"  {number:5d}  {label}")
    if not described.labels:
        print("  each folder's own")
    print(f"\nlicence: {described.licence}")
    if described.citation:
        print(f"homepage: {described.homepage}\n\n{described.citation}")


def _check(arguments):
    """Prints what a folder holds; returns the review of its scans, and all problems."""
    from tqdm import tqdm

    from recalib_keras import datasets
    from recalib_keras.datasets.channels import with_numbered_channels
    from recalib_keras.datasets.checking import without_structures

    found = datasets.survey(arguments.folder, arguments.name, arguments.volume)
    found = found._replace(scans=[with_numbered_channels(scan) for scan in found.scans])
    scans = tqdm(found.scans, unit=" scans", disable=None, leave=False, dynamic_ncols=True)
    review = datasets.review(scans, found.labels)
    patients = {scan.patient for scan in found.scans}
    print(f"{counted(len(found.scans), 'scan')} of {counted(len(patients), 'patient')}{_parts(found.scans)}")
    channels = {", ".join(channel.name for channel in scan.channels) for scan in found.scans if scan.channels}
    for names in sorted(channels):
        print(f"channels: {names}")
    for name, kinds in (
        ("shape", {" x ".join(map(str, shape)): count for shape, count in review.shapes.most_common()}),
        ("spacing (mm)", {_spacing(spacing): count for spacing, count in review.spacings.most_common()}),
        ("orientation", dict(review.orientations.most_common())),
    ):
        print(f"{name}: {_kinds(kinds)}")
    is_partial = any(scan.annotated is not None for scan in found.scans)
    print(f"labels, and how many scans have each{', of those in which it was looked for' if is_partial else ''}")
    for number, name in review.names(found.labels).items():
        looked_for = f" of {sum(scan.knows(number) for scan in found.scans):5d}" if is_partial else ""
        print(f"  {number:5d}  {review.labels[number]:5d}{looked_for}  {name}")
    problems = [*found.problems, *found.remarks, *review.problems]
    return review, problems or without_structures(found.scans, review.labels)


def _parts(scans):
    parts = {part: sum(scan.part == part for scan in scans) for part in ("train", "test")}
    return f": {parts['train']} train, {parts['test']} test" if any(parts.values()) else ""


def _spacing(spacing):
    return " x ".join(f"{size:.4g}" for size in spacing)


def _kinds(counts):
    return listed((f"{kind} ({count})" for kind, count in counts.items()), MOST_KINDS)


def _build(arguments, review):
    """Builds the set for TensorFlow Datasets and prints how to load it."""
    start_backend()
    from recalib_keras.datasets import builders

    tfds = builders.tfds
    _quieten(tfds)
    builder = _builder(arguments, builders)
    builder.checked = review
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=arguments.folder.resolve())
        )
    splits = ", ".join(f"{name} ({split.num_examples})" for name, split in builder.info.splits.items())
    name = "/".join(filter(None, (builder.name, builder.builder_config_name)))
    print(printable(f"built {builder.data_dir}: {splits}; load it with"))
    print("  import tensorflow_datasets as tfds")
    print(f'  scans = tfds.load("{name}:{builder.version}", data_dir="{arguments.build}")')


def _builder(arguments, builders):
    kind, _, config = arguments.name.partition("/")
    if not config and kind in ("msd", "nifti_folder"):
        # Sets of any scans: named after their folder, so that several can be built side by side.
        name = re.sub(r"[^\w.-]+", "_", arguments.folder.resolve().name) or "folder"
        known = builders.tfds.builder_cls(kind).builder_configs
        suffix = "" if arguments.volume is None else f"_volume{arguments.volume}"
        config = (
            name if not suffix and name in known else builders.ScansConfig(name=name + suffix, volume=arguments.volume)
        )
    elif arguments.volume is not None:
        config = builders.ScansConfig(
            name=f"{config}_volume{arguments.volume}", dataset=arguments.name, volume=arguments.volume
        )
    return builders.tfds.builder(kind, data_dir=arguments.build, **({"config": config} if config else {}))


def _quieten(tfds):
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()

"""recalib import: a network trained with the authors' PyTorch code becomes a preset."""

from __future__ import annotations

import argparse
from pathlib import Path

from recalib_keras.core.backend import start_backend
from recalib_keras.core.messages import counted, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="file with the state dict of a QuickNAT, SD-Net or U-Net: .pth, .pth.tar (needs PyTorch) or .safetensors",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="the preset's folder, which gives its name"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="a line for each class, the background first: NAME, NUMBER NAME, or NUMBER NAME RED GREEN BLUE (default: "
        "numbered)",
    )
    parser.add_argument(
        "--view",
        choices=("coronal", "axial", "sagittal"),
        default="coronal",
        help="slices that a 2-D network was trained on, of scans as FreeSurfer conforms them (default: coronal)",
    )
    parser.add_argument("--window", type=int, nargs=3, metavar="N", help="what the network sees at once, in voxels; 1 "
                        "along the axis that a 2-D network slices (default: 256 256 1, in 3-D 96 96 96)")  # fmt: skip
    parser.add_argument("--orientation", metavar="XYZ", help="axes of the window, such as RAS (default: the view's)")
    parser.add_argument("--spacing", type=float, nargs=3, metavar="MM", help="voxel size (default: 1 1 1; in 3-D, that "
                        "of each scan)")  # fmt: skip
    parser.add_argument(
        "--normalization",
        metavar="METHOD",
        help="of intensities: minmax (the authors' own, default), zscore, percentile, ct or none",
    )
    parser.add_argument("--decoders", type=int, nargs="+", metavar="N", help="numbers of the decoders from the deepest "
                        "to the shallowest, if the code was changed (default: 4 1 2 3)")  # fmt: skip
    parser.add_argument("--title", default="", help="what the network segments")
    parser.add_argument("--licence", default="", help="of the weights")
    parser.add_argument("--weights", default="imported", metavar="NAME", help="name of the weight set")


def run(arguments: argparse.Namespace) -> None:
    """Imports the checkpoint and prints what it was."""
    start_backend()
    from recalib_keras import zoo
    from recalib_keras.zoo.label_lists import read_labels

    changes = {key: getattr(arguments, key) for key in ("window", "orientation", "spacing", "normalization")}
    zoo.import_authors(
        arguments.checkpoint,
        arguments.output,
        labels=None if arguments.labels is None else read_labels(arguments.labels),
        view=arguments.view,
        expects={key: tuple(value) if isinstance(value, list) else value for key, value in changes.items() if value},
        decoders=arguments.decoders,
        title=arguments.title,
        licence=arguments.licence,
        weights=arguments.weights,
    )
    described = zoo.weight_set(arguments.output)
    network, folder = described.network, arguments.output
    block = network.arguments.get("recalibration", "no block")
    print(
        printable(
            f"preset in {folder}: {network.architecture} with {block}, {counted(len(described.labels), 'label')}, "
            f"{described.parameters:,} parameters; try it: recalib segment SCAN -o OUT --preset {folder}"
        )
    )

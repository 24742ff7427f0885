"""recalib export: a network for another runtime, with a certificate."""

from __future__ import annotations

import argparse
from pathlib import Path

from recalib_keras.cli.options import add_weights_argument, named_weights
from recalib_keras.core.messages import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The command's parser.
    """
    parser.add_argument(
        "network", metavar="PRESET|MODEL.keras", help="see `recalib presets`; or a preset's folder, or a saved model"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="what to write: *.onnx, *.xml (OpenVINO), *.tflite (LiteRT), or a folder (SavedModel)",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="onnx, openvino, litert or savedmodel (default: by the suffix of PATH)"
    )
    add_weights_argument(parser)
    parser.add_argument(
        "--fixed",
        action="store_true",
        help="take windows of the preset's size only, for which runtimes can plan better",
    )


def run(arguments: argparse.Namespace) -> None:
    """Writes the network and its certificate, and prints how well they agree.

    Args:
        arguments: Of the command.
    """
    from recalib_keras.export import export
    from recalib_keras.export.certificate import path_of

    weights = named_weights(arguments.weights)
    certificate = export(arguments.network, arguments.output, arguments.format, weights, dynamic=not arguments.fixed)
    print(printable(f"{arguments.output}: {certificate.agreement}"))
    print(printable(f"certificate in {path_of(arguments.output)}"))

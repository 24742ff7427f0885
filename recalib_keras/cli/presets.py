"""recalib presets: list the pretrained networks, filtered as `recalib_keras.zoo.list` does."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: The command's parser.
    """
    parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="names to list, such as '*3d_pe'")
    parser.add_argument("--task", metavar="NAME", help="only weights for this, such as whole_brain")
    parser.add_argument("--licence", metavar="NAME", help="only weights under this, such as apache-2.0 or 'cc-by-*'")
    parser.add_argument("--architecture", metavar="NAME", help="only these networks: UNet, SDNet or DenseNet")
    parser.add_argument("--block", metavar="NAME", help="only networks with this block, such as pe; plain for none")
    parser.add_argument(
        "--better-than",
        metavar="NAME",
        help="only what is significantly better than 'plain', the same network without a block, or than a preset "
        "(Wilcoxon's signed-rank test with Holm's correction, on the validation scans)",
    )
    parser.add_argument(
        "--alpha", type=float, default=0.05, metavar="P", help="level of significance of --better-than (default: 0.05)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, a list of objects")


def run(arguments: argparse.Namespace) -> None:
    """Prints a line for each weight set and each ensemble of each preset, the best scores first.

    Args:
        arguments: Of the command.
    """
    from recalib_keras import zoo

    filters = ("pattern", "task", "licence", "architecture", "block", "better_than", "alpha")
    table = zoo.list(**{name: getattr(arguments, name) for name in filters})
    print(json.dumps([entry.to_dict() for entry in table], indent=2, ensure_ascii=False) if arguments.json else table)

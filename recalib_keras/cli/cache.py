"""recalib cache: show what the cache on this machine holds, or clear it."""

from __future__ import annotations

import argparse

from recalib_keras.core import cache
from recalib_keras.core.memory import in_bytes
from recalib_keras.core.messages import printable

EVERYTHING = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command.

    Args:
        parser: Parser of the command.
    """
    parser.epilog = (
        "The cache is the folder that RECALIB_CACHE names, else recalib_keras in $XDG_CACHE_HOME or ~/.cache."
    )
    parser.add_argument(
        "--clear",
        nargs="?",
        const=EVERYTHING,
        choices=(EVERYTHING, *cache.PARTS),
        help="remove everything, or one part; a training that uses prepared scans meanwhile stops, and can be resumed",
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the folder and the size of each part, or what was freed.

    Args:
        arguments: Arguments of the command.
    """
    if arguments.clear is not None:
        parts = list(cache.PARTS) if arguments.clear == EVERYTHING else [arguments.clear]
        print(printable(f"{in_bytes(sum(map(cache.clear, parts)))} freed in {cache.root()}"))
        return
    print(printable(str(cache.root())))
    for part, content in cache.PARTS.items():
        use = cache.use_of(part)
        print(f"  {part.ljust(8)}{in_bytes(use.size).rjust(12)}  {use.entries:6d}  {content}")

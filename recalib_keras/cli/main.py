"""The `recalib` command: one file for each subcommand, loaded when it is called."""

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from recalib_keras.cli.messages import ERRORS, format_line, is_out_of_memory, print_line

# Subcommand and what it does; `recalib_keras.cli.<name>`, or the module of `MODULES`, has `add_arguments(parser)` and
# `run(arguments)`.
COMMANDS = {
    "presets": "list the pretrained presets",
    "info": "describe a preset",
    "segment": "segment scans with a preset",
    "bids": "segment a data set in BIDS",
    "report": "write pages of segmented scans, to look at and to share",
    "datasets": "list data sets, or check a folder of one",
    "plan": "look at a set of scans, and write the recipe of a training on it",
    "augment": "draw augmented training examples",
    "train": "train networks from their recipes",
    "evaluate": "measure label maps against the ground truth, or a preset on scans that it was not trained on",
    "export": "write a network for another runtime, and prove that it computes the same",
    "tune": "search for a better recipe",
    "synthesize": "draw scans generated from label maps",
    "cache": "show what the cache on this machine holds, or clear it",
    "compare": "test whether reports of the same scans differ",
    "import": "make a preset of a network that was trained with the authors' PyTorch code",
}
MODULES = {"import": "import_checkpoint"}  # `import` is a word of the language


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Arguments of the command; None for those of the process.

    Returns:
        Exit code: 0; 1 if some of many scans failed; 2 for invalid input or too little memory. As in a shell, 130 means
        that the user stopped it, and 141 that nobody reads its output any more.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parse(argv)
    name = arguments.command
    warnings.formatwarning = lambda message, *_, **__: f"{format_line(name, f'warning: {message}')}\n"
    command = _load(name)
    try:
        code = command.run(arguments) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # a reader such as `head` has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        return 141
    except Exception as error:
        if not (isinstance(error, ERRORS) or is_out_of_memory(error)):
            raise
        print_line(name, error)
        return 2
    except KeyboardInterrupt:
        print("recalib: stopped", file=sys.stderr)
        return 130


def _parse(argv):
    """Returns the arguments; only the command that is called is loaded."""
    parser = argparse.ArgumentParser(
        prog="recalib", description="Segment medical scans with pretrained, recalibrated networks, and train them."
    )
    parser.add_argument("--version", action="version", version=f"recalib-keras {_version()}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == chosen:
            _load(name).add_arguments(subparser)
    return parser.parse_args(argv)


def _load(name):
    return importlib.import_module(f"recalib_keras.cli.{MODULES.get(name, name)}")


def _version():
    from recalib_keras import __version__

    return __version__


if __name__ == "__main__":
    sys.exit(main())

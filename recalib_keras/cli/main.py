"""The `recalib` command: one file a subcommand, loaded when it is called."""

import argparse
import importlib
import os
import sys
import warnings

from recalib_keras.cli.messages import line, tell

# Subcommand and what it does; `recalib_keras.cli.<name>` has `add_arguments(parser)` and `run(arguments)`.
COMMANDS = {
    "presets": "list the pretrained presets",
    "info": "tell all about one preset",
    "segment": "segment scans with a preset",
    "datasets": "list sets of scans, and check a folder of one",
    "augment": "draw training examples as augmentation changes them",
    "train": "train networks by their recipes",
    "evaluate": "measure label maps against the truth, or a preset on scans it was not trained on",
    "tune": "search for a better recipe",
    "synthesize": "draw scans generated from label maps",
    "compare": "tell whether reports of the same scans differ",
}


def main(argv=None):
    """Runs the command; returns the exit code: 0, 1 if some of many scans failed, 2 for bad input.

    As in a shell, 130 and 141 tell that it was stopped, and that nobody reads what it says.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="recalib", description="Segment medical scans with pretrained, recalibrated networks, and train them."
    )
    parser.add_argument("--version", action="version", version=f"recalib-keras {_version()}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            importlib.import_module(f"recalib_keras.cli.{name}").add_arguments(subparser)
    arguments = parser.parse_args(argv)
    warnings.formatwarning = lambda message, *_, **__: f"{line(arguments.command, f'warning: {message}')}\n"
    command = importlib.import_module(f"recalib_keras.cli.{arguments.command}")
    try:
        code = command.run(arguments) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        return 141
    except command.ERRORS as error:
        tell(arguments.command, error)
        return 2
    except KeyboardInterrupt:
        print("recalib: stopped", file=sys.stderr)
        return 130


def _version():
    from recalib_keras import __version__

    return __version__


if __name__ == "__main__":
    sys.exit(main())

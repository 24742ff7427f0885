"""The page of all subcommands: what `recalib COMMAND --help` prints."""

import argparse
import os
from unittest import mock

from recalib_keras.cli import main as cli

HEAD = """# Commands

What `recalib COMMAND --help` prints. `recalib --help` lists the commands.
"""
WIDTH = "88"  # of the help in characters


def page() -> str:
    """Returns the Markdown of the page."""
    with mock.patch.dict(os.environ, COLUMNS=WIDTH, NO_COLOR="1"):
        sections = [f"## `recalib {name}`\n\n```text\n{_help(name)}\n```\n" for name in sorted(cli.COMMANDS)]
    return "\n".join([HEAD, *sections])


def _help(name):
    summary = cli.COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"recalib {name}", description=f"{summary[0].upper()}{summary[1:]}.")
    cli._load(name).add_arguments(parser)
    return parser.format_help().strip()

"""How docstrings read on the pages of the reference: an extension of griffe, which `mkdocs.yml` names.

Doctests become blocks of code. Headings that Google's style does not have, such as `Input shape:`, become bold.
"""

import re
import textwrap
from typing import Any

import griffe

_HEADING = re.compile(r"^(Input shape|Output shape|Reference|References|Example):[ \n]((?:.*\n?(?:    .*\n?)*))", re.M)
_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)  # those in sections of Google's style are indented


class ReadableDocstrings(griffe.Extension):
    """Rewrites the docstring of every object once it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of an object, if it has one."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)


def readable(text: str) -> str:
    """Returns a docstring with doctests as blocks of code and with bold headings."""
    return _DOCTEST.sub(_code, _HEADING.sub(_bold, text))


def _bold(match):
    heading, body = match[1], textwrap.dedent(match[2])
    if heading == "Example" and match[2].startswith("    "):
        return match[0]  # a section of Google's style
    first, _, rest = body.partition("\n")
    if first.startswith(">>>"):
        return f"\n**{heading}**\n\n{body}"
    return f"\n**{heading}:** {first}\n{textwrap.dedent(rest)}"


def _code(match):
    return f"```pycon\n{match[0]}\n```"

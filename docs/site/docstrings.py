"""How docstrings read on the pages of the reference: an extension of griffe, which `mkdocs.yml` names.

Doctests become blocks of code. Headings that Google's style does not have, such as `Input shape:`, become bold.
"""

import re
import textwrap
from typing import Any

import griffe

_SECTION = re.compile(
    r"^(Input shape|Output shape|Reference|References|Example|Args(?=: \S)):(.*)\n?((?:(?:[ ]{4}.*)?(?:\n|\Z))*)",
    re.MULTILINE,
)
_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class ReadableDocstrings(griffe.Extension):
    """Rewrites the docstring of every object once it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of an object, if it has one."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)


def readable(text: str) -> str:
    """Returns a docstring with doctests as blocks of code and with bold headings."""
    return _DOCTEST.sub(r"```pycon\n\g<0>\n```", _SECTION.sub(_bold, text)).strip()


def _bold(match):
    heading, line, body = match[1].replace("Args", "Arguments"), match[2].strip(), textwrap.dedent(match[3]).strip("\n")
    if heading == "Example" and body and ">>>" not in body and not line:  # code that doctests do not run
        body = f"```python\n{body}\n```"
    joint = "\n" if line else " " if heading.startswith("Reference") else "\n\n"
    colon = "" if joint == "\n\n" else ":"
    return f"\n**{heading}{colon}** {line}{joint}{body}\n\n"

"""Pages from templates: what comes from data is escaped, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import json
import math
import os
from collections.abc import Iterable
from importlib.resources import files
from string import Template
from urllib.parse import quote

from recalib_keras.core.messages import printable
from recalib_keras.core.versions import installed_versions

# Inside a <script>, JSON must not hold what could end it, or what older JavaScript takes for the end of a line.
_IN_SCRIPT = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
MINUS = "−"


def asset(name: str) -> str:
    """Returns the text of a file of this package.

    Args:
        name: Name of the file in `assets`.
    """
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def fill(template: str, **values: object) -> str:
    """Returns a page; its values are put in as they are, so they must be escaped.

    Args:
        template: Name of the file in `assets`, with places such as `$title`.
        **values: For each place what stands there.
    """
    return Template(asset(template)).substitute(values)


def joined(*names: str) -> str:
    """Returns several files of `assets` as one.

    Args:
        *names: Names of the files.
    """
    return "\n".join(asset(name) for name in names)


def text(value: object) -> str:
    """Returns a text as HTML shows it, quotes and control characters included.

    Args:
        value: The text.

    Example:
        >>> text("<script>alert('1')")
        '&lt;script&gt;alert(&#x27;1&#x27;)'
    """
    return html.escape(printable(str(value)))


def in_script(value: object) -> str:
    r"""Returns a value as JSON that is safe inside a `<script>`.

    Args:
        value: What `json.dumps` takes, without NaN.

    Example:
        >>> print(in_script({"name": "</script>"}))
        {"name":"\u003c/script\u003e"}
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)


def link(path: str) -> str:
    """Returns a relative path as the address of a link: never one of another scheme, such as `javascript:`.

    Args:
        path: The path, with slashes.

    Example:
        >>> link("javascript:alert(1)"), link("a b/c?.html")
        ('./javascript%3Aalert%281%29', './a%20b/c%3F.html')
    """
    return f"./{quote(os.fsencode(path))}"


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Returns a number as a reader sees it: with a true minus, or a dash where there is none.

    Args:
        value: The number; None or NaN if it is unknown.
        digits: Digits after the point.
        sign: Whether to write a plus, too.

    Example:
        >>> number(-1.25, 1), number(3, 1, sign=True), number(None, 1)
        ('−1.2', '+3.0', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", MINUS)


def millilitres(value: float) -> str:
    """Returns a volume with as many digits as it deserves.

    Args:
        value: In mL.

    Example:
        >>> millilitres(1523.4), millilitres(41.27), millilitres(3.456)
        ('1523', '41.3', '3.46')
    """
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def data_url(kind: str, content: bytes) -> str:
    """Returns a file as an address that holds it.

    Args:
        kind: Its media type.
        content: The file.
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def table_rows(rows: Iterable[tuple[str, object]]) -> str:
    """Returns rows of a table of names and values.

    Args:
        rows: Names and values; rows without a value are left out.
    """
    known = ((text(name), text(value)) for name, value in rows if value)
    return "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in known)


def version() -> str:
    """Returns the version of this package, or "of a checkout"."""
    return installed_versions(["recalib-keras"]).get("recalib-keras", "of a checkout")

"""Formulas as MathML, which browsers set without scripts, fonts or a network."""

import html as _html
import re

from latex2mathml.converter import convert

# What pymdownx.arithmatex makes of `$…$` and of `$$…$$`.
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.DOTALL)


def with_formulas(html: str) -> str:
    """Returns the page with MathML in place of TeX."""
    return _FORMULA.sub(_formula, html)


def _formula(match):
    kind = {"span": "inline", "div": "block"}[match[1]]
    return convert(_html.unescape(match[2]).strip(), display=kind)

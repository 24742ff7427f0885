"""The pages of the reference: every public name of the package, from its docstring.

A name is public if a module of `MODULES` has it in `__all__`. The code is read, not run, so TensorFlow is not needed.
"""

import re
from collections.abc import Iterator
from functools import cache

import griffe

from docs.site.repository import ROOT

PACKAGE = "recalib_keras"
# A folder with links to all parts of the package as one; `make docs` makes it.
SOURCES = ROOT / ".cache" / "typed"
# Modules with public names, in the order of the navigation, and what their pages are called.
MODULES = {
    "recalib_keras": "recalib_keras",
    "recalib_keras.layers": "layers",
    "recalib_keras.models": "models",
    "recalib_keras.zoo": "zoo",
    "recalib_keras.inference": "inference",
    "recalib_keras.reports": "reports",
    "recalib_keras.training": "training",
    "recalib_keras.tuning": "tuning",
    "recalib_keras.synthesis": "synthesis",
    "recalib_keras.export": "export",
    "recalib_keras.evaluation": "evaluation",
    "recalib_keras.datasets": "datasets",
    "recalib_keras.volumes": "volumes",
    "recalib_keras.core.errors": "errors",
}
SUBPACKAGES = {"export", "layers", "models", "zoo"}  # names of `recalib_keras` that have a page of their own


@cache
def package() -> griffe.Module:
    """Returns what the package's files say, without running them."""
    if not SOURCES.is_dir():
        raise FileNotFoundError(f"{SOURCES}: expected a folder with links to the package, got none; run `make docs`")
    return griffe.load(PACKAGE, search_paths=[SOURCES], try_relative_path=False, allow_inspection=False)


def public_names(module: str) -> list[str]:
    """Returns the public names of a module, sorted; those that are modules themselves are left out."""
    found = _member(module)
    names = found.exports or [name for name, member in found.members.items() if _is_own(member)]
    return sorted((name for name in map(str, names) if name not in SUBPACKAGES or module != PACKAGE), key=str.lower)


def _is_own(member):
    return not member.is_alias and member.is_public and (member.is_class or member.is_function)


def _member(path):
    return package()[path.removeprefix(PACKAGE).lstrip(".")] if path != PACKAGE else package()


def pages() -> Iterator[tuple[str, str]]:
    """Yields the address and the Markdown of each page of the reference."""
    for module, name in MODULES.items():
        yield f"reference/{name}.md", _page(module)


def _page(module):
    about = _member(module).docstring
    lines = [f"# {module}", "", about.value if about else "", "", *_summary(module)]
    for name in public_names(module):
        lines += ["", f"::: {module}.{name}", "    options:", f"      heading: {name}", f"      toc_label: {name}"]
    return "\n".join(lines) + "\n"


def _summary(module):
    """Returns a table of a module's public names with the first line of each docstring."""
    rows = [f"| [`{name}`][{module}.{name}] | {_first_line(f'{module}.{name}')} |" for name in public_names(module)]
    return ["| name | what it is |", "|---|---|", *rows]


def _first_line(path):
    docstring = _member(path).docstring
    return "" if docstring is None else docstring.value.split("\n\n")[0].replace("\n", " ").replace("|", r"\|")


def with_links(html: str) -> str:
    """Returns a page with links to the reference on full names in code, such as `recalib_keras.layers.ChannelSE`."""
    known = {f"{module}.{name}" for module in MODULES for name in public_names(module)}

    def linked(match):
        name = match[1]
        code = f"<code>{name}</code>"
        return f'<autoref identifier="{name}">{code}</autoref>' if name in known else match[0]

    return re.sub(rf"(?<!\">)<code>({PACKAGE}[.\w]+)</code>(?!</a>|</h)", linked, html)

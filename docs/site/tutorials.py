"""Pages of tutorials, made from scripts.

A tutorial is a script in cells, `# %%` for code and `# %% [markdown]` for text, that editors open as a notebook.
"""

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
_CELL = re.compile(r"^# %%(.*)$", flags=re.MULTILINE)


def scripts() -> list[Path]:
    """Returns the scripts of all tutorials; a file without cells is a helper."""
    return sorted(path for path in FOLDER.glob("*.py") if _CELL.match(path.read_text(encoding="utf-8")))


def addresses() -> list[str]:
    """Returns the addresses of the pages in the site."""
    return [f"tutorials/{path.stem}.md" for path in scripts()]


def pages() -> Iterator[tuple[str, str]]:
    """Yields the address and the Markdown of each tutorial."""
    for path, address in zip(scripts(), addresses()):
        yield address, page(path.read_text(encoding="utf-8"), path.name)


def page(script: str, name: str) -> str:
    """Returns the Markdown of a tutorial.

    Args:
        script: The text of the script.
        name: The name of its file.
    """
    _, *cells = _CELL.split(script)
    parts = [_text(body) if "[markdown]" in kind else _code(body) for kind, body in zip(cells[::2], cells[1::2])]
    title, *rest = parts
    note = f'<a href="{name}" download>Download this page as a script</a> ([how to run it](index.md)).\n'
    return "\n".join([title, note, *rest])


def _text(body):
    return re.sub(r"^# ?", "", body.strip("\n"), flags=re.MULTILINE) + "\n"


def _code(body):
    return f"```python\n{body.strip()}\n```\n"

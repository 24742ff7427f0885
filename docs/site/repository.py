"""Pages of the site that stand elsewhere in the repository, and links between the two.

Every text is kept once and reads well in the repository, too: its links are paths of the repository. Here they become
links of the site. A link to a file that is not a page, such as a file of weights, becomes plain text; a link that leads
nowhere stays, so that MkDocs reports it.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.site import tutorials

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs"
# Files and folders of the repository, and the pages that show them.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CITATION.cff": "cite.md",
    "benchmarks/README.md": "performance.md",
    "tuning/README.md": "how_to/search.md",
    "zoo/README.md": "zoo/scoreboard.md",
    "zoo/drafts/README.md": "zoo/drafts.md",
    "zoo/recipes": "zoo/recipes.md",
}
# Links and pictures, but not those in blocks of code, which stand in the first alternative.
_LINK = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)|(!?)\[([^\]]*)\]\(([^)\s]+)\)", flags=re.DOTALL | re.MULTILINE)


def pages() -> Iterator[tuple[str, str]]:
    """Yields the address and the Markdown of each page that stands elsewhere in the repository."""
    for path, uri in _all_pages().items():
        if path.endswith(".md"):
            yield uri, (ROOT / path).read_text(encoding="utf-8")


def _all_pages() -> dict[str, str]:
    """Returns the page of each file that is not the page itself: cards of presets and scripts of tutorials, too."""
    cards = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("zoo/*/*/README.md"))
    scripts = {f"{DOCS}/{path.with_suffix('.py')}": str(path) for path in map(Path, tutorials.addresses())}
    return PAGES | {card: f"{posixpath.dirname(card)}.md" for card in cards} | scripts


def with_links_of_site(markdown: str, uri: str, known: Iterable[str]) -> str:
    """Returns the Markdown of a page with links of the site in place of the repository's.

    Args:
        markdown: The page.
        uri: Its address in the site.
        known: The addresses of all pages and files of the site.
    """
    found = _all_pages()
    origin = {page: path for path, page in found.items()}.get(uri, f"{DOCS}/{uri}")
    known = set(known)

    def translated(match):
        code, mark, text, target = match.groups()
        path, anchor = (*(target or "").split("#", 1), "")[:2]
        if code or not path or re.match(r"[a-z]+:", path):
            return match[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        page = found.get(wanted, wanted.removeprefix(f"{DOCS}/") if wanted.startswith(f"{DOCS}/") else None)
        if page in known:
            link = posixpath.relpath(page, posixpath.dirname(uri) or ".")
            return f"{mark}[{text}]({link}{'#' * bool(anchor)}{anchor})"
        return text if (ROOT / wanted).exists() else match[0]

    return _LINK.sub(translated, markdown)

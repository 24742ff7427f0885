"""What MkDocs calls while it builds the site; `mkdocs.yml` names this file.

Pages that stand elsewhere in the repository, or follow from the code and the zoo, are made here in memory. No page is
kept twice.
"""

from collections.abc import Iterator
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs.site import citation, commands, formulas, gallery, offline, recipes, reference, repository, tutorials


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are not files below `docs/`."""
    for uri, text in _made_pages():
        files.append(File.generated(config, uri, content=text))
    return files


def _made_pages() -> Iterator[tuple[str, str]]:
    """Yields the address of each made page below `docs/`, and its Markdown."""
    yield from repository.pages()
    yield from tutorials.pages()
    yield from reference.pages()
    yield "reference/commands.md", commands.page()
    yield "gallery.md", gallery.page()
    yield "zoo/recipes.md", recipes.page()
    yield "cite.md", citation.page()


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Turns the repository's links into links of the site."""
    return repository.with_links_of_site(markdown, page.file.src_uri, {file.src_uri for file in files})


def on_page_content(html: str, **_: Any) -> str:
    """Sets formulas, and links names of the package to the reference."""
    return reference.with_links(formulas.with_formulas(html))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Stops the build if a page would fetch something from elsewhere."""
    fetched = offline.fetched(output)
    if fetched:
        raise PluginError(
            f"{page.file.src_uri}: expected nothing from elsewhere, got {fetched[0]}; keep a copy in docs/"
        )
    return output

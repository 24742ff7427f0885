"""The page that says how to cite, made from CITATION.cff."""

import yaml

from docs.site.repository import ROOT

HEAD = """# How to cite

{message} The file `CITATION.cff` of the repository has the same in a form that reference managers read.

## The software

{title}, version {version}.

## The papers of the blocks
"""


def page() -> str:
    """Returns the Markdown of the page."""
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return "\n".join([HEAD.format(**facts), *map(_reference, facts["references"])])


def _reference(paper):
    authors = ", ".join(f"{author['given-names']} {author['family-names']}" for author in paper["authors"])
    place = paper.get("journal", paper.get("collection-title"))
    issue = f" {paper['volume']}({paper['issue']})" if "volume" in paper else ""
    return (
        f"{paper['notes']}\n"
        f":   {authors}: *{paper['title']}*. {place}{issue}, {paper['year']}, pages {paper['start']}–{paper['end']}. "
        f"[doi:{paper['doi']}](https://doi.org/{paper['doi']})\n"
    )

"""The pages that are made for the documentation site."""

import importlib
import re
import subprocess

import pytest

pytest.importorskip("griffe")
pytest.importorskip("latex2mathml")

from docs.site import (
    citation,
    commands,
    docstrings,
    formulas,
    gallery,
    offline,
    recipes,
    reference,
    repository,
    tutorials,
)
from recalib_keras import _PARTS, zoo
from recalib_keras.cli.main import COMMANDS

ROOT = repository.ROOT
NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]


@pytest.fixture(scope="module", autouse=True)
def sources():
    """The folder with links to the package, which `make docs` makes."""
    if not reference.SOURCES.is_dir():
        subprocess.run(["make", "typed"], cwd=ROOT, check=True)


def test_every_public_name_has_its_place_in_the_reference():
    pages = dict(reference.pages())
    parts = {module for module in reference.MODULES if module.count(".") == 1}
    assert {f"recalib_keras.{part}" for part in _PARTS} == parts
    for module, name in reference.MODULES.items():
        public = set(getattr(importlib.import_module(module), "__all__", ()))
        shown = set(re.findall(rf"^::: {re.escape(module)}\.(\w+)$", pages[f"reference/{name}.md"], flags=re.MULTILINE))
        assert shown
        assert public - shown == (reference.SUBPACKAGES if module == reference.PACKAGE else set())
        assert f"reference/{name}.md" in NAVIGATION


def test_every_public_name_has_a_docstring():
    names = [f"{module}.{name}" for module in reference.MODULES for name in reference.public_names(module)]
    assert [name for name in names if not reference._first_line(name)] == []


def test_names_in_code_lead_to_the_reference():
    page = "<p><code>recalib_keras.layers.CBAM</code>, <code>recalib_keras.layers.nothing</code></p>"
    assert reference.with_links(page) == (
        '<p><autoref identifier="recalib_keras.layers.CBAM"><code>recalib_keras.layers.CBAM</code></autoref>, '
        "<code>recalib_keras.layers.nothing</code></p>"
    )


def test_gallery_has_a_card_for_each_weight_set_and_ensemble():
    page = gallery.page()
    head = r"\*\*\[`(\w+)`\]\(zoo/presets/\1\.md\)\*\* `(\w+)`(?: \(default\))?\n\n    "
    cards = re.findall(head + r"mean Dice \*\*([\d.]+)\*\* · ([\d,]+) parameters · (.+)", page)
    expected = [(e.name, e.weights, f"{e.dice:.3f}", f"{e.parameters:,}", e.licence) for e in zoo.list()]
    assert sorted(cards) == sorted(expected) and len(cards) > 30
    pictures = {path.stem for path in gallery.PICTURES.glob("*.png")}
    assert pictures <= {f"{entry.name}_{entry.weights}" for entry in zoo.list()}
    assert page.count("![") == len(pictures)


@pytest.mark.parametrize(
    ("uri", "typed", "shown"),
    [
        ("zoo.md", "[a](../zoo/README.md)", "[a](zoo/scoreboard.md)"),
        ("how_to/search.md", "[a](../docs/recipes.md#keys)", "[a](../recipes.md#keys)"),
        ("index.md", "[a](tutorials/segment.py)", "[a](tutorials/segment.md)"),
        ("tutorials/blocks.md", "![a](../architecture.svg)", "![a](../architecture.svg)"),
        ("zoo/presets/unet3d.md", "[w](hippocampus.safetensors)", "w"),  # a file that is not a page
        ("zoo.md", "[a](nowhere.md)", "[a](nowhere.md)"),  # MkDocs reports it
        ("zoo.md", "[a](https://example.org)", "[a](https://example.org)"),
        ("zoo.md", "`[a](../LICENSE)`", "`[a](../LICENSE)`"),
        ("zoo.md", "```\n[a](../LICENSE)\n```", "```\n[a](../LICENSE)\n```"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(uri, typed, shown):
    known = {"zoo/scoreboard.md", "recipes.md", "architecture.svg", "tutorials/segment.md"}
    assert repository.with_links_of_site(typed, uri, known) == shown


def test_every_text_of_the_repository_is_a_page():
    pages = dict(repository.pages())
    assert pages["changelog.md"] == (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {f"zoo/presets/{name}.md" for name in zoo.names()} < set(pages)


def test_formulas_become_mathml():
    page = '<p><span class="arithmatex">\\(\\frac{1}{N} x\\)</span></p><div class="arithmatex">\\[a &lt; b\\]</div>'
    shown = formulas.with_formulas(page)
    assert "<mfrac>" in shown and 'display="block"' in shown and "&#x0003C;" in shown
    assert "arithmatex" not in shown and "\\" not in shown


def test_docstrings_are_readable():
    text = "Does it.\n\nInput shape: `(a, b)`.\n\nExample:\n>>> 1 + 1\n2\n\nReference:\n    A, 2018."
    assert [line.strip() for line in docstrings.readable(text).splitlines() if line.strip()] == [
        *("Does it.", "**Input shape:** `(a, b)`.", "**Example**", "```pycon", ">>> 1 + 1", "2", "```"),
        "**Reference:**  A, 2018.",
    ]


def test_a_script_becomes_a_page():
    script = "# %% [markdown]\n# # Title\n#\n# Some *text*.\n\n# %%\nx = 1\n"
    page = tutorials.page(script, "one.py")
    assert page.startswith("# Title\n\nSome *text*.\n") and page.endswith("```python\nx = 1\n```\n")
    assert 'href="one.py"' in page


def test_every_tutorial_is_in_the_navigation():
    index = (tutorials.FOLDER / "index.md").read_text(encoding="utf-8")
    assert tutorials.scripts()
    assert all(address in NAVIGATION for address in tutorials.addresses())
    assert all(f"]({path.name})" in index for path in tutorials.scripts())


def test_every_command_and_recipe_is_shown():
    assert all(f"## `recalib {name}`\n" in commands.page() for name in COMMANDS)
    shown = set(re.findall(r'"zoo:(\S+)"', recipes.page()))
    files = (ROOT / "zoo" / "recipes").rglob("*.toml")
    assert {path.relative_to(ROOT / "zoo" / "recipes").with_suffix("").as_posix() for path in files} <= shown


def test_every_paper_is_cited():
    dois = re.findall(r"doi: (\S+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert dois and all(f"https://doi.org/{doi}" in citation.page() for doi in dois)


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://cdn.example/x.js">', ["https://cdn.example/x.js"]),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', ["//fonts.example/a.css"]),
        ('<img alt="" src="pictures/a.png"><a href="https://doi.org/1">', []),
    ],
)
def test_what_a_page_would_fetch(html, found):
    assert offline.fetched(html) == found

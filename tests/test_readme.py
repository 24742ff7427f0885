"""The statements of README.md are true."""

import re
import runpy
from pathlib import Path

import pytest

from docs import recipe_keys, scoreboard, tasks_table
from recalib_keras import zoo

README = Path(__file__).resolve().parents[1] / "README.md"
MAKEFILE = README.with_name("Makefile")


def test_scoreboard_is_that_of_the_reports():
    page = scoreboard.page()
    assert scoreboard.PAGE.read_text(encoding="utf-8") == page, "run `python -m docs.scoreboard`"
    names = [name for name in zoo.names() if f"[`{name}`](presets/{name}/README.md)" in page]
    assert names == [name for name in zoo.names() if list(zoo.info(name).folder.glob("*.csv"))]


def test_table_of_tasks_is_that_of_the_presets():
    text = README.read_text(encoding="utf-8")
    assert text == tasks_table.with_table(text), "run `python -m docs.tasks_table`"


def test_reference_of_recipes_is_that_of_the_records():
    assert recipe_keys.PAGE.read_text(encoding="utf-8") == recipe_keys.page(), "run `python -m docs.recipe_keys`"
    assert [line for line in recipe_keys.page().splitlines() if line.startswith("| `") and line.endswith("|  |")] == []


def test_both_commands_are_targets():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z-]+)", README.read_text(encoding="utf-8"), flags=re.MULTILINE)) == {
        "demo",
        "test",
    }
    assert {"demo", "test"} <= targets


def test_links_have_targets():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


@pytest.fixture(scope="module")
def readme_on_an_index():
    """The function that makes the README of a package index, of the section `metadata` of setup.cfg."""
    return runpy.run_path(str(README.with_name("setup.py")), run_name="setup")["readme"]


def relative_links(text):
    return re.findall(r"\]\((?!https?:)([^)]*)\)", text)


def test_on_an_index_links_lead_into_the_repository_if_its_address_is_known(readme_on_an_index):
    urls = "\nPaper = https://doi.org/10\nSource = https://example.org/team/recalib"
    text = readme_on_an_index({"version": "1.2.3", "project_urls": urls})
    assert relative_links(text) == []
    assert "![Sagittal, coronal and axial" in text
    assert "](https://example.org/team/recalib/raw/v1.2.3/docs/pictures/whole_brain.png)" in text
    assert "[The scoreboard](https://example.org/team/recalib/blob/v1.2.3/zoo/README.md)" in text


def test_on_an_index_nothing_leads_nowhere_without_an_address(readme_on_an_index):
    text = readme_on_an_index({"version": "1.2.3", "project_urls": "\nPaper = https://doi.org/10"})
    assert relative_links(text) == [] and "![" not in text and "MNI152 template" not in text
    assert "\nThe scoreboard has all presets" in text

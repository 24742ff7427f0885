"""The statements of README.md are true."""

import re
from pathlib import Path

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

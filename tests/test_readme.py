"""The statements of README.md are true."""

import re

from docs import recipe_keys, scoreboard
from docs.presets_table import README, with_tables
from recalib_keras import zoo

MAKEFILE = README.with_name("Makefile")


def test_table_of_presets_is_that_of_the_zoo():
    text = README.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run `python -m docs.presets_table`"


def test_scoreboard_is_that_of_the_reports():
    page = scoreboard.page()
    assert scoreboard.PAGE.read_text(encoding="utf-8") == page, "run `python -m docs.scoreboard`"
    names = [name for name in zoo.names() if f"[`{name}`](presets/{name}/README.md)" in page]
    assert names == [name for name in zoo.names() if list(zoo.info(name).folder.glob("*.csv"))]


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


def test_own_block_of_the_readme_works():
    import keras

    from recalib_keras import layers

    (code,) = re.findall(r"```python\n(class PeakGate.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    names = {"keras": keras, "layers": layers}
    exec(code, names)
    x = keras.random.normal((2, 4, 4, 4, 3))
    assert names["PeakGate"](use_identity_start=True)(x).shape == x.shape


def test_links_have_targets():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []

"""The complete recipes on how-tos are read, and their networks can be built."""

import re
from pathlib import Path

import pytest

from docs.site.tutorials import FOLDER
from recalib_keras.training import Recipe

PAGES = FOLDER.with_name("how_to")
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{index}")
    for page in sorted(PAGES.glob("*.md"))
    for index, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    if block.startswith("preset = ")
]


@pytest.mark.parametrize("block", BLOCKS)
def test_recipe_of_a_page(block, tmp_path):
    path = Path(tmp_path, "recipe.toml")
    path.write_text(block, encoding="utf-8")
    recipe = Recipe.read(path)
    network, expects = recipe.network, recipe.input
    outputs = network.num_classes(recipe.labels)
    model = network.build((*expects.window, expects.num_channels), outputs)
    assert model.output_shape == (None, *expects.window, outputs)


def test_there_are_recipes():
    assert len(BLOCKS) >= 2

"""The header of every committed card is YAML that says what the description says."""

import dataclasses

import pytest
import yaml

from recalib_keras import zoo
from recalib_keras.zoo.pages.card_header import header, without_header


def read(text):
    """Returns the YAML of a header, and checks the lines around it."""
    _, content, rest = text.split("---\n")
    assert text.startswith("---\n") and rest == "\n"
    return yaml.safe_load(content)


@pytest.mark.parametrize("name", zoo.names())
def test_of_each_preset(name):
    preset = zoo.info(name)
    found = read(header(preset))
    assert (found["library_name"], found["pipeline_tag"], found["metrics"]) == ("keras", "image-segmentation", ["dice"])
    network, _, block = name.rstrip("23d").replace("2d", "").replace("3d", "").partition("_")
    assert {network, *filter(None, [block])} <= set(found["tags"])
    results = found["model-index"][0]["results"]
    assert [result["dataset"]["type"] for result in results] == list(preset.weight_sets)
    for result, described in zip(results, preset.weight_sets.values()):
        assert result["metrics"][0]["value"] == pytest.approx(described.score["dice"], abs=1e-4)
        assert result["task"]["name"] == described.title
    card = (preset.folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith(header(preset)) and without_header(card).startswith(f"# {name}\n")


def test_licences():
    """One that the Hub knows is named; several, or one that it does not know, are others."""
    preset = zoo.info("unet2d")
    assert read(header(preset))["license"] == "cc-by-sa-4.0"
    several = read(header(zoo.info("densenet3d_pe")))
    assert several["license"] == "other"
    assert several["license_name"].startswith("Apache 2.0; CC BY-SA 4.0; CC BY-NC 3.0: scans from the OASIS project")
    described = preset.weight_sets["hippocampus"]
    own = dataclasses.replace(described, data={**described.data, "licence": 'ask "us": non-commercial'}, score={})
    found = read(header(dataclasses.replace(preset, weight_sets={"own": own})))
    assert (found["license"], found["license_name"]) == ("other", 'ask "us": non-commercial')
    assert "model-index" not in found


def test_a_card_without_a_header_stays_as_it_is():
    assert without_header("# unet3d\n\n---\n\ntext\n---\n") == "# unet3d\n\n---\n\ntext\n---\n"
